/// What slates of a shard took of late, so that one whose time is nearly over is ended while there is time to send it.
///
/// Each figure is a mean and a mean deviation, both smoothed over some sixteen slates; what is expected is the one plus twice
/// the other. Before anything was measured nothing is expected, and only the deadline itself ends a slate.
struct SlatePace: Sendable {
    struct Figure: Sendable {
        private var mean = 0.0
        private var deviation = 0.0
        private var isKnown = false

        /// Nanoseconds.
        var expected: UInt64 { UInt64(mean + 2 * deviation) }

        mutating func record(_ nanoseconds: UInt64) {
            // A loop that stood still for a second says nothing of slates.
            let taken = Double(min(nanoseconds, 10_000_000))
            guard isKnown else {
                mean = taken
                isKnown = true
                return
            }
            deviation += (abs(taken - mean) - deviation) / 16
            mean += (taken - mean) / 16
        }

        /// Called when nothing was tried for what is expected: what is never tried is never learned anew.
        mutating func doubt() {
            mean *= 15.0 / 16
            deviation *= 15.0 / 16
        }
    }

    /// A step of a source.
    var step = Figure()
    /// From a request's candidates to the line for the ranker.
    var joining = Figure()
    /// From the order of the candidates to the slate, re-ranking included.
    var ending = Figure()

    /// Slates in a row that were not ranked for what that would probably take.
    private var unranked = 0

    /// Whether to rank where that will probably take too long: one slate in sixteen tries, and leaves the line in time.
    mutating func triesRanking() -> Bool {
        unranked += 1
        return unranked % 16 == 0
    }

    /// Of the time between a call's arrival and its deadline, as a shift: what is left for its way out and back.
    private static let wayShift: UInt64 = 4
    private static let wayMax: UInt64 = 500_000

    /// When a slate must be ended to be there in time: a quarter of the time before the deadline at most.
    func lastMoment(arrived: UInt64, deadline: UInt64) -> UInt64 {
        guard deadline != .max, deadline > arrived else { return deadline }
        let whole = deadline - arrived
        let wanted = ending.expected + min(whole >> Self.wayShift, Self.wayMax)
        return deadline - min(wanted, whole / 4)
    }
}
