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

/// The best `k` of the rows pushed so far, in a binary heap with the worst kept row at its root.
///
/// A caller that scores many rows skips those below `threshold` and pushes the rest; the result does not depend on the
/// order of pushes. Storage is reused by `reset(k:)`, so a warm one allocates nothing.
package struct TopK: Sendable {
    @usableFromInline package var heap: [UInt64]
    @usableFromInline package var capacity: Int
    @usableFromInline package var cachedThreshold: Float

    /// - Parameter k: Rows to keep, 0 or more.
    package init(k: Int) {
        precondition(k >= 0, "k is \(k)")
        heap = []
        heap.reserveCapacity(k)
        capacity = k
        cachedThreshold = k == 0 ? .infinity : -.infinity
    }

    /// Empties it for the best `k`.
    package mutating func reset(k: Int) {
        precondition(k >= 0, "k is \(k)")
        heap.removeAll(keepingCapacity: true)
        heap.reserveCapacity(k)
        capacity = k
        cachedThreshold = k == 0 ? .infinity : -.infinity
    }

    /// Rows kept.
    @inlinable package var count: Int { heap.count }
    @inlinable package var k: Int { capacity }
    /// A row with a lower score than this cannot enter; minus infinity until `k` rows are kept.
    @inlinable package var threshold: Float { cachedThreshold }

    /// Offers a row.
    @inlinable
    package mutating func push(row: UInt32, score: Float) {
        pushKey(RankKey.make(row: row, score: score))
    }

    /// Offers `count` rows.
    @inlinable
    package mutating func push(rows: UnsafePointer<UInt32>, scores: UnsafePointer<Float>, count: Int) {
        for i in 0..<count {
            pushKey(RankKey.make(row: rows[i], score: scores[i]))
        }
    }

    @inlinable @inline(__always)
    package mutating func pushKey(_ key: UInt64) {
        if heap.count < capacity {
            heap.append(key)
            siftUp()
            if heap.count == capacity { cachedThreshold = RankKey.score(heap[0]) }
        } else if capacity > 0 && key > heap[0] {
            siftDown(key)
            cachedThreshold = RankKey.score(heap[0])
        }
    }

    /// Appends the kept rows to `results`, best first, and empties itself.
    package mutating func drain(into results: inout [ScoredRow]) {
        heap.sort(by: >)
        results.reserveCapacity(results.count + heap.count)
        for key in heap {
            results.append(ScoredRow(row: RankKey.row(key), score: RankKey.score(key)))
        }
        reset(k: capacity)
    }

    /// The kept rows, best first.
    package func sorted() -> [ScoredRow] {
        var copy = self
        var results: [ScoredRow] = []
        copy.drain(into: &results)
        return results
    }

    @inlinable
    mutating func siftUp() {
        heap.withUnsafeMutableBufferPointer { heap in
            var at = heap.count - 1
            let key = heap[at]
            while at > 0 {
                let parent = (at - 1) / 2
                if heap[parent] <= key { break }
                heap[at] = heap[parent]
                at = parent
            }
            heap[at] = key
        }
    }

    /// Replaces the root by `key`.
    @inlinable
    mutating func siftDown(_ key: UInt64) {
        heap.withUnsafeMutableBufferPointer { heap in
            let count = heap.count
            var at = 0
            while true {
                var child = 2 * at + 1
                if child >= count { break }
                if child + 1 < count && heap[child + 1] < heap[child] { child += 1 }
                if heap[child] >= key { break }
                heap[at] = heap[child]
                at = child
            }
            heap[at] = key
        }
    }
}
