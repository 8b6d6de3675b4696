import Catalog
import FactorModels
import Retrieval
import TestSupport
import VectorMath

@testable import Serving

/// Made-up items with attributes and factors, whose plain description is kept to compare with.
struct RerankingSample {
    let categories: [[String]]
    let genres: [[String]]
    let years: [Double?]
    let factors: [[Float]]
    let model: RetrievalModel
    /// The items that the model does not know, or describes otherwise.
    let changed: ChangedItems

    static let rank = 8
    var itemCount: Int { categories.count }

    /// - Parameters:
    ///   - knownCount: Items of the model; the others stand beside it. Nil: all are of the model.
    ///   - restated: Items of the model that it describes wrongly, and that are described anew.
    init(
        itemCount: Int, categories categoryCount: Int = 6, seed: UInt64, knownCount: Int? = nil, restated: [Int] = []
    ) throws {
        var random = SeededGenerator(seed: seed)
        // Some items have none; category 0 is the largest.
        categories = (0..<itemCount).map { _ in
            let category = Int.random(in: -1..<categoryCount, using: &random)
            return category < 0 ? [] : ["c\(Int.random(in: 0...category, using: &random))"]
        }
        genres = (0..<itemCount).map { _ in
            (0..<8).filter { _ in Int.random(in: 0..<3, using: &random) == 0 }.map { "g\($0)" }
        }
        years = (0..<itemCount).map { _ in
            Int.random(in: 0..<4, using: &random) == 0 ? nil : Double(Int.random(in: 2000...2005, using: &random))
        }
        factors = (0..<itemCount).map { _ in (0..<Self.rank).map { _ in Float.random(in: -1...1, using: &random) } }
        let (categories, genres, years, factors) = (categories, genres, years, factors)
        func catalog(_ items: [Int], wrongly wrong: Set<Int> = []) throws -> ItemCatalog {
            try ItemCatalog(
                ids: IDDictionary(items.map { "i\($0)" }),
                tags: { wrong.contains(items[Int($0)]) ? ["g0"] : genres[items[Int($0)]] },
                interactions: items.map { UInt64(itemCount - $0) },
                recentScores: [Float](repeating: 0, count: items.count),
                details: ItemDetailColumns(
                    [
                        .init(
                            name: "category",
                            .text { wrong.contains(items[Int($0)]) ? ["wrong"] : categories[items[Int($0)]] }),
                        .init(
                            name: "year", .number { wrong.contains(items[Int($0)]) ? 1900 : years[items[Int($0)]] }),
                    ], tagsName: "genres", itemCount: items.count))
        }
        let knownCount = knownCount ?? itemCount
        let items = try catalog(Array(0..<knownCount), wrongly: Set(restated))
        let users = DenseMatrix(rowCount: 1, columnCount: Self.rank)
        let rows = DenseMatrix(rowCount: knownCount, columnCount: Self.rank)
        for (place, factor) in factors.prefix(knownCount).enumerated() {
            let row = rows.row(place)
            for column in 0..<Self.rank { row[column] = factor[column] }
        }
        let als = FactorModel(kind: .als, users: users, items: rows)
        let options = RetrievalModel.Options(index: .scan)
        model = try RetrievalModel(
            users: UserDirectory(ids: IDDictionary(["u"]), offsets: [0, 0], items: [], itemCount: knownCount),
            items: items,
            als: RetrievalModel.factors(als, rows: .floats(als.itemFactors), graph: nil, options: options),
            spectral: nil, neighbors: nil, mix: .unknownUser, options: options)
        var changed = ChangedItems()
        if knownCount < itemCount {
            changed.added = AddedItems(
                catalog: try catalog(Array(knownCount..<itemCount)), vectors: Array(factors[knownCount...]), of: model)
        }
        if !restated.isEmpty {
            changed.restated = RestatedItems(
                restated.map(UInt32.init), catalog: try catalog(restated), added: changed.added, of: model)
        }
        self.changed = changed
    }

    /// Some items with scores, in no order; equal scores occur.
    func candidates(_ count: Int, using random: inout SeededGenerator) -> [ScoredRow] {
        (0..<UInt32(itemCount)).shuffled(using: &random).prefix(count).map {
            ScoredRow(row: $0, score: Float(Int.random(in: -20...60, using: &random)) / 8)
        }
    }

    func cosine(_ a: UInt32, _ b: UInt32) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        let (a, b) = (factors[Int(a)], factors[Int(b)])
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }

    func share(_ a: UInt32, _ b: UInt32) -> Double {
        let (a, b) = (Set(genres[Int(a)]), Set(genres[Int(b)]))
        return a.union(b).isEmpty ? 0 : Double(a.intersection(b).count) / Double(a.union(b).count)
    }
}

extension Array where Element == ScoredRow {
    /// By falling score, ties by rising row.
    var best: [ScoredRow] { sorted { ($1.score, $0.row) < ($0.score, $1.row) } }
}
