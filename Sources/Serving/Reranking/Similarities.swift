import Retrieval
import VectorMath

/// What likeness is computed from, for one model.
enum LikenessBasis: Sendable {
    /// Of the model's items, and of those beside it.
    case factors(RowMatrix, added: AddedItems? = nil)
    case values(ItemValues)
}

/// For each item of a pool how much it is like the most alike of the items chosen so far.
struct Similarities {
    private enum Rows {
        case none
        case cosines(UnsafeCosines)
        case bits(ValueBits, ItemValues)
        case shares(ValueLists, ItemValues)
    }

    private var rows: Rows
    /// One for each item of the pool; 0 before anything is chosen.
    private(set) var greatest: [Float]
    private var hasChosen = false

    init(_ basis: LikenessBasis, pool: some Collection<UInt32>) {
        greatest = Array(repeating: 0, count: pool.count)
        switch basis {
        case .factors(let matrix, let added): rows = .cosines(UnsafeCosines(matrix, added: added, rows: pool))
        case .values(let values) where values.areBits: rows = .bits(ValueBits(values, rows: pool), values)
        case .values(let values): rows = .shares(ValueLists(values, rows: pool), values)
        }
    }

    /// Takes note of a chosen item, of the pool or not.
    ///
    /// - Complexity: O(pool).
    mutating func choose(_ row: UInt32) {
        if !hasChosen {
            hasChosen = true
            // Cosines can be negative: the first one counts as it is.
            for index in greatest.indices { greatest[index] = -1 }
        }
        switch rows {
        case .none: break
        case .cosines(var cosines):
            // Moved out and in again: the arrays are not copied.
            rows = .none
            cosines.raise(&greatest, by: row)
            rows = .cosines(cosines)
        case .bits(let bits, let values): bits.raise(&greatest, by: row, values)
        case .shares(let lists, let values):
            var chosen: [UInt64] = []
            values.append(row, to: &chosen)
            for index in greatest.indices { greatest[index] = max(greatest[index], lists.share(index, with: chosen)) }
        }
    }
}
