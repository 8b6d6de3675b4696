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

    /// The same rows in a bitmap of its own.
    package func copy() -> RowPredicate {
        RowBitmap(rowCount: rowCount, copying: words, count: eligibleCount).predicate
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

    /// Sets the rows that stand in both; nil stands for all rows.
    ///
    /// - Complexity: O(rows / 64): one pass.
    package func set(_ a: RowBitmap?, and b: RowBitmap? = nil) {
        switch (a, b) {
        case (nil, nil): reset(allEligible: true)
        case (let one?, nil), (nil, let one?):
            precondition(one.rowCount == rowCount, "\(one.rowCount) rows for \(rowCount)")
            _ = words.update(fromContentsOf: one.words)
            count = one.count
        case (let a?, let b?):
            precondition(
                a.rowCount == rowCount && b.rowCount == rowCount, "\(a.rowCount), \(b.rowCount) rows for \(rowCount)")
            guard let target = words.baseAddress, let x = a.words.baseAddress, let y = b.words.baseAddress else {
                return
            }
            var sum = 0
            for index in 0..<words.count {
                let word = x[index] & y[index]
                target[index] = word
                sum &+= word.nonzeroBitCount
            }
            count = sum
        }
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

    /// Makes all of `rows` not eligible; those past the last row are ignored.
    ///
    /// - Complexity: O(rows given), about a nanosecond each.
    package func remove(_ rows: UnsafeBufferPointer<UInt32>) {
        guard let base = words.baseAddress else { return }
        let end = UInt32(clamping: rowCount)
        var removed: UInt64 = 0
        for row in rows where row < end {
            let place = Int(row >> 6)
            let bit: UInt64 = 1 &<< UInt64(row & 63)
            let word = base[place]
            removed &+= (word &>> UInt64(row & 63)) & 1
            base[place] = word & ~bit
        }
        count -= Int(removed)
    }

    /// Makes the words in which `rows` stand what `set(_:and:)` made them, while all others still are.
    ///
    /// - Parameter count: Rows that were set then.
    /// - Complexity: O(rows given), about a nanosecond each.
    package func mend(_ rows: [UInt32], _ a: RowBitmap?, and b: RowBitmap?, count: Int) {
        guard let base = words.baseAddress else { return }
        let (x, y) = (a?.words.baseAddress, b?.words.baseAddress)
        let end = UInt32(clamping: rowCount)
        let last: UInt64 = rowCount % 64 == 0 ? .max : (1 << UInt64(rowCount % 64)) - 1
        for row in rows where row < end {
            let place = Int(row >> 6)
            let all: UInt64 = place == words.count - 1 ? last : .max
            base[place] = all & (x?[place] ?? .max) & (y?[place] ?? .max)
        }
        self.count = count
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

/// Rows in a bitmap that never changes: what filters and moments in time are made into.
///
/// `@unchecked Sendable`: the words are written before `init` returns and not again.
package final class RowBitmap: @unchecked Sendable {
    package let rowCount: Int
    /// Rows that are set.
    package let count: Int
    private let storage: UnsafeMutableBufferPointer<UInt64>

    /// Bit `row % 64` of word `row / 64`.
    package var words: UnsafeBufferPointer<UInt64> { UnsafeBufferPointer(storage) }
    package var byteCount: Int { storage.count * 8 }

    /// - Parameter fill: Is given the words, all zero, and sets bits; those past the last row are cleared afterwards.
    package init(rowCount: Int, fill: (UnsafeMutableBufferPointer<UInt64>) -> Void) {
        self.rowCount = rowCount
        storage = .allocate(capacity: (rowCount + 63) / 64)
        storage.initialize(repeating: 0)
        fill(storage)
        if rowCount % 64 != 0 { storage[storage.count - 1] &= (1 << UInt64(rowCount % 64)) - 1 }
        count = storage.reduce(0) { $0 &+ $1.nonzeroBitCount }
    }

    fileprivate init(rowCount: Int, copying words: UnsafePointer<UInt64>, count: Int) {
        self.rowCount = rowCount
        self.count = count
        storage = .allocate(capacity: (rowCount + 63) / 64)
        _ = storage.initialize(from: UnsafeBufferPointer(start: words, count: storage.count))
    }

    /// The rows that are set.
    package var predicate: RowPredicate {
        RowPredicate(rowCount: rowCount, words: words, eligibleCount: count, owner: self)
    }

    deinit { storage.deallocate() }

    /// Whether `row` is set. - Precondition: `row < rowCount`.
    package func contains(_ row: UInt32) -> Bool {
        precondition(row < rowCount, "row \(row) is not below \(rowCount)")
        return storage[Int(row >> 6)] >> UInt64(row & 63) & 1 != 0
    }
}
