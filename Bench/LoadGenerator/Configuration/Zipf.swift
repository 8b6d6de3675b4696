import Foundation

/// A small generator with a fixed seed: the same run twice asks for the same users in the same order.
///
/// Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..<1`, 53 bits.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// Draws ranks `0..<count` with a probability proportional to `1 / (rank + 1) ** exponent`.
///
/// Needs no table, whatever the count. Exponent 0 is the uniform distribution.
///
/// - Note: Hörmann & Derflinger 1996, "Rejection-inversion to generate variates from monotone discrete
///   distributions". On average fewer than 1.4 tries a draw.
package struct ZipfSampler: Sendable {
    package let count: Int
    package let exponent: Double
    private let areaAtOne: Double
    private let areaAtEnd: Double
    private let shortcut: Double

    /// - Precondition: `count > 0`, `exponent >= 0` and finite.
    package init(count: Int, exponent: Double) {
        precondition(count > 0 && exponent >= 0 && exponent.isFinite, "Zipf over \(count) ranks, exponent \(exponent)")
        self.count = count
        self.exponent = exponent
        areaAtOne = ZipfSampler.area(1.5, exponent) - 1
        areaAtEnd = ZipfSampler.area(Double(count) + 0.5, exponent)
        shortcut = 2 - ZipfSampler.inverseArea(ZipfSampler.area(2.5, exponent) - pow(2, -exponent), exponent)
    }

    /// A rank in `0..<count`; 0 is the most frequent.
    package func draw(_ generator: inout SeededGenerator) -> Int {
        if exponent == 0 { return Int(generator.next() % UInt64(count)) }
        while true {
            let area = areaAtEnd + generator.unit() * (areaAtOne - areaAtEnd)
            let position = ZipfSampler.inverseArea(area, exponent)
            let rank = min(max(position.rounded(), 1), Double(count))
            if rank - position <= shortcut
                || area >= ZipfSampler.area(rank + 0.5, exponent) - pow(rank, -exponent)
            {
                return Int(rank) - 1
            }
        }
    }

    /// The probability of each rank.
    package var probabilities: [Double] {
        let weights = (1...count).map { pow(Double($0), -exponent) }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }

    /// The integral of `x ** -exponent` from 1, in a form that is exact near exponent 1.
    private static func area(_ x: Double, _ exponent: Double) -> Double {
        let logarithm = log(x)
        let scaled = (1 - exponent) * logarithm
        return logarithm * (abs(scaled) < 1e-8 ? 1 + scaled / 2 : expm1(scaled) / scaled)
    }

    private static func inverseArea(_ area: Double, _ exponent: Double) -> Double {
        let scaled = max(area * (1 - exponent), -1)
        return exp(area * (abs(scaled) < 1e-8 ? 1 - scaled / 2 : log1p(scaled) / scaled))
    }
}
