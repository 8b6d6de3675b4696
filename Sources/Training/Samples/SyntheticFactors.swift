#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Made-up factors that look like those of ALS: for load and memory tests, where what counts is size and shape.
///
/// Items: clusters with Zipf weights around centres with a falling spectrum, spread by noise, with power-law norms. Users:
/// one to four clusters mixed, spread by noise, of norm 1. Every row has a random stream of its own, so rows can be made in
/// any order and on any thread.
package struct SyntheticFactors: Sendable {
    package let rank: Int
    private let seed: UInt64
    private let spectrum: [Float]
    private let centres: [Float]
    private let cumulative: [Double]

    static let clusterCount = 1000
    private static let itemNoise: Float = 0.8
    private static let userNoise: Float = 0.7

    package init(rank: Int, seed: UInt64) {
        precondition(rank > 0, "rank \(rank)")
        self.rank = rank
        self.seed = seed
        let raw = (0..<rank).map { pow(Float($0 + 1), -0.35) }
        let length = raw.reduce(0) { $0 + $1 * $1 }.squareRoot()
        spectrum = raw.map { $0 / length }
        var random = SplitMix64(seed: seed)
        var centres = [Float](repeating: 0, count: SyntheticFactors.clusterCount * rank)
        for cluster in 0..<SyntheticFactors.clusterCount {
            let range = cluster * rank..<(cluster + 1) * rank
            for (i, place) in range.enumerated() { centres[place] = random.gaussian() * spectrum[i] }
            centres[range].withUnsafeMutableBufferPointer(SyntheticFactors.normalise)
        }
        self.centres = centres
        var sum = 0.0
        cumulative = (0..<SyntheticFactors.clusterCount).map { cluster in
            sum += pow(Double(cluster + 1), -0.8)
            return sum
        }
    }

    /// Fills the factor of item number `item`.
    package func fillItem(_ item: Int, into row: UnsafeMutableBufferPointer<Float>) {
        var random = SplitMix64(seed: seed &+ 0x1000_0000_0000 &+ UInt64(item) &* 0x9E37_79B9_7F4A_7C15)
        let cluster = cluster(&random)
        for i in 0..<rank {
            row[i] = centres[cluster * rank + i] + SyntheticFactors.itemNoise * random.gaussian() * spectrum[i]
        }
        SyntheticFactors.normalise(row)
        let norm = min(0.3 * pow(1 - Float(random.unit()), -0.1), 3)
        for i in 0..<rank { row[i] *= norm }
    }

    /// Fills the factor of user number `user`.
    package func fillUser(_ user: Int, into row: UnsafeMutableBufferPointer<Float>) {
        var random = SplitMix64(seed: seed &+ 0x2000_0000_0000 &+ UInt64(user) &* 0xD1B5_4A32_D192_ED03)
        for i in 0..<rank { row[i] = 0 }
        for _ in 0..<1 + Int(random.next() % 4) {
            let cluster = cluster(&random)
            let share = Float(-log(1 - random.unit()))
            for i in 0..<rank { row[i] += share * centres[cluster * rank + i] }
        }
        SyntheticFactors.normalise(row)
        for i in 0..<rank { row[i] += SyntheticFactors.userNoise * random.gaussian() * spectrum[i] }
        SyntheticFactors.normalise(row)
    }

    private func cluster(_ random: inout SplitMix64) -> Int {
        let wanted = random.unit() * (cumulative.last ?? 1)
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] <= wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func normalise(_ row: inout UnsafeMutableBufferPointer<Float>) { normalise(row) }

    private static func normalise(_ row: UnsafeMutableBufferPointer<Float>) {
        var squares: Float = 0
        for value in row { squares += value * value }
        let scale = 1 / max(squares.squareRoot(), 1e-20)
        for i in row.indices { row[i] *= scale }
    }
}

/// Made-up histories: every user has about `mean` items, popular ones (Zipf) more often.
package struct SyntheticHistories: Sendable {
    package let itemCount: Int
    package let mean: Int
    private let seed: UInt64

    package init(itemCount: Int, mean: Int, seed: UInt64) {
        precondition(itemCount >= 4 * mean && mean > 0, "\(mean) of \(itemCount) items")
        self.itemCount = itemCount
        self.mean = mean
        self.seed = seed
    }

    /// The item numbers of user number `user`, each once, oldest first; `mean / 2` to `3 * mean / 2` of them.
    package func history(of user: Int) -> [UInt32] {
        var random = SplitMix64(seed: seed &+ 0x3000_0000_0000 &+ UInt64(user) &* 0xA24B_AED4_963E_E407)
        let wanted = max(1, mean / 2 + Int(random.next() % UInt64(mean + 1)))
        var items: [UInt32] = []
        items.reserveCapacity(wanted)
        while items.count < wanted {
            // The inverse of the integral of x^-0.8: close to Zipf with that exponent.
            let place = pow(random.unit(), 5) * Double(itemCount)
            let item = UInt32(min(Int(place), itemCount - 1))
            if !items.contains(item) { items.append(item) }
        }
        return items
    }
}

extension SplitMix64 {
    /// Normally distributed, mean 0, deviation 1 (Box and Muller 1958, the cosine half).
    mutating func gaussian() -> Float {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return Float(radius * cos(2 * Double.pi * unit()))
    }
}
