import CandidateRanking
import MicroBatching
import Telemetry
import Vocabulary

/// How candidates of several requests go through a ranker together, where their scenario does not say.
package struct RankingConfiguration: Sendable, Equatable {
    /// Rows of a batch; fewer where so many take longer than a step may.
    package var batchRowsMax: Int
    /// Requests of a batch; 1: each request is ranked alone.
    package var batchRequestsMax: Int

    package init(batchRowsMax: Int = 128, batchRequestsMax: Int = 16) {
        self.batchRowsMax = batchRowsMax
        self.batchRequestsMax = batchRequestsMax
    }

    /// Of the batches that a scenario's requests are in.
    func limits(in scenario: ScenarioConfiguration?) -> BatchLimits {
        BatchLimits(
            rows: scenario?.batchRowsMax ?? batchRowsMax, requests: scenario?.batchRequestsMax ?? batchRequestsMax)
    }
}

/// The requests of a shard that wait for the ranker of one generation, and the scoring of their candidates in batches.
///
/// `BatchQueue` decides what goes when; this type carries it out, and measures what batches cost. Each batch is one call of
/// the network and one step of the shard: its rows are so few that it takes no longer than `stepNanoseconds`.
final class RankingBatcher {
    /// How long a batch may take; between two the loop looks at its sockets.
    static let stepNanoseconds: UInt64 = 250_000
    /// Rows of a batch before any was measured.
    private static let rowsAtFirst = 64
    /// Fewer rows would cost more than their length is worth.
    private static let rowsMin = 20
    /// What it costs to take a request up again after others, about: its data have left the nearest caches.
    private static let companyPriceNanoseconds: UInt64 = 4_000
    /// Networks compute five rows side by side, and embeddings four.
    private static let rowsTile = 20

    private let configuration: RankingConfiguration
    private let batches: BatchScorer
    private let metrics: ShardMetrics?
    private var queue: BatchQueue
    private var curve = ServiceTimeCurve()
    /// By the number of their seats.
    private var scorers: [CandidateScorer] = []
    /// Whether another generation serves new requests.
    var isRetired = false

    /// - Parameter seatsMax: Requests that wait here at most; the shard begins no more.
    init(_ ranker: CandidateRanker, _ configuration: RankingConfiguration, seatsMax: Int, metrics: ShardMetrics?) {
        self.configuration = configuration
        self.metrics = metrics
        batches = BatchScorer(ranker)
        queue = BatchQueue(entriesMax: seatsMax)
    }

    /// The seat with a number; no two runs may hold it at the same time.
    func seat(_ number: Int) -> RankingSeat {
        while scorers.count <= number { scorers.append(batches.makeScorer()) }
        return RankingSeat(number: number, scorer: scorers[number], batcher: self)
    }

    // MARK: Seats

    /// False when the queue is full.
    fileprivate func enter(
        _ seat: RankingSeat, in scenario: ScenarioConfiguration?, deadline: UInt64, _ now: UInt64
    ) -> Bool {
        if let metrics { seat.scorer.features.forEachMissing(metrics.countMissingFeatures) }
        return queue.add(
            seat.number, rows: seat.scorer.features.count, limits: configuration.limits(in: scenario),
            deadline: deadline, at: now)
    }

    fileprivate func leave(_ seat: RankingSeat, isLate: Bool) {
        if queue.remove(seat.number), isLate { metrics?.countBatchExpired(1) }
    }

    /// What the ranker will probably take for so many rows alone, in nanoseconds; 0 before it is known.
    func cost(rows: Int) -> UInt64 { curve.cost(rows: rows) }

    // MARK: Batches

    /// As many rows as a step has time for; requests bring limits of their own.
    private var rowsMax: Int {
        let fitting = curve.rows(within: Self.stepNanoseconds) ?? Self.rowsAtFirst
        let tiled = fitting / Self.rowsTile * Self.rowsTile
        return max(tiled, Self.rowsMin)
    }

    /// Why a batch should go before anything else is done; nil: it may wait for more rows.
    func reasonToScore(_ now: UInt64) -> BatchCloseReason? {
        guard !queue.isEmpty else { return nil }
        if isRetired { return .drain }
        return queue.reasonToClose(
            rowsMax: rowsMax, curve: curve, slack: Self.stepNanoseconds, companyPrice: Self.companyPriceNanoseconds,
            at: now)
    }

    /// Scores the next batch.
    func score(_ reason: BatchCloseReason, now: UInt64, clock: () -> UInt64) {
        let expired = queue.dropExpired(now)
        if !expired.isEmpty { metrics?.countBatchExpired(expired.count) }
        let parts = queue.takeBatch(rowsMax: rowsMax, at: now)
        guard !parts.isEmpty else { return }
        let rows = parts.reduce(0) { $0 + $1.rows.count }
        let started = clock()
        batches.score(parts.map { BatchScorer.Part(scorer: scorers[$0.id], rows: $0.rows) })
        curve.record(rows: rows, nanoseconds: clock() &- started)
        guard let metrics else { return }
        metrics.countBatch(reason, rows: rows, requests: parts.count)
        for part in parts { if let waited = part.waited { metrics.recordBatchQueue(nanoseconds: waited) } }
    }
}

/// A run's place among those whose candidates are scored together.
struct RankingSeat {
    let number: Int
    let scorer: CandidateScorer
    let batcher: RankingBatcher

    /// Computes the features of a request's candidates and puts them in line.
    ///
    /// - Parameters:
    ///   - scenario: May have limits of batches of its own.
    ///   - keepsRows: For who looks at single features.
    /// - Returns: False when too many wait.
    func enter(
        _ request: RankingRequest, in scenario: ScenarioConfiguration? = nil, keepsRows: Bool = false,
        deadline: UInt64, _ now: UInt64
    ) -> Bool {
        scorer.begin(request, keepsRows: keepsRows)
        return batcher.enter(self, in: scenario, deadline: deadline, now)
    }

    var isScored: Bool { scorer.isDone }

    /// Gives up what is not scored yet.
    ///
    /// - Parameter isLate: Because the deadline passed.
    func leave(isLate: Bool) { batcher.leave(self, isLate: isLate) }
}
