import TestSupport
import Testing
import Vocabulary

@testable import Training

@Suite(.ownThreads) struct BundleOrderTests {
    private func interactions(_ lines: [(String, String, Int64)]) -> Interactions {
        var builder = InteractionBuilder(hasValues: false, hasTimes: true)
        for (user, item, time) in lines { builder.add(user: user, item: item, time: time) }
        return builder.finish().interactions
    }

    @Test func `Users stand by slot and ID, items by count and ID, histories by time`() {
        var random = SplitMix64(seed: 1)
        let lines = (0..<3000).map { n in
            (
                "user\(Int.random(in: 0..<300, using: &random))", "item\(Int.random(in: 0..<80, using: &random))",
                Int64(n)
            )
        }
        let ordered = interactions(lines).inBundleOrder()
        let users = (0..<UInt32(ordered.userCount)).map(ordered.users.string)
        #expect(users == users.sorted { (Slot(user: $0).value, $0) < (Slot(user: $1).value, $1) })
        let counts = ordered.itemCounts()
        let items = (0..<ordered.itemCount).map { (counts[$0], ordered.items.string(UInt32($0))) }
        for (a, b) in zip(items, items.dropFirst()) { #expect(a.0 > b.0 || (a.0 == b.0 && a.1 < b.1)) }
        #expect(ordered.named.sorted() == interactions(lines).named.sorted())
        #expect(interactions(lines.shuffled(using: &random)).inBundleOrder() == ordered)
    }

    @Test func `Recent popularity counts the newest most and the old not at all`() {
        let day: Int64 = 86_400_000
        var lines: [(String, String, Int64)] = (0..<97).map { ("u\($0)", "old", Int64($0)) }
        lines += [("a", "new", 1000 * day), ("b", "new", 999 * day), ("c", "older", 995 * day)]
        let ordered = interactions(lines).inBundleOrder()
        let recent = RecentPopularity(ordered)
        func score(_ item: String) -> Float { recent.scores[Int(ordered.items.row(of: item) ?? 0)] }
        let window = Double(recent.window ?? 0) / Double(day)
        // The newest tenth begins among the old ones.
        #expect(window > 990)
        #expect(score("new") > score("older"))

        let recentOnly = RecentPopularity(interactions((0..<100).map { ("u\($0)", "i\($0 / 20)", Int64($0) * day) }))
        #expect(recentOnly.window == 10 * day)
        #expect(recentOnly.scores[0] == 0 && recentOnly.scores[3] == 0)
        let expected = (0...10).reduce(0.0) { sum, age in
            var weight = 1.0
            for _ in 0..<age { weight *= 0.7578582832551990 }  // 2^(-1 / 2.5)
            return sum + weight
        }
        #expect(abs(Double(recentOnly.scores[4]) - expected) < 1e-5)
    }

    @Test func `Without times recent is overall`() {
        var builder = InteractionBuilder(hasValues: false, hasTimes: false)
        for (user, item) in [("a", "x"), ("b", "x"), ("a", "y")] { builder.add(user: user, item: item) }
        let recent = RecentPopularity(builder.finish().interactions.inBundleOrder())
        #expect(recent.scores == [2, 1] && recent.window == nil)
    }
}
