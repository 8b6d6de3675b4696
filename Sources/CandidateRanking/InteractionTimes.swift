import Features
import Retrieval

/// When items were had, as seen from the newest interaction of a bundle: what features of time are computed from.
///
/// Nothing later than the bundle is known to it. A ranker is fitted with a bundle of what came before the choices that it
/// learns from, so it sees in training what it will see in serving.
package final class InteractionTimes: Sendable {
    static let fault = "the bundle's interactions have no times"
    private static let day = 86_400_000.0

    /// Milliseconds since 1970-01-01 UTC of the newest interaction.
    private let newest: Int64
    /// Of each item row; `Int64.max` and `.min` of items that nobody has.
    private let first: [Int64]
    private let last: [Int64]
    /// By days, interactions of each item row.
    private let recent: [Int: [Float]]

    /// - Parameter days: The stretches before the newest interaction to count in.
    /// - Complexity: O(interactions * different days). Nil where the bundle has no times.
    init?(_ model: RetrievalModel, days: [Int]) {
        let users = model.users
        guard users.hasTimes, users.count > 0 else { return nil }
        var (newest, first) = (Int64.min, [Int64](repeating: .max, count: model.items.count))
        var last = [Int64](repeating: .min, count: model.items.count)
        for user in 0..<UInt32(users.count) {
            guard let times = users.historyTimes(of: user) else { continue }
            for (item, time) in zip(users.history(of: user), times) {
                first[Int(item)] = min(first[Int(item)], time)
                last[Int(item)] = max(last[Int(item)], time)
                newest = max(newest, time)
            }
        }
        guard newest > .min else { return nil }
        var recent: [Int: [Float]] = [:]
        for stretch in Set(days) {
            var counts = [Float](repeating: 0, count: model.items.count)
            let begin = newest.subtractingReportingOverflow(Int64(stretch) * 86_400_000).partialValue
            for user in 0..<UInt32(users.count) {
                guard let times = users.historyTimes(of: user) else { continue }
                // Oldest first, so what is recent stands at the end.
                let history = users.history(of: user)
                for place in times.indices.reversed() {
                    if times[place] <= begin { break }
                    counts[Int(history[place])] += 1
                }
            }
            recent[stretch] = counts
        }
        (self.newest, self.first, self.last, self.recent) = (newest, first, last, recent)
    }

    /// Interactions of an item in the last days.
    func recent(_ item: UInt32, days: Int) -> Double? { recent[days].map { Double($0[Int(item)]) } }

    /// Days since an item's first interaction.
    func age(_ item: UInt32) -> Double? { days(since: first[Int(item)]) }

    /// Days since an item's last interaction.
    func idle(_ item: UInt32) -> Double? { days(since: last[Int(item)]) }

    /// Days since a moment; nil for one that never was.
    func days(since time: Int64) -> Double? {
        time == .max || time == .min ? nil : max(0, (Double(newest) - Double(time)) / Self.day)
    }
}

extension FeatureSource {
    /// The stretch that a count of recent interactions looks back over.
    var days: Int? { if case .itemRecent(let days) = self { days } else { nil } }

    /// Whether it can be computed only from interactions with times, as seen from the newest.
    package var isTimed: Bool {
        switch self {
        case .itemRecent, .itemAge, .itemIdle, .userIdle, .itemRecentPopularity: true
        default: false
        }
    }
}
