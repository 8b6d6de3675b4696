import CKernels

/// A row and how good it is. Best is the highest score; among equal scores the lower row.
package struct ScoredRow: Sendable, Equatable {
    package var row: UInt32
    package var score: Float

    @inlinable
    package init(row: UInt32, score: Float) {
        self.row = row
        self.score = score
    }
}

/// A score and a row as one integer: greater means better (higher score, then lower row).
///
/// Floats order as their bits once negative ones are flipped; -0 counts as 0 and NaN as the worst of all.
package enum RankKey {
    @inlinable @inline(__always)
    package static func make(row: UInt32, score: Float) -> UInt64 { UInt64(ck_ordered(score)) << 32 | UInt64(~row) }

    /// The keys of those of `count` rows whose keys are greater than `bar`.
    ///
    /// - Parameter keys: Room for `count`.
    /// - Returns: How many.
    package static func collect(
        _ rows: UnsafePointer<UInt32>, _ scores: UnsafePointer<Float>, _ count: Int, above bar: UInt64,
        into keys: UnsafeMutablePointer<UInt64>
    ) -> Int {
        ck_collect_keys(rows, scores, count, bar, keys)
    }

    @inlinable @inline(__always)
    package static func row(_ key: UInt64) -> UInt32 { ~UInt32(truncatingIfNeeded: key) }

    @inlinable @inline(__always)
    package static func score(_ key: UInt64) -> Float { ck_unordered(UInt32(truncatingIfNeeded: key >> 32)) }
}

/// The best `k` of the rows pushed so far.
///
/// Keys are kept unsorted until twice as many as wanted are there; then the best `k` are selected and the worst of them
/// becomes the threshold. A caller that scores many rows skips those below `threshold` and pushes the rest; the result
/// does not depend on the order of pushes. Storage is reused by `reset(k:)`, so a warm one allocates nothing.
package struct TopK: Sendable {
    /// Room for keys; the first `filled` count.
    @usableFromInline package var keys: [UInt64]
    @usableFromInline package var filled: Int
    @usableFromInline package var wanted: Int
    /// Only greater keys can enter; 0 while all can.
    @usableFromInline package var bar: UInt64

    /// Rows of one push that are looked at together.
    private static let pushRows = 256

    /// - Parameter k: Rows to keep, 0 or more.
    package init(k: Int) {
        keys = []
        filled = 0
        wanted = 0
        bar = 0
        reset(k: k)
    }

    /// Empties it for the best `k`.
    package mutating func reset(k: Int) {
        precondition(k >= 0, "k is \(k)")
        filled = 0
        wanted = k
        bar = k == 0 ? .max : 0
    }

    /// Rows wanted.
    @inlinable package var k: Int { wanted }
    /// Rows that would be drained now.
    @inlinable package var count: Int { min(filled, wanted) }
    /// A row with a lower score than this cannot enter; minus infinity while all can.
    @inlinable package var threshold: Float { bar == .max ? .infinity : RankKey.score(bar) }

    /// What only greater keys pass; 0 while all do.
    package var barKey: UInt64 { bar }

    /// Raises the bar to `key`: as many rows as are wanted reach it, wherever they are held.
    package mutating func raiseBar(to key: UInt64) { bar = max(bar, key) }

    /// Offers the rows that `other` holds.
    package mutating func absorb(_ other: TopK) {
        for index in 0..<other.filled {
            push(key: other.keys[index])
        }
    }

    /// Offers the rows that either holds, a row that both hold once.
    package mutating func absorb(_ a: TopK, _ b: TopK) {
        var last: UInt64?
        for key in (a.keys[..<a.filled] + b.keys[..<b.filled]).sorted() where key != last {
            push(key: key)
            last = key
        }
    }

    /// Offers a row; each row once.
    @inlinable
    package mutating func push(row: UInt32, score: Float) {
        push(key: RankKey.make(row: row, score: score))
    }

    /// The same by its key.
    @inlinable
    package mutating func push(key: UInt64) {
        if key > bar {
            if filled == keys.count { grow(by: 1) }
            keys[filled] = key
            filled += 1
            if filled >= 2 * wanted { select() }
        }
    }

    /// Offers `count` rows.
    package mutating func push(rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int) {
        var start = 0
        while start < count {
            let part = min(count - start, Self.pushRows)
            if filled + part > keys.count { grow(by: part) }
            filled += keys.withUnsafeMutableBufferPointer { keys in
                guard let base = keys.baseAddress else { return 0 }
                return ck_collect_keys(rows + start, scores + start, part, bar, base + filled)
            }
            if filled >= 2 * wanted { select() }
            start += part
        }
    }

    /// Raises the threshold by what was pushed since, when that promises to be worth a selection.
    package mutating func tighten() {
        if filled >= (bar == 0 ? wanted : wanted + wanted / 4 + 1) { select() }
    }

    /// Appends the kept rows to `results`, best first, and empties itself.
    package mutating func drain(into results: inout [ScoredRow]) {
        select()
        let count = filled
        results.reserveCapacity(results.count + count)
        keys.withUnsafeMutableBufferPointer { keys in
            guard let base = keys.baseAddress else { return }
            ck_sort_descending(base, count)
            for i in 0..<count {
                results.append(ScoredRow(row: RankKey.row(base[i]), score: RankKey.score(base[i])))
            }
        }
        reset(k: wanted)
    }

    /// The kept rows, best first.
    package func sorted() -> [ScoredRow] {
        var copy = self
        var results: [ScoredRow] = []
        copy.drain(into: &results)
        return results
    }

    /// Makes room for `count` more keys.
    @usableFromInline
    mutating func grow(by count: Int) {
        // As many as there ever are for the usual widths, at once; for huge ones as they come.
        let room = max(filled + count, min(2 * wanted + Self.pushRows, max(4096, 2 * keys.count)))
        keys.append(contentsOf: repeatElement(0, count: room - keys.count))
    }

    /// Drops all but the best `k`, if there are as many, and raises the bar.
    @usableFromInline
    mutating func select() {
        guard wanted > 0, filled >= wanted else { return }
        let count = filled
        let wanted = wanted
        let least = keys.withUnsafeMutableBufferPointer { keys in
            guard let base = keys.baseAddress else { return 0 as UInt64 }
            return ck_keep_greatest(base, count, wanted)
        }
        // It may have been raised past rows that entered before.
        bar = max(bar, least)
        filled = wanted
    }
}
