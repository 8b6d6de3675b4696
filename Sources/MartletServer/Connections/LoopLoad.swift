import Glibc

/// The share of the time that a loop was busy lately: older times count less, by half after about three milliseconds.
struct LoopLoad: Equatable {
    private static let nanoseconds = 4_000_000.0
    private static let whole = 65_535.0

    /// 0 to 1.
    private(set) var share = 0.0
    /// Microseconds.
    private var time: UInt64 = 0

    init() {}

    /// Time in microseconds, 48 bits | share, 16 bits.
    var bits: UInt64 { time << 16 | UInt64((share * Self.whole).rounded()) }

    init(bits: UInt64) {
        time = bits >> 16
        share = Double(bits & 0xFFFF) / Self.whole
    }

    /// Takes in the time from the last call to `now`.
    mutating func advance(to now: UInt64, wasBusy: Bool) {
        let now = now / 1000
        // Another loop's clock may be a little behind.
        guard now > time else { return }
        let target = wasBusy ? 1.0 : 0.0
        share = target + (share - target) * exp(-Double(now - time) * 1000 / Self.nanoseconds)
        time = now
    }

    /// Takes in work of so many nanoseconds that took no time to speak of.
    mutating func add(_ nanoseconds: UInt64) { share += (1 - share) * min(1, Double(nanoseconds) / Self.nanoseconds) }
}
