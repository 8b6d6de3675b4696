/// SplitMix64: the numbers behind every choice that is left to chance, the same on every machine for a seed.
///
/// Not for secrets. Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
package struct RandomSource: RandomNumberGenerator, Sendable {
    @usableFromInline package var state: UInt64

    @inlinable package init(seed: UInt64) { state = seed }

    @inlinable package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// In `0..<1`.
    @inlinable package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// In `0..<bound`; the bias is below `bound / 2^32`.
    @inlinable package mutating func index(below bound: Int) -> Int {
        Int((UInt64(UInt32(truncatingIfNeeded: next() >> 32)) &* UInt64(bound)) >> 32)
    }

    /// A bijection of 64-bit numbers that spreads every bit over all others.
    @inlinable package static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
