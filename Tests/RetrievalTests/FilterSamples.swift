import Artifacts
import Catalog
import NearestNeighbors
import TestSupport

@testable import Retrieval

/// Made-up items whose plain description is kept, to compare with.
struct FilterSample {
    var tags: [[String]]
    var brands: [[String]]
    var prices: [Double?]
    /// All items have one.
    var years: [Double]

    init(itemCount: Int, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        /// Some values are had by most, some by few.
        func words(_ prefix: String, _ count: Int) -> [String] {
            (0..<count).filter { Int.random(in: 0...$0 * $0, using: &random) == 0 }.map { "\(prefix)\($0)" }
        }
        tags = (0..<itemCount).map { _ in words("t", 30) }
        brands = (0..<itemCount).map { _ in words("b", 60) }
        prices = (0..<itemCount).map { _ in
            Int.random(in: 0...3, using: &random) == 0 ? nil : Double(Int.random(in: -20...20, using: &random)) / 4
        }
        years = (0..<itemCount).map { _ in Double(Int.random(in: 1990...2026, using: &random)) }
    }

    var itemCount: Int { tags.count }

    func catalog() throws -> ItemCatalog {
        try ItemCatalog(
            ids: IDDictionary((0..<itemCount).map { "i\($0)" }), tags: { tags[Int($0)] },
            interactions: [UInt64](repeating: 1, count: itemCount),
            recentScores: [Float](repeating: 0, count: itemCount),
            details: ItemDetailColumns(
                [
                    .init(name: "brand", .text { brands[Int($0)] }), .init(name: "price", .number { prices[Int($0)] }),
                    .init(name: "year", .number { years[Int($0)] }),
                ], tagsName: "genres", itemCount: itemCount))
    }

    /// Whether an item satisfies a filter, by its definition.
    func satisfies(_ row: Int, _ filter: ItemFilter) -> Bool {
        let tags = Set(tags[row])
        if !filter.anyTag.isEmpty, tags.isDisjoint(with: filter.anyTag) { return false }
        if !tags.isSuperset(of: filter.allTags) || !tags.isDisjoint(with: filter.noTag) { return false }
        return filter.conditions.allSatisfy { condition in
            switch condition.attribute {
            case "brand", "genres":
                let values = condition.attribute == "brand" ? Set(brands[row]) : tags
                return (condition.anyOf.isEmpty || !values.isDisjoint(with: condition.anyOf))
                    && values.isDisjoint(with: condition.noneOf)
            default:
                let value = condition.attribute == "price" ? prices[row] : years[row]
                let isAny = condition.anyOf.contains { Double($0) == value } && value != nil
                let isNone = condition.noneOf.contains { Double($0) == value } && value != nil
                if !condition.anyOf.isEmpty, !isAny { return false }
                if isNone { return false }
                if condition.min != nil || condition.max != nil {
                    guard let value else { return false }
                    return value >= condition.min ?? -.infinity && value <= condition.max ?? .infinity
                }
                return true
            }
        }
    }

    func filter(_ random: inout SeededGenerator) -> ItemFilter {
        func some(_ prefix: String, _ count: Int, _ most: Int) -> [String] {
            (0..<Int.random(in: 0...most, using: &random)).map { _ in
                "\(prefix)\(Int.random(in: 0..<count + 3, using: &random))"
            }
        }
        var filter = ItemFilter()
        if Int.random(in: 0...3, using: &random) == 0 { filter.anyTag = some("t", 30, 3) }
        if Int.random(in: 0...3, using: &random) == 0 { filter.allTags = some("t", 6, 2) }
        if Int.random(in: 0...3, using: &random) == 0 { filter.noTag = some("t", 30, 3) }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            switch Int.random(in: 0...4, using: &random) {
            case 0: filter.conditions.append(ItemCondition("brand", anyOf: some("b", 60, 4)))
            case 1: filter.conditions.append(ItemCondition("brand", noneOf: some("b", 60, 4)))
            case 2: filter.conditions.append(ItemCondition("genres", anyOf: some("t", 30, 2), noneOf: ["t3"]))
            case 3:
                let bounds = (0..<2).map { _ in
                    Bool.random(using: &random) ? Double(Int.random(in: -24...24, using: &random)) / 4 : nil
                }
                filter.conditions.append(ItemCondition("price", min: bounds[0], max: bounds[1]))
            default:
                filter.conditions.append(
                    ItemCondition(
                        Bool.random(using: &random) ? "year" : "price",
                        anyOf: Bool.random(using: &random) ? ["1999", "2001.0", "1.5", "-2"] : [],
                        noneOf: ["2", "2005"], max: Bool.random(using: &random) ? 2010 : nil))
            }
        }
        return filter
    }
}

extension RowBitmap {
    /// The rows that are set.
    var rows: Set<Int> { Set((0..<rowCount).filter { contains(UInt32($0)) }) }
}
