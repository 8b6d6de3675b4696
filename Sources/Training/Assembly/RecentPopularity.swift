#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How popular items are lately: their interactions in the last stretch of the time line, the newest counting most.
///
/// The stretch (window) ends with the newest interaction and reaches back over the newest tenth of all, but at least a
/// week. An interaction `a` before the end counts `2^(-a / halfLife)`, with a half-life of a quarter of the window, so the
/// oldest in it count a sixteenth. Without times, the scores are the overall counts.
package struct RecentPopularity: Sendable, Equatable {
    /// One per item row.
    package let scores: [Float]
    /// Milliseconds; nil without times.
    package let window: Int64?

    static let share = 0.1
    static let windowMin: Int64 = 7 * 86_400_000

    package init(_ interactions: Interactions) {
        guard let times = interactions.times, let newest = times.max() else {
            scores = interactions.itemCounts().map(Float.init)
            window = nil
            return
        }
        let ordered = times.sorted()
        let first = ordered[Int(Double(ordered.count - 1) * (1 - RecentPopularity.share))]
        let window = max(newest - first, RecentPopularity.windowMin)
        let halfLife = Double(window) / 4
        var sums = [Double](repeating: 0, count: interactions.itemCount)
        for (place, time) in times.enumerated() where newest - time <= window {
            sums[Int(interactions.itemRows[place])] += exp2(-Double(newest - time) / halfLife)
        }
        self.scores = sums.map(Float.init)
        self.window = window
    }
}
