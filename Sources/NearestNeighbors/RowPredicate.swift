/// The rows that a search may return, one bit per row.
///
/// `@unchecked Sendable`: it reads words that nobody writes while it is in use (`RowMask` says so to its owner).
package struct RowPredicate: @unchecked Sendable {
    /// Rows that the predicate speaks about.
    package let rowCount: Int
    /// Rows that may be returned.
    package let eligibleCount: Int
    let words: UnsafePointer<UInt64>
    private let owner: AnyObject

    /// A predicate over words that `owner` keeps alive: bit `row % 64` of word `row / 64`, nothing set past `rowCount`.
    package init(rowCount: Int, words: UnsafeBufferPointer<UInt64>, eligibleCount: Int? = nil, owner: AnyObject) {
        precondition(words.count >= (rowCount + 63) / 64, "\(words.count) words for \(rowCount) rows")
        self.rowCount = rowCount
        self.words = words.baseAddress ?? Self.nothing
        self.eligibleCount = eligibleCount ?? words.reduce(0) { $0 + $1.nonzeroBitCount }
        self.owner = owner
        precondition(self.eligibleCount <= rowCount, "\(self.eligibleCount) of \(rowCount) rows are eligible")
    }

    /// A predicate with its own bitmap.
    package init(rowCount: Int, isEligible: (Int) -> Bool) {
        let mask = RowMask(rowCount: rowCount, allEligible: false)
        for row in 0..<rowCount where isEligible(row) { mask.insert(UInt32(row)) }
        self = mask.predicate
    }

    /// Whether `row` may be returned.
    /// - Precondition: `row < rowCount`.
    package func contains(_ row: UInt32) -> Bool {
        precondition(row < rowCount, "row \(row) is not below \(rowCount)")
        return words[Int(row >> 6)] >> UInt64(row & 63) & 1 != 0
    }

    private static var nothing: UnsafePointer<UInt64> { UnsafePointer(bitPattern: 8).unsafelyUnwrapped }
}

/// A bitmap of rows that its owner changes between searches.
///
/// It belongs to one thread, and a `predicate` taken from it is good until the next change.
package final class RowMask {
    package let rowCount: Int
    /// Rows that are set.
    package private(set) var count: Int
    private let words: UnsafeMutableBufferPointer<UInt64>

    package init(rowCount: Int, allEligible: Bool) {
        precondition(rowCount >= 0, "\(rowCount) rows")
        self.rowCount = rowCount
        self.words = .allocate(capacity: (rowCount + 63) / 64)
        self.count = 0
        reset(allEligible: allEligible)
    }

    deinit { words.deallocate() }

    /// Sets all rows, or none.
    package func reset(allEligible: Bool) {
        words.update(repeating: allEligible ? .max : 0)
        if allEligible, rowCount % 64 != 0 { words[words.count - 1] = (1 << UInt64(rowCount % 64)) - 1 }
        count = allEligible ? rowCount : 0
    }

    /// Makes `row` eligible.
    package func insert(_ row: UInt32) {
        precondition(row < rowCount, "row \(row) is not below \(rowCount)")
        let bit: UInt64 = 1 << UInt64(row & 63)
        if words[Int(row >> 6)] & bit == 0 { count += 1 }
        words[Int(row >> 6)] |= bit
    }

    /// Makes `row` not eligible.
    package func remove(_ row: UInt32) {
        precondition(row < rowCount, "row \(row) is not below \(rowCount)")
        let bit: UInt64 = 1 << UInt64(row & 63)
        if words[Int(row >> 6)] & bit != 0 { count -= 1 }
        words[Int(row >> 6)] &= ~bit
    }

    /// Whether `row` is eligible.
    package func contains(_ row: UInt32) -> Bool {
        precondition(row < rowCount, "row \(row) is not below \(rowCount)")
        return words[Int(row >> 6)] >> UInt64(row & 63) & 1 != 0
    }

    /// Keeps only the rows whose bits are set in `allowed` too.
    package func intersect(with allowed: [UInt64]) {
        precondition(allowed.count == words.count, "\(allowed.count) words for \(words.count)")
        count = 0
        for index in words.indices {
            words[index] &= allowed[index]
            count += words[index].nonzeroBitCount
        }
    }

    /// The rows set now, in a bitmap of their own: good for as long as it is kept.
    package func snapshot() -> RowPredicate {
        let copy = RowMask(rowCount: rowCount, allEligible: false)
        _ = copy.words.update(fromContentsOf: words)
        copy.count = count
        return copy.predicate
    }

    /// The rows set now.
    package var predicate: RowPredicate {
        RowPredicate(rowCount: rowCount, words: UnsafeBufferPointer(words), eligibleCount: count, owner: self)
    }
}
