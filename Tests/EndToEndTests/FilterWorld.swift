import Artifacts
import Catalog
import FactorModels
import Retrieval
import Synchronization
import TestSupport
import VectorMath
import Vocabulary

/// Many items with attributes and windows, and random factors: nothing was trained.
struct FilterWorld {
    let userCount: Int
    let itemCount: Int
    let rank = 8
    /// A number of its own for each item, 0 ..< itemCount, in no order: shares of any size can be cut out.
    let places: [Double]
    let brands: [[String]]
    let windows: [AvailabilityWindow]?
    let histories: [[UInt32]]
    let itemFactors: [[Float]]
    let userFactors: [[Float]]

    init(userCount: Int, itemCount: Int, windows: [AvailabilityWindow]? = nil, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        self.userCount = userCount
        self.itemCount = itemCount
        self.windows = windows
        places = (0..<itemCount).shuffled(using: &random).map(Double.init)
        brands = (0..<itemCount).map { _ in
            (0..<12).filter { Int.random(in: 0...$0 * $0, using: &random) == 0 }.map { "b\($0)" }
        }
        histories = (0..<userCount).map { user in
            user == 0
                ? []
                : Array(Set((0..<30).map { _ in UInt32.random(in: 0..<UInt32(itemCount), using: &random) })).sorted()
        }
        func vectors(_ count: Int, _ columns: Int) -> [[Float]] {
            (0..<count).map { _ in (0..<columns).map { _ in Float.random(in: -1...1, using: &random) } }
        }
        itemFactors = vectors(itemCount, rank)
        // Exact in half precision.
        userFactors = vectors(userCount, rank).map { $0.map { ($0 * 64).rounded() / 64 } }
    }

    func item(_ row: Int) -> String { "i\(row)" }

    /// Users of a bundle stand by slot.
    var users: [String] {
        (0..<userCount).map { "u\($0)" }.sorted { a, b in
            let slots = (Slot(user: a), Slot(user: b))
            return slots.0 == slots.1 ? a.utf8.lexicographicallyPrecedes(b.utf8) : slots.0 < slots.1
        }
    }

    func publish(at path: String) throws {
        let writer = try BundleWriter(destination: path)
        var offsets: [UInt64] = [0]
        for history in histories { offsets.append((offsets.last ?? 0) + UInt64(history.count)) }
        try UserDirectory(
            ids: IDDictionary(users), offsets: offsets, items: Array(histories.joined()), itemCount: itemCount
        ).write(to: writer)
        let windows = windows
        try ItemCatalog(
            ids: IDDictionary((0..<itemCount).map(item)),
            interactions: (0..<itemCount).map { UInt64(itemCount - $0) },
            recentScores: (0..<itemCount).map { Float($0 % 7) },
            details: ItemDetailColumns(
                [
                    .init(name: "place", .number { places[Int($0)] }), .init(name: "brand", .text { brands[Int($0)] }),
                ], windows: windows.map { windows in { windows[Int($0)] } }, itemCount: itemCount)
        ).write(to: writer)
        try FactorModel(
            kind: .als,
            users: matrix(userFactors), items: matrix(itemFactors)
        ).write(to: writer)
        let mix = RetrievalMix(
            sources: [.init(source: .als, limit: 100, weight: 1)], normalisation: .none)
        try writer.publish(
            ManifestContent(
                name: "filters", version: "1",
                counts: .init(users: userCount, items: itemCount, interactions: histories.joined().count),
                retrieval: JSONValue(encoding: mix)))
    }

    private func matrix(_ rows: [[Float]]) -> DenseMatrix {
        let matrix = DenseMatrix(rowCount: rows.count, columnCount: rank)
        for (place, row) in rows.enumerated() {
            let target = matrix.row(place)
            for column in 0..<rank { target[column] = row[column] }
        }
        return matrix
    }

    /// The best items of a user's factor among some, by definition.
    func best(_ k: Int, of user: Int, among rows: some Sequence<Int>) -> [String] {
        let scored = rows.map { row in
            (row: row, score: zip(itemFactors[row], userFactors[user]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) })
        }
        return scored.sorted { ($1.score, $0.row) < ($0.score, $1.row) }.prefix(k).map { item($0.row) }
    }
}

/// A clock that a test sets.
final class HandClock: Sendable {
    private let seconds: Mutex<Int64>
    init(_ seconds: Int64) { self.seconds = Mutex(seconds) }
    func set(_ now: Int64) { seconds.withLock { $0 = now } }
    var read: @Sendable () -> Int64 { { self.seconds.withLock { $0 } } }
}
