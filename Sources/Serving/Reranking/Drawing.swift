import Glibc

/// Decides by chance which item of a pool takes a place, and says how probable that was.
struct Drawing {
    let exploration: RerankingConfiguration.Exploration
    private var open: [Int] = []
    private var weights: [Double] = []

    init(_ exploration: RerankingConfiguration.Exploration) { self.exploration = exploration }

    /// An item and the probability that it, of all, takes the place.
    struct Outcome: Equatable {
        var index: Int
        var propensity: Float
    }

    /// Fills a place.
    ///
    /// Numbers are drawn from `random` in a fixed order: one for each place, and one more where a place is drawn evenly.
    ///
    /// - Parameters:
    ///   - best: The item that takes the place where chance does not.
    ///   - values: What the items of the pool are worth at this place; the pool stands by falling score.
    ///   - isOpen: Whether an item may take the place; at least one.
    /// - Complexity: O(pool).
    mutating func fill(
        best: Int, values: [Float], isOpen: (Int) -> Bool, using random: inout some RandomNumberGenerator
    ) -> Outcome {
        open.removeAll(keepingCapacity: true)
        for index in values.indices where isOpen(index) {
            open.append(index)
            if open.count == exploration.among { break }
        }
        switch exploration.method {
        case .epsilon(let epsilon):
            let share = Double(epsilon) / Double(open.count)
            let isDrawn = Double.random(in: 0..<1, using: &random) < Double(epsilon)
            let index = isDrawn ? open[Int.random(in: 0..<open.count, using: &random)] : best
            let evenly = open.contains(index) ? share : 0
            return Outcome(index: index, propensity: Float(evenly + (index == best ? 1 - Double(epsilon) : 0)))
        case .softmax(let temperature):
            return softmax(values, Double(temperature), &random)
        }
    }

    /// Weights are fresh at every place: caps and diversity change what is left and what it is worth, so one draw of noise
    /// for the whole slate (Gumbel's trick) would have other probabilities than the ones stated.
    private mutating func softmax(
        _ values: [Float], _ temperature: Double, _ random: inout some RandomNumberGenerator
    ) -> Outcome {
        weights.removeAll(keepingCapacity: true)
        let greatest = open.reduce(-Float.infinity) { max($0, values[$1]) }
        var sum = 0.0
        for index in open {
            let weight = exp(Double(values[index] - greatest) / temperature)
            weights.append(weight)
            sum += weight
        }
        var left = Double.random(in: 0..<1, using: &random) * sum
        for (place, weight) in weights.enumerated() where weight > 0 {
            left -= weight
            if left < 0 { return Outcome(index: open[place], propensity: Float(weight / sum)) }
        }
        // Rounding left a rest: it is the last one's that has a weight. The greatest has weight 1.
        let place = weights.lastIndex { $0 > 0 } ?? 0
        return Outcome(index: open[place], propensity: Float(weights[place] / sum))
    }
}

/// SplitMix64: the same draws for the same seed, on every machine.
package struct SlateRandom: RandomNumberGenerator {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
