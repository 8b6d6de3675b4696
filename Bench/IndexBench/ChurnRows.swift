import NearestNeighbors
import VectorMath

/// The rows that an index should hold, and the random changes to them.
struct ChurnRows {
    enum Change: Int, CaseIterable {
        case insert, update, delete

        var name: String {
            switch self {
            case .insert: "insert"
            case .update: "update"
            case .delete: "delete"
            }
        }
    }

    /// Vectors to take, each in its turn.
    let pool: FactorMatrix
    private var nextVector: Int
    /// Of each row number, the vector that it has.
    private(set) var vectorOf: [Int: Int] = [:]
    private var present: [UInt32]
    private var absent: [UInt32]
    private var random: Gaussian

    init(pool: FactorMatrix, rows: Int, capacity: Int, seed: UInt64) {
        self.pool = pool
        nextVector = rows
        present = (0..<UInt32(rows)).map { $0 }
        absent = (UInt32(rows)..<UInt32(capacity)).map { $0 }
        for row in 0..<rows { vectorOf[row] = row }
        random = Gaussian(seed: seed)
    }

    /// The next change, a third of each kind, to a random row.
    mutating func next() -> (change: Change, row: UInt32, vector: Int) {
        var change = Change.allCases[Int(random.uniform() * 3)]
        if change == .insert && absent.isEmpty { change = .delete }
        if change != .insert && present.count < 2 { change = .insert }
        switch change {
        case .insert:
            let row = Self.take(&absent, random.uniform())
            present.append(row)
            return (change, row, vector(for: row))
        case .update:
            let row = present[Int(random.uniform() * Double(present.count))]
            return (change, row, vector(for: row))
        case .delete:
            let row = Self.take(&present, random.uniform())
            absent.append(row)
            vectorOf[Int(row)] = nil
            return (change, row, 0)
        }
    }

    /// The rows in ascending order.
    func matrix() -> (rows: FactorMatrix, numbers: [UInt32]) {
        let numbers = vectorOf.keys.sorted()
        let matrix = FactorMatrix(rowCount: numbers.count, columnCount: pool.columnCount) { row, target in
            _ = target.update(fromContentsOf: pool.row(vectorOf[numbers[row]] ?? 0))
        }
        return (matrix, numbers.map { UInt32($0) })
    }

    private mutating func vector(for row: UInt32) -> Int {
        let vector = nextVector % pool.rowCount
        nextVector += 1
        vectorOf[Int(row)] = vector
        return vector
    }

    private static func take(_ rows: inout [UInt32], _ lot: Double) -> UInt32 {
        let place = Int(lot * Double(rows.count))
        rows.swapAt(place, rows.count - 1)
        return rows.removeLast()
    }
}
