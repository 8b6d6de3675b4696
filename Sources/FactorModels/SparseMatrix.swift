/// Who touched what: a sparse matrix in compressed rows, users by items unless transposed.
///
/// ```
/// offsets  [0, 3, 5, ...]          row r holds the places offsets[r]..<offsets[r + 1]
/// columns  [2, 7, 9, 1, 2, ...]    ascending within a row, each once
/// values   [1, 1, 3, 1, 1, ...]    confidence; what is zero or less is taken as absent
/// ```
package struct SparseMatrix: Sendable, Equatable {
    package let rowCount: Int
    package let columnCount: Int
    package let offsets: [Int]
    package let columns: [UInt32]
    package let values: [Float]

    /// - Precondition: The shape above; values are finite.
    package init(rowCount: Int, columnCount: Int, offsets: [Int], columns: [UInt32], values: [Float]) {
        precondition(
            rowCount >= 0 && columnCount >= 0 && offsets.count == rowCount + 1 && offsets.first == 0
                && offsets.last == columns.count && values.count == columns.count,
            "offsets \(offsets.count), columns \(columns.count), values \(values.count) for \(rowCount) rows")
        for row in 0..<rowCount {
            precondition(offsets[row] <= offsets[row + 1], "the offsets fall at row \(row)")
            for place in offsets[row]..<offsets[row + 1] {
                precondition(
                    Int(columns[place]) < columnCount && values[place].isFinite
                        && (place == offsets[row] || columns[place - 1] < columns[place]),
                    "row \(row) names column \(columns[place]) of \(columnCount) out of order, or with no number")
            }
        }
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.offsets = offsets
        self.columns = columns
        self.values = values
    }

    private init(_ rowCount: Int, _ columnCount: Int, _ offsets: [Int], _ columns: [UInt32], _ values: [Float]) {
        self.rowCount = rowCount
        self.columnCount = columnCount
        self.offsets = offsets
        self.columns = columns
        self.values = values
    }

    /// The same entries with other values.
    init(trusted other: SparseMatrix, values: [Float]) {
        precondition(values.count == other.count, "\(values.count) values for \(other.count) entries")
        self.init(other.rowCount, other.columnCount, other.offsets, other.columns, values)
    }

    /// Entries.
    package var count: Int { columns.count }

    /// The places of the entries of `row`.
    package func range(of row: Int) -> Range<Int> { offsets[row]..<offsets[row + 1] }

    /// Whether every entry weighs 1.
    package var isBinary: Bool { values.allSatisfy { $0 == 1 } }

    /// How many entries each column has.
    package func columnCounts() -> [Int] {
        var counts = [Int](repeating: 0, count: columnCount)
        for column in columns { counts[Int(column)] += 1 }
        return counts
    }

    /// Rows and columns exchanged.
    ///
    /// - Complexity: O(entries + rows + columns).
    package func transposed() -> SparseMatrix {
        var places = [0]
        places.reserveCapacity(columnCount + 1)
        var total = 0
        for count in columnCounts() {
            total += count
            places.append(total)
        }
        var next = places
        var rows = [UInt32](repeating: 0, count: count)
        var moved = [Float](repeating: 0, count: count)
        for row in 0..<rowCount {
            for place in range(of: row) {
                let column = Int(columns[place])
                rows[next[column]] = UInt32(row)
                moved[next[column]] = values[place]
                next[column] += 1
            }
        }
        return SparseMatrix(columnCount, rowCount, places, rows, moved)
    }

    /// The entries whose value is at least `minimum` (above zero in any case).
    package func keeping(valuesFrom minimum: Float) -> SparseMatrix {
        if values.allSatisfy({ $0 > 0 && $0 >= minimum }) { return self }
        var offsets = [0]
        var columns: [UInt32] = []
        var values: [Float] = []
        for row in 0..<rowCount {
            for place in range(of: row) where self.values[place] > 0 && self.values[place] >= minimum {
                columns.append(self.columns[place])
                values.append(self.values[place])
            }
            offsets.append(columns.count)
        }
        return SparseMatrix(rowCount, columnCount, offsets, columns, values)
    }
}
