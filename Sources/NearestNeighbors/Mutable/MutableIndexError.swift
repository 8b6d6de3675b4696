import VectorMath

/// Why a row was not inserted, updated or deleted. The index is as it was before.
package enum MutableIndexError: Error, Equatable, CustomStringConvertible {
    case dimensionMismatch(expected: Int, actual: Int)
    /// The vector holds a NaN or an infinity.
    case vectorNotFinite(row: UInt32)
    /// The row's number is not below the index's `rowCount`.
    case rowOutOfRange(row: UInt32, rowCount: Int)
    /// There is such a row already.
    case duplicateRow(UInt32)
    /// There is no such row (any more).
    case unknownRow(UInt32)
    /// The index holds as many rows as it was made for; delete some, or seal it and make a larger one.
    case full(capacity: Int)

    package var description: String {
        switch self {
        case .dimensionMismatch(let expected, let actual):
            "the vector has \(actual) dimensions, the index \(expected)"
        case .vectorNotFinite(let row): "the vector of row \(row) holds a NaN or an infinity"
        case .rowOutOfRange(let row, let rowCount): "row \(row) is not below \(rowCount)"
        case .duplicateRow(let row): "row \(row) is in the index already; update it"
        case .unknownRow(let row): "row \(row) is not in the index"
        case .full(let capacity):
            "the index is full with \(capacity) rows; delete some, or seal it and make a larger one"
        }
    }
}
