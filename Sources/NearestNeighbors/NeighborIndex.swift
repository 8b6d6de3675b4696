import VectorMath

/// Why a search was refused. All are the caller's fault; none is worth a retry.
package enum SearchError: Error, Equatable, CustomStringConvertible {
    case dimensionMismatch(expected: Int, actual: Int)
    /// The query holds a NaN or an infinity.
    case queryNotFinite
    /// `k` or `efSearch` is out of range.
    case invalidCount(name: String, value: Int)
    /// The predicate was made for another number of rows.
    case predicateMismatch(expected: Int, actual: Int)

    package var description: String {
        switch self {
        case .dimensionMismatch(let expected, let actual):
            "the query has \(actual) dimensions, the index \(expected)"
        case .queryNotFinite: "the query holds a NaN or an infinity"
        case .invalidCount(let name, let value): "\(name) is \(value); it is 0 or more"
        case .predicateMismatch(let expected, let actual):
            "the predicate is over \(actual) rows, the index over \(expected)"
        }
    }
}

/// Why an index could not be made.
package enum IndexBuildError: Error, Equatable, CustomStringConvertible {
    /// A vector holds a NaN or an infinity.
    case vectorNotFinite(row: Int)
    case tooManyRows(Int)
    case invalidParameter(String)
    case cancelled

    package var description: String {
        switch self {
        case .vectorNotFinite(let row): "the vector of row \(row) holds a NaN or an infinity"
        case .tooManyRows(let count): "\(count) rows are more than an index holds (2^30 - 1)"
        case .invalidParameter(let text): text
        case .cancelled: "the build was cancelled"
        }
    }
}

/// Finds the rows of a matrix that are nearest to a query.
package protocol NeighborIndex: Sendable {
    var metric: SimilarityMetric { get }
    /// Rows searched.
    var rowCount: Int { get }
    /// Floats of a query.
    var dimension: Int { get }

    /// Replaces `results` by the best rows for `query`: best first, ties by ascending row.
    ///
    /// - Parameters:
    ///   - query: `dimension` finite floats, not normalised.
    ///   - k: Rows wanted. The answer has `k` rows whenever `k` are eligible.
    ///   - efSearch: Breadth of an approximate search (at least `k` is used); an exact one ignores it.
    ///   - predicate: Rows that may be returned; rows it rejects may still be walked through.
    ///   - scratch: Reused memory of the calling thread.
    func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, where predicate: RowPredicate?,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError)
}

extension NeighborIndex {
    /// Checks everything about a search that can be wrong.
    func validate(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int, _ predicate: RowPredicate?
    ) throws(SearchError) -> UnsafePointer<Float> {
        guard query.count == dimension, let base = query.baseAddress else {
            throw .dimensionMismatch(expected: dimension, actual: query.count)
        }
        if k < 0 { throw .invalidCount(name: "k", value: k) }
        if efSearch < 0 { throw .invalidCount(name: "efSearch", value: efSearch) }
        if let predicate, predicate.rowCount != rowCount {
            throw .predicateMismatch(expected: rowCount, actual: predicate.rowCount)
        }
        guard Kernels.allFinite(query) else { throw .queryNotFinite }
        return base
    }

    /// A search of one array, for tests and tools; it allocates.
    package func search(
        _ query: [Float], k: Int, efSearch: Int = 64, where predicate: RowPredicate? = nil,
        scratch: SearchScratch = SearchScratch()
    ) throws(SearchError) -> [ScoredRow] {
        var results: [ScoredRow] = []
        let outcome: Result<Void, SearchError> = query.withUnsafeBufferPointer { buffer in
            Result { () throws(SearchError) in
                try search(
                    buffer, k: k, efSearch: efSearch, where: predicate, scratch: scratch, into: &results)
            }
        }
        try outcome.get()
        return results
    }
}
