import Artifacts
import Catalog
import Dispatch
import NearestNeighbors
import Retrieval

/// What filters and availability cost over made-up items: each step alone, on one thread.
package struct FilterBench {
    /// One measured step.
    package struct Figure: Sendable {
        package let name: String
        /// Items that pass, where that is a share of them.
        package let rows: Int?
        /// Median of one.
        package let microseconds: Double

        package var text: String {
            func padded(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: max(0, width - text.count))
            }
            let rounded = (microseconds * 100).rounded() / 100
            return padded(name, 58) + padded(rows.map(String.init) ?? "", 9) + "\(rounded) us"
        }
    }

    private let itemCount: Int
    private let repeats: Int
    private let items: ItemCatalog
    /// What the items cost beside the catalogue, and how long they took to make.
    package let heading: String
    private let index: AttributeIndex
    private let availability: ItemAvailability?

    /// - Parameter itemCount: 64 or more.
    package init(itemCount: Int, repeats: Int) throws {
        self.itemCount = itemCount
        self.repeats = repeats
        items = try Self.items(itemCount)
        let start = DispatchTime.now().uptimeNanoseconds
        let index = AttributeIndex(items)
        let indexed = DispatchTime.now().uptimeNanoseconds
        let availability = items.details.availability.map { ItemAvailability($0) }
        let end = DispatchTime.now().uptimeNanoseconds
        self.index = index
        self.availability = availability
        heading =
            "\(itemCount) items: index of attributes \((indexed - start) / 1_000_000) ms, \(index.byteCount) bytes; "
            + "windows \((end - indexed) / 1_000_000) ms, \(availability?.byteCount ?? 0) bytes"
    }

    /// A shop (1000, some much larger than others), a colour (8, most have one or two), a price (each its own) and a window.
    private static func items(_ itemCount: Int) throws -> ItemCatalog {
        let places = permutation(itemCount)
        let details = try ItemDetailColumns(
            [
                .init(name: "shop", .text { ["s\(skewed(places[Int($0)], itemCount))"] }),
                .init(name: "colour", .text { ["c\(mixed($0) % 8)", "c\(mixed($0 + 1) % 8)"] }),
                .init(name: "price", .number { Double(places[Int($0)]) }),
            ], windows: { AvailabilityWindow(from: nil, until: 1000 + Int64(mixed($0) % UInt64(itemCount))) },
            itemCount: itemCount)
        return try ItemCatalog(
            ids: IDDictionary((0..<itemCount).lazy.map { "i\($0)" }),
            interactions: [UInt64](repeating: 1, count: itemCount),
            recentScores: [Float](repeating: 0, count: itemCount), details: details)
    }

    /// Shop `n` has about twice as many items as shop `2 n`.
    private static func skewed(_ place: Int, _ itemCount: Int) -> Int {
        let share = Double(place) / Double(itemCount)
        var (low, size) = (1.0, 1000.0)
        // 1000 to the power of the share.
        var part = share
        while part > 0, size > 1.001 {
            part *= 2
            size = size.squareRoot()
            if part >= 1 {
                low *= size
                part -= 1
            }
        }
        return Int(low)
    }

    private static func permutation(_ count: Int) -> [Int] {
        var places = Array(0..<count)
        for place in 0..<max(0, count - 1) {
            places.swapAt(place, place + Int(mixed(UInt32(place)) % UInt64(count - place)))
        }
        return places
    }

    private static func mixed(_ value: UInt32) -> UInt64 {
        var z = UInt64(value) &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    // MARK: Steps

    /// Measures every step, and tells of each as it is there.
    package func run(_ tell: (Figure) -> Void) throws {
        func range(_ share: Double) -> ItemCondition {
            let count = Double(itemCount) * share
            return ItemCondition("price", min: Double(itemCount) / 3, max: Double(itemCount) / 3 + count - 1)
        }
        let n = Double(itemCount)
        for share in [0.0001, 0.01, 0.1, 0.5] {
            let condition = range(share)
            try compile("compile: price, \(percent(share)) of the items", [condition], tell)
            let scanned = index.scan("price", min: condition.min ?? 0, max: condition.max ?? 0)
            tell(
                Figure(
                    name: "  the same by a look at every item", rows: scanned?.count,
                    microseconds: median {
                        _ = index.scan("price", min: condition.min ?? 0, max: condition.max ?? 0)
                    }))
        }
        try compile("compile: price, 90 % of the items", [ItemCondition("price", min: n / 10)], tell)
        try compile("compile: shop, a small one", [ItemCondition("shop", anyOf: ["s900"])], tell)
        try compile("compile: shop, the largest", [ItemCondition("shop", anyOf: ["s1"])], tell)
        try compile("compile: shop, any of 100", [ItemCondition("shop", anyOf: (500..<600).map { "s\($0)" })], tell)
        try compile("compile: colour, one", [ItemCondition("colour", anyOf: ["c1"])], tell)
        try compile("compile: colour, none of two", [ItemCondition("colour", noneOf: ["c1", "c2"])], tell)
        try compile(
            "compile: colour, half of the prices, not the largest shop",
            [ItemCondition("colour", anyOf: ["c1"]), range(0.5), ItemCondition("shop", noneOf: ["s1"])], tell)
        try compile(
            "compile: small shop, colour, half of the prices",
            [ItemCondition("shop", anyOf: ["s900"]), ItemCondition("colour", anyOf: ["c1"]), range(0.5)], tell)
        try masks(range(0.1), tell)
        moments(tell)
        blocking(tell)
    }

    private func percent(_ share: Double) -> String { "\(share * 100) %" }

    private func compile(_ name: String, _ conditions: [ItemCondition], _ tell: (Figure) -> Void) throws {
        let filter = ItemFilter(conditions: conditions)
        let rows = try index.rows(of: filter)
        // The filter was compiled once: it does not throw.
        tell(Figure(name: name, rows: rows.count, microseconds: median { _ = try? index.rows(of: filter) }))
    }

    /// A filter that is kept: the look-up, and what it costs to lay it under the mask.
    private func masks(_ condition: ItemCondition, _ tell: (Figure) -> Void) throws {
        let filter = ItemFilter(conditions: [condition, ItemCondition("colour", noneOf: ["c1"])])
        let cache = FilterCache(index, bytesMax: 64 << 20)
        let rows = try cache.rows(of: filter)
        let other = try index.rows(of: ItemFilter(conditions: [ItemCondition("colour", noneOf: ["c2"])]))
        let available = availability?.moment(at: 1000 + Int64(itemCount / 10)).rows
        let mask = EligibilityMask(itemCount: itemCount)
        tell(
            Figure(name: "a kept filter: look-up", rows: nil, microseconds: median { _ = try? cache.rows(of: filter) }))
        func begin(_ name: String, _ available: RowBitmap?, _ filter: RowBitmap?) {
            // Two filters in turns: the mask is made each time.
            let both = median {
                mask.begin(available: available, filter: other)
                mask.begin(available: available, filter: filter)
            }
            tell(Figure(name: name, rows: mask.eligibleCount, microseconds: both / 2))
        }
        begin("mask: begin with another filter than before", nil, rows)
        begin("mask: begin with another filter, and windows", available, rows)
        mask.begin(available: available, filter: rows)
        tell(
            Figure(
                name: "mask: begin with the same filter and windows", rows: mask.eligibleCount,
                microseconds: median { mask.begin(available: available, filter: rows) }))
    }

    private func moments(_ tell: (Figure) -> Void) {
        guard let availability else { return }
        var now: Int64 = 1000
        tell(
            Figure(
                name: "availability: same moment", rows: nil, microseconds: median { _ = availability.moment(at: now) })
        )
        tell(
            Figure(
                name: "availability: a window closes", rows: nil,
                microseconds: median {
                    now += 1
                    _ = availability.moment(at: now)
                }))
    }

    /// Begin, block and mend, without a search.
    private func blocking(_ tell: (Figure) -> Void) {
        let rows = Self.permutation(itemCount).map(UInt32.init)
        let mask = EligibilityMask(itemCount: itemCount)
        for count in [20, 200, 1000, 10_000] where count <= itemCount {
            let microseconds = rows.prefix(count).withUnsafeBufferPointer { rows in
                median {
                    mask.begin()
                    mask.block(rows)
                }
            }
            tell(Figure(name: "mask: block \(count) seen items, and mend", rows: nil, microseconds: microseconds))
        }
    }

    /// Microseconds of one call; the median of rounds of at least a twentieth of a millisecond.
    private func median(_ body: () -> Void) -> Double {
        func clock() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
        var calls = 1
        while true {
            let start = clock()
            for _ in 0..<calls { body() }
            if clock() - start > 50_000 || calls > 1 << 20 { break }
            calls *= 2
        }
        var rounds: [Double] = []
        for _ in 0..<repeats {
            let start = clock()
            for _ in 0..<calls { body() }
            rounds.append(Double(clock() - start) / Double(calls) / 1000)
        }
        return rounds.sorted()[rounds.count / 2]
    }
}
