/// How long an answer is kept, by how often its user comes.
///
/// With a life of as many visits as `visits`, an answer is made again for one visit in so many, whether the user comes
/// every second or every hour. Who comes often gets fresh slates for that price; who comes rarely gets a longer life, as
/// anything shorter would be over before the next visit. The bounds are `least` and what the scenario allows.
package struct AnswerLife: Sendable, Equatable {
    /// Nanoseconds; no life is shorter, but for a scenario's own that is.
    package var least: UInt64
    /// Visits that one answer should serve; 0: every life is the longest.
    package var visits: Int

    package init(least: UInt64 = 0, visits: Int = 0) {
        self.least = least
        self.visits = visits
    }

    /// The life of a new answer.
    ///
    /// - Parameters:
    ///   - longest: Nanoseconds; what the scenario allows.
    ///   - age: Nanoseconds since the user's last answer was made; nil where nothing is known of the user: the longest.
    ///   - served: How often that answer was served again.
    package func life(longest: UInt64, age: UInt64?, served: Int) -> UInt64 {
        guard visits > 0, let age else { return longest }
        // The visit that finds the answer too old counts too.
        let gap = age / UInt64(served + 1)
        let (wanted, isTooLong) = gap.multipliedReportingOverflow(by: UInt64(visits))
        return isTooLong ? longest : min(longest, max(least, wanted))
    }
}
