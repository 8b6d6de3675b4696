/// How much of its share a node takes that is new or was away: a ramp from `floor` to 1.
///
/// A node that comes back has cold caches and, in a process just started, cold code. The owner of slots takes the same slots
/// first each time (see `Rendezvous.fraction`), so that a user moves once and not with every call.
package struct SlowStart: Sendable {
    /// Nanoseconds of the ramp; 0: none.
    package var duration: UInt64
    /// Share from the beginning, above 0.
    package var floor: Double

    package init(duration: UInt64 = 5_000_000_000, floor: Double = 0.1) {
        self.duration = duration
        self.floor = floor
    }

    /// - Parameter start: When the node began to take calls.
    /// - Returns: `floor...1`.
    package func weight(since start: UInt64, at now: UInt64) -> Double {
        guard now < start &+ duration else { return 1 }
        guard now > start else { return floor }
        return max(floor, Double(now - start) / Double(duration))
    }
}
