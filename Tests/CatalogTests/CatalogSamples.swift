import TestSupport
import Vocabulary

@testable import Artifacts
@testable import Catalog

/// Made-up users and items whose plain description is kept, to compare with.
struct CatalogSample {
    var users: [String]
    var histories: [[UInt32]]
    var times: [[Int64]]
    var items: [String]
    var titles: [String]
    var tags: [[String]]
    var interactions: [UInt64]
    var recentScores: [Float]
    /// A text attribute, a number and a window for each item.
    var brands: [[String]]
    var prices: [Double?]
    var windows: [AvailabilityWindow]

    init(userCount: Int, itemCount: Int, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = ["a", "Z", "7", "é", "漢", "🦅", "-", "_", " ", "\u{301}", "\"", "\n"]
        func text(_ lengths: ClosedRange<Int>, _ number: Int) -> String {
            let tail = (0..<Int.random(in: lengths, using: &random)).map { _ in
                pieces.randomElement(using: &random) ?? ""
            }
            return "\(number)\(tail.joined())"
        }
        users = (0..<userCount).map { text(0...12, $0) }.sorted { a, b in
            let slots = (Slot(user: a), Slot(user: b))
            return slots.0 == slots.1 ? a.utf8.lexicographicallyPrecedes(b.utf8) : slots.0 < slots.1
        }
        items = (0..<itemCount).map { text(0...5, $0) }
        let vocabulary = (0..<30).map { text(1...3, $0) }
        var histories: [[UInt32]] = []
        var times: [[Int64]] = []
        for _ in 0..<userCount {
            let wanted = Int.random(in: 0...min(9, itemCount), using: &random)
            let history = Array((0..<UInt32(itemCount)).shuffled(using: &random).prefix(wanted))
            histories.append(history)
            times.append(history.map { _ in Int64.random(in: -5...4_000_000_000_000, using: &random) })
        }
        self.histories = histories
        self.times = times
        titles = (0..<itemCount).map { Bool.random(using: &random) ? text(0...9, $0) : "" }
        tags = (0..<itemCount).map { _ in
            Array(vocabulary.shuffled(using: &random).prefix(Int.random(in: 0...5, using: &random)))
        }
        interactions = (0..<itemCount).map { _ in UInt64.random(in: 0...20, using: &random) }
        recentScores = (0..<itemCount).map { _ in Float(Int.random(in: 0...4, using: &random)) }
        brands = (0..<itemCount).map { _ in
            Array(vocabulary.shuffled(using: &random).prefix(Int.random(in: 0...2, using: &random)))
        }
        prices = (0..<itemCount).map { _ in
            Bool.random(using: &random) ? Double.random(in: -9...9, using: &random) : nil
        }
        windows = (0..<itemCount).map { _ in
            let from = Int64.random(in: -5...5, using: &random)
            return AvailabilityWindow(
                from: Bool.random(using: &random) ? from : nil,
                until: Bool.random(using: &random) ? from + Int64.random(in: 1...9, using: &random) : nil)
        }
    }

    func directory(withTimes: Bool = true) throws -> UserDirectory {
        var offsets: [UInt64] = [0]
        for history in histories { offsets.append((offsets.last ?? 0) + UInt64(history.count)) }
        return try UserDirectory(
            ids: IDDictionary(users, what: "user ID"), offsets: offsets, items: Array(histories.joined()),
            times: withTimes ? Array(times.joined()) : nil, itemCount: items.count)
    }

    func catalog() throws -> ItemCatalog {
        try ItemCatalog(
            ids: IDDictionary(items, what: "item ID"), title: { titles[Int($0)] }, tags: { tags[Int($0)] },
            interactions: interactions, recentScores: recentScores, details: details())
    }

    func details() throws -> ItemDetailColumns {
        try ItemDetailColumns(
            [
                .init(name: "brand", .text { brands[Int($0)] }), .init(name: "price", .number { prices[Int($0)] }),
            ], windows: { windows[Int($0)] }, tagsName: "genres", itemCount: items.count)
    }

    func publish(at path: String, withTimes: Bool = true) throws {
        let writer = try BundleWriter(destination: path)
        try directory(withTimes: withTimes).write(to: writer)
        try catalog().write(to: writer)
        try writer.publish(
            ManifestContent(
                name: "sample", version: "1",
                counts: .init(users: users.count, items: items.count, interactions: histories.joined().count)))
    }
}
