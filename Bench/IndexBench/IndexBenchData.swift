import FactorModels
import NearestNeighbors
import VectorMath

import class Artifacts.Bundle

/// Rows, queries and the true answers.
struct IndexBenchData {
    /// What was read, in words.
    let name: String
    let rows: FactorMatrix
    let queries: FactorMatrix
    /// Of each query, the true nearest rows, best first.
    let truth: [[UInt32]]

    /// Reads or makes everything, and checks that it fits together.
    ///
    /// - Parameter kMax: True neighbours of each query.
    init(_ configuration: IndexBenchConfiguration, kMax: Int) throws {
        (name, rows, queries) = try Self.vectors(configuration)
        guard rows.columnCount == queries.columnCount else {
            throw IndexBenchError("\(name): rows have \(rows.columnCount) columns, queries \(queries.columnCount)")
        }
        guard kMax <= rows.rowCount else {
            throw IndexBenchError("k is \(kMax), and there are \(rows.rowCount) rows (\(name))")
        }
        if let path = configuration.truth {
            truth = try VectorFile.neighbours(
                path, queries: queries.rowCount, wanted: kMax, rowCount: rows.rowCount)
        } else {
            truth = try Self.truth(ExactIndex(rows, metric: configuration.metric), queries, kMax)
        }
    }

    static func truth(
        _ exact: ExactIndex, _ queries: FactorMatrix, _ k: Int, where predicate: RowPredicate? = nil
    ) throws -> [[UInt32]] {
        var results: [[ScoredRow]] = []
        try exact.searchBatch(queries, k: k, where: predicate, scratch: SearchScratch(), into: &results)
        return results.map { $0.map(\.row) }
    }

    static func vectors(
        _ configuration: IndexBenchConfiguration
    ) throws -> (String, FactorMatrix, FactorMatrix) {
        switch configuration.source {
        case .files(let rows, let queries):
            let name = rows.split(separator: "/").last.map(String.init) ?? rows
            return (
                name, try VectorFile.matrix(rows, rowsMax: configuration.rowsMax),
                try VectorFile.matrix(queries, rowsMax: configuration.queriesMax)
            )
        case .made(let shape, let dimension):
            let made = shape.make(
                rows: configuration.rowsMax ?? IndexBenchConfiguration.madeRows, dimension: dimension,
                queries: configuration.queriesMax)
            return ("made rows (\(shape.rawValue))", made.rows, made.queries)
        case .bundle(let path, let factors):
            return try read(bundle: path, factors, configuration)
        }
    }

    private static func read(
        bundle path: String, _ factors: FactorKind?, _ configuration: IndexBenchConfiguration
    ) throws -> (String, FactorMatrix, FactorMatrix) {
        let bundle = try Bundle(opening: path)
        let held = FactorKind.allCases.filter { bundle.has($0.rawValue) }
        guard let kind = factors ?? held.first else {
            throw IndexBenchError("\(path) has no factors; train als or spectral into it")
        }
        guard held.contains(kind) else {
            throw IndexBenchError(
                "\(path) has no \(kind.rawValue) factors; it has \(held.map(\.rawValue).joined(separator: ", "))")
        }
        let model = try FactorModel(bundle: bundle, kind: kind)
        let items = model.itemFactors
        let rows = FactorMatrix(
            rowCount: min(items.rowCount, configuration.rowsMax ?? items.rowCount), columnCount: items.columnCount
        ) { row, target in
            _ = target.update(fromContentsOf: items.row(row))
        }
        let users = sample(of: model.userCount, atMost: configuration.queriesMax)
        let queries = FactorMatrix(rowCount: users.count, columnCount: model.rank) { row, target in
            model.userFactor(users[row], into: target)
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return ("\(name) (\(kind.rawValue) factors)", rows, queries)
    }

    /// Rows drawn without repeats, ascending; the same for each run.
    static func sample(of count: Int, atMost wanted: Int) -> [UInt32] {
        var random = Gaussian(seed: 1)
        var (chosen, left) = ([UInt32](), min(count, wanted))
        chosen.reserveCapacity(left)
        for row in 0..<count where random.uniform() * Double(count - row) < Double(left) {
            chosen.append(UInt32(row))
            left -= 1
        }
        return chosen
    }
}
