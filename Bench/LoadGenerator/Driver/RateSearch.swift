/// Looks for the highest rate of an open loop that holds an objective: doubles until a rate fails, then halves the gap.
///
/// Pure: `next` says what to try, `record` how it went. Ends after `stepsMax` tries, or when the gap is below
/// `tolerance` of the rate.
///
/// ```
///  growing --a rate fails--> narrowing --gap small or steps used--> ended
/// ```
package struct RateSearch: Sendable {
    package let tolerance: Double
    package let stepsMax: Int
    package private(set) var steps: [(rate: Double, held: Bool)] = []
    /// The highest rate that held; `nil` while none did.
    package private(set) var held: Double?
    /// The lowest rate that failed.
    package private(set) var failed: Double?
    /// The rate to try; `nil` when the search has ended.
    package private(set) var next: Double?

    package init(start: Double, tolerance: Double = 0.03, stepsMax: Int = 14) {
        precondition(start > 0 && stepsMax > 0 && tolerance > 0)
        self.tolerance = tolerance
        self.stepsMax = stepsMax
        next = start
    }

    package mutating func record(held isHeld: Bool) {
        guard let rate = next else { return }
        steps.append((rate, isHeld))
        if isHeld { held = max(held ?? 0, rate) } else { failed = min(failed ?? .infinity, rate) }
        next = steps.count < stepsMax ? following : nil
    }

    private var following: Double? {
        guard let failed else { return held.map { min($0 * 2, LoadConfiguration.rateMax) } }
        let low = held ?? 0
        guard failed - low > tolerance * failed, failed >= 1 else { return nil }
        return held == nil ? failed / 4 : (low + failed) / 2
    }
}
