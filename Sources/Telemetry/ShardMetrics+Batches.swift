import Vocabulary

/// The buckets of histograms of counts: powers of two up to 4096, and one for the rest.
package enum CountBuckets {
    /// Upper bounds, inclusive.
    static let bounds: [UInt64] = (0..<(count - 1)).map { 1 << UInt64($0) }

    /// Buckets, the one for the rest included.
    @inlinable package static var count: Int { 14 }

    /// The bucket of a count; that of 0 is the first.
    @inlinable
    package static func bucket(_ value: UInt64) -> Int {
        value <= 1 ? 0 : min(64 &- (value &- 1).leadingZeroBitCount, count &- 1)
    }
}

extension ShardMetrics {
    /// Counts a batch of rows that went through a ranker.
    package func countBatch(_ reason: BatchCloseReason, rows: Int, requests: Int) {
        cells.add(1, to: smallAt &+ Layout.batchClosed &+ Int(reason.rawValue))
        observe(count: rows, at: smallAt &+ Layout.batchRows)
        observe(count: requests, at: smallAt &+ Layout.batchRequests)
    }

    /// Records how long a request waited for its first batch.
    package func recordBatchQueue(nanoseconds: UInt64) { observe(nanoseconds, at: smallAt &+ Layout.batchQueue) }

    /// Counts requests whose deadline passed before all their rows were scored.
    package func countBatchExpired(_ requests: Int) {
        cells.add(UInt64(truncatingIfNeeded: requests), to: smallAt &+ Layout.batchExpired)
    }

    /// Counts feature values that stood in for missing ones.
    package func countMissingFeatures(_ group: FeatureGroup, _ values: Int) {
        cells.add(UInt64(truncatingIfNeeded: values), to: smallAt &+ Layout.missingFeatures &+ Int(group.rawValue))
    }

    package func missingFeatures(_ group: FeatureGroup) -> UInt64 {
        cells.read(smallAt &+ Layout.missingFeatures &+ Int(group.rawValue))
    }

    private func observe(count: Int, at histogram: Int) {
        let count = UInt64(truncatingIfNeeded: count)
        cells.add(1, to: histogram &+ CountBuckets.bucket(count))
        cells.add(count, to: histogram &+ CountBuckets.count)
    }

    /// Batches by why they were closed.
    package func batches(closed reason: BatchCloseReason) -> UInt64 {
        cells.read(smallAt &+ Layout.batchClosed &+ Int(reason.rawValue))
    }

    /// Rows that went through a ranker.
    package var batchedRows: UInt64 { cells.read(smallAt &+ Layout.batchRows &+ CountBuckets.count) }

    /// Parts of requests in all batches.
    package var batchedRequests: UInt64 { cells.read(smallAt &+ Layout.batchRequests &+ CountBuckets.count) }

    package var batchesExpired: UInt64 { cells.read(smallAt &+ Layout.batchExpired) }
}
