/// How much is done for each call, `minimum...1`, so that a latency percentile stays where it should be: fewer candidates, a
/// smaller ranker, no explanations.
///
/// A PI controller on the relative distance to the objective. Quality falls at once with a bad percentile and rises at
/// `riseMax` an interval at most; within the dead band it stays, so that it does not swing.
///
/// - Note: Klein et al. 2014, "Brownout: building more robust cloud applications".
package struct Brownout: Sendable {
    package let objective: Double
    package let minimum: Double
    /// Share of the objective below it within which nothing changes.
    package let band: Double
    package let riseMax: Double
    package private(set) var quality = 1.0
    private var lastError = 0.0

    static let proportional = 0.3
    static let integral = 0.25

    /// - Parameter objective: Of the percentile, in any unit.
    package init(objective: Double, minimum: Double = 0.2, band: Double = 0.2, riseMax: Double = 0.05) {
        precondition(objective > 0 && (0...1).contains(minimum) && (0..<1).contains(band), "objective \(objective)")
        self.objective = objective
        self.minimum = minimum
        self.band = band
        self.riseMax = riseMax
    }

    /// Takes the percentile of the last interval and gives the quality of the next.
    package mutating func update(percentile: Double) -> Double {
        guard percentile.isFinite else { return quality }
        // Above 0: room; the middle of the band is the aim.
        let error = max(-2, min(1, 1 - band / 2 - percentile / objective))
        guard abs(error) > band / 2 else {
            lastError = 0
            return quality
        }
        let change = Self.proportional * (error - lastError) + Self.integral * error
        lastError = error
        quality = min(1, max(minimum, quality + min(change, riseMax)))
        return quality
    }
}
