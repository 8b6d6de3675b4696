import FactorModels
import NearestNeighbors
import VectorMath
import Vocabulary

/// The users by the angle of their factors, to find those whose taste is closest.
///
/// Made at load: the factors of all users as searches want them (halves, as the bundle holds them) and a scan index over
/// them. Searched exactly, or by a plan that was measured to find as much as `recallMin` asks.
package struct UserNeighbors: Sendable {
    /// Users whose items are looked at.
    package static let neighborsMax = 100
    /// Items of such a user that are looked at: the newest.
    package static let itemsPerUserMax = 256

    /// Whose factors: `als`, or `spectral` where there is no ALS.
    package let source: RetrievalSource
    package let index: PlannedIndex
    private let rows: RowMatrix

    /// - Complexity: O(users * rank) beside what an index costs to make, and measuring it.
    init(_ model: FactorModel, options: RetrievalModel.Options) throws {
        source = model.kind == .als ? .als : .spectral
        let threads = options.threads ?? Parallel.coreCount
        let factors = FactorMatrix(rowCount: model.userCount, columnCount: model.rank) { row, factor in
            model.userFactor(UInt32(row), into: factor)
        }
        rows = RowMatrix(factors, in: .f16, threads: threads)
        let count = min(model.userCount, SearchPlanner.Calibration.queriesMax)
        let queries = FactorMatrix(rowCount: count, columnCount: model.rank) { row, factor in
            model.userFactor(UInt32(row * model.userCount / count), into: factor)
        }
        var calibration = SearchPlanner.Calibration()
        // There is no graph over users: to build one takes minutes where users are many.
        calibration.mode = options.index == .hnsw ? .auto : options.index
        calibration.recallMin = options.recallMin
        index = try PlannedIndex(
            scan: ScanIndex(rows, metric: .cosine, threads: threads), graph: nil, queries: queries,
            calibration: calibration, clock: ThreadClock.nanoseconds)
    }

    /// Bytes of the factors and their index.
    package var byteCount: Int { rows.byteCount + index.scan.byteCount }

    /// How much a user's items count who is `similarity` (a cosine) like the one asked for.
    ///
    /// The fourth power draws the closest apart from the many that are somewhat close: recall@20 on check-ins .149 with
    /// it, .146 in proportion (100 neighbours).
    package static func weight(_ similarity: Float) -> Float {
        let square = max(0, similarity) * max(0, similarity)
        return square * square
    }
}
