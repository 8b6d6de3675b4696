import LoadBalancing
import Telemetry

/// What a client did with its calls since it was made, on one event loop or on all.
struct ClientCounts: Sendable, Equatable {
    var calls: UInt64 = 0
    var answered: UInt64 = 0
    var failed: UInt64 = 0
    var deadlinesPassed: UInt64 = 0
    var cancelled: UInt64 = 0
    /// Not taken: too many were under way.
    var refused: UInt64 = 0
}

/// What a client did with one node.
struct NodeCounts: Sendable, Equatable {
    /// First sendings.
    var picks: UInt64 = 0
    var retries: UInt64 = 0
    var hedges: UInt64 = 0
    var probes: UInt64 = 0
    /// Sendings that nobody waited for any more, hedges among them.
    var cancelled: UInt64 = 0
    var hedgesCancelled: UInt64 = 0
    var answered: UInt64 = 0
    /// Answers that a healthy node gives to a bad question.
    var refused: UInt64 = 0
    var failed: UInt64 = 0
    /// Turned away before work began.
    var rejected: UInt64 = 0
    /// The connection ended first.
    var lost: UInt64 = 0
    var ejections: UInt64 = 0
    var restored: UInt64 = 0
    var connects: UInt64 = 0
    var connectFailures: UInt64 = 0
    /// The last connection was lost.
    var disconnects: UInt64 = 0
    var goaways: UInt64 = 0
    /// Answers by how long they took, in the buckets of `DurationBuckets`; empty before the first.
    var latencyCounts: [UInt64] = []
    var latencyNanoseconds: UInt64 = 0

    mutating func record(latency: UInt64) {
        if latencyCounts.isEmpty { latencyCounts = [UInt64](repeating: 0, count: DurationBuckets.count) }
        latencyCounts[DurationBuckets.bucket(latency)] += 1
        latencyNanoseconds &+= latency
    }

    mutating func count(_ outcome: AttemptOutcome) {
        switch outcome {
        case .success: answered += 1
        case .refused: refused += 1
        case .failed: failed += 1
        case .rejected: rejected += 1
        case .connectionLost: lost += 1
        case .notSent: break
        }
    }
}
