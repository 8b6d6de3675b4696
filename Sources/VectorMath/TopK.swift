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
    @usableFromInline package var keys: [UInt64]
    @usableFromInline package var wanted: Int
    /// Only greater keys can enter; 0 while all can.
    @usableFromInline package var bar: UInt64

    /// - Parameter k: Rows to keep, 0 or more.
    package init(k: Int) {
        keys = []
        wanted = 0
        bar = 0
        reset(k: k)
    }

    /// Empties it for the best `k`.
    package mutating func reset(k: Int) {
        precondition(k >= 0, "k is \(k)")
        keys.removeAll(keepingCapacity: true)
        wanted = k
        bar = k == 0 ? .max : 0
    }

    /// Rows wanted.
    @inlinable package var k: Int { wanted }
    /// Rows that would be drained now.
    @inlinable package var count: Int { min(keys.count, wanted) }
    /// A row with a lower score than this cannot enter; minus infinity while all can.
    @inlinable package var threshold: Float { bar == .max ? .infinity : RankKey.score(bar) }

    /// Offers a row; each row once.
    @inlinable
    package mutating func push(row: UInt32, score: Float) {
        let key = RankKey.make(row: row, score: score)
        if key > bar {
            keys.append(key)
            if keys.count >= 2 * wanted { select() }
        }
    }

    /// Offers `count` rows.
    package mutating func push(rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int) {
        let bar = bar
        for i in 0..<count {
            let key = RankKey.make(row: rows[i], score: scores[i])
            if key > bar { keys.append(key) }
        }
        if keys.count >= 2 * wanted { select() }
    }

    /// Raises the threshold by what was pushed since, when that promises to be worth a selection.
    package mutating func tighten() {
        if keys.count >= (bar == 0 ? wanted : wanted + wanted / 4 + 1) { select() }
    }

    /// Appends the kept rows to `results`, best first, and empties itself.
    package mutating func drain(into results: inout [ScoredRow]) {
        select()
        keys.sort(by: >)
        results.reserveCapacity(results.count + keys.count)
        for key in keys {
            results.append(ScoredRow(row: RankKey.row(key), score: RankKey.score(key)))
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

    /// Drops all but the best `k`, if there are as many, and raises the bar.
    @usableFromInline
    mutating func select() {
        guard wanted > 0, keys.count >= wanted else { return }
        let count = keys.count
        let wanted = wanted
        bar = keys.withUnsafeMutableBufferPointer { keys in
            guard let base = keys.baseAddress else { return 0 }
            return ck_keep_greatest(base, count, wanted)
        }
        keys.removeLast(count - wanted)
    }
}
