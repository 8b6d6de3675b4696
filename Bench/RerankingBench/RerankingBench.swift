import Catalog
import Dispatch
import FactorModels
import Retrieval
import Serving
import VectorMath

/// What re-ranking a slate costs: each part alone and all together, over made-up candidates, on one thread.
package struct RerankingBench {
    /// One measured page.
    package struct Figure: Sendable {
        package let name: String
        package let k: Int
        package let pool: Int
        /// Median and 99th percentile of one page.
        package let microseconds: (median: Double, high: Double)

        package var text: String {
            func padded(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: max(0, width - text.count))
            }
            func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
            return padded(name, 44) + padded("k \(k)", 8) + padded("pool \(pool)", 11)
                + padded("p50 \(rounded(microseconds.median)) us", 17) + "p99 \(rounded(microseconds.high)) us"
        }
    }

    private let model: RetrievalModel
    private let candidates: [ScoredRow]
    private let repeats: Int

    /// - Parameters:
    ///   - itemCount: 2000 or more, with factors of 64 dimensions, one of 40 categories and one to three of 18 genres each.
    ///   - candidateCount: That the sources are to have brought.
    package init(itemCount: Int, candidateCount: Int, repeats: Int) throws {
        var random = SlateRandom(seed: 1)
        let rank = 64
        let items = try ItemCatalog(
            ids: IDDictionary((0..<itemCount).lazy.map { "i\($0)" }),
            interactions: [UInt64](repeating: 1, count: itemCount),
            recentScores: [Float](repeating: 0, count: itemCount),
            details: ItemDetailColumns(
                [
                    .init(name: "category", .text { ["c\($0 % 40)"] }),
                    .init(name: "genres", .text { row in (0...row % 3).map { "g\((row / 3 + $0 * 7) % 18)" } }),
                ], itemCount: itemCount))
        let rows = DenseMatrix(rowCount: itemCount, columnCount: rank)
        for place in 0..<itemCount {
            let row = rows.row(place)
            for column in 0..<rank { row[column] = Float.random(in: -1...1, using: &random) }
        }
        let factors = FactorModel(kind: .als, users: DenseMatrix(rowCount: 1, columnCount: rank), items: rows)
        let options = RetrievalModel.Options(index: .scan)
        model = try RetrievalModel(
            users: UserDirectory(ids: IDDictionary(["u"]), offsets: [0, 0], items: [], itemCount: itemCount),
            items: items,
            als: RetrievalModel.factors(factors, rows: .floats(factors.itemFactors), graph: nil, options: options),
            spectral: nil, neighbors: nil, mix: .unknownUser, options: options)
        candidates = (0..<UInt32(itemCount)).shuffled(using: &random).prefix(candidateCount).map {
            ScoredRow(row: $0, score: Float.random(in: 0...6, using: &random))
        }
        self.repeats = repeats
    }

    /// Measures every part, and tells of each as it is there.
    package func run(k: Int, pool: Int, _ tell: (Figure) -> Void) {
        func measure(_ name: String, _ change: (inout RerankingConfiguration) -> Void) {
            var configuration = RerankingConfiguration()
            configuration.pool = pool
            change(&configuration)
            let times = times(Reranker(configuration, model: model), k)
            tell(Figure(name: name, k: k, pool: pool, microseconds: times))
        }
        measure("nothing but the order") { _ in }
        measure("diversity by factors of 64") { $0.diversity = .init(by: .factors, strength: 0.3) }
        measure("diversity by genres") { $0.diversity = .init(by: .attribute("genres"), strength: 0.3) }
        measure("a cap that holds (category, 2)") { $0.caps = [.init(attribute: "category", most: 2)] }
        measure("a cap that must be relaxed (category, 1)") {
            $0.caps = [.init(attribute: "category", most: 1), .init(attribute: "genres", most: 1)]
        }
        measure("8 boosts by attribute") {
            $0.boosts = (0..<8).map { .init(.value(attribute: "genres", "g\($0)"), factor: 1.1) }
        }
        measure("epsilon") { $0.exploration = .init(.epsilon(0.2)) }
        measure("softmax") { $0.exploration = .init(.softmax(temperature: 0.2)) }
        measure("diversity by factors, cap, boosts, epsilon") {
            $0.diversity = .init(by: .factors, strength: 0.3)
            $0.caps = [.init(attribute: "category", most: 2)]
            $0.boosts = (0..<8).map { .init(.value(attribute: "genres", "g\($0)"), factor: 1.1) }
            $0.exploration = .init(.epsilon(0.2))
        }
    }

    private func times(_ reranker: Reranker, _ k: Int) -> (median: Double, high: Double) {
        let request = Reranker.Request(candidates: candidates, k: k)
        var rounds: [Double] = []
        for round in 0..<repeats + 20 {
            var random = SlateRandom(seed: UInt64(round))
            let start = DispatchTime.now().uptimeNanoseconds
            let page = reranker.page(request, using: &random)
            let end = DispatchTime.now().uptimeNanoseconds
            precondition(page.items.count == min(k, candidates.count), "a page of \(page.items.count)")
            // The first ones warm up.
            if round >= 20 { rounds.append(Double(end - start) / 1000) }
        }
        rounds.sort()
        return (rounds[rounds.count / 2], rounds[rounds.count * 99 / 100])
    }
}
