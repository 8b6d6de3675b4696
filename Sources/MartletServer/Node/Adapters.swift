import Foundation
import LiveState
import NIOCore
import Overload
import Retrieval
import Serving
import Telemetry
import Vocabulary
import Wire

// Where one room's words become another's: each mapping stands here once.

extension ServingConfiguration {
    init(_ configuration: ServerConfiguration) {
        var scenarios: [String: Serving.ScenarioConfiguration] = [:]
        for (name, scenario) in configuration.scenarios { scenarios[name] = Serving.ScenarioConfiguration(scenario) }
        // A call that names no scenario is served as `default`.
        scenarios[""] = scenarios["default"] ?? Serving.ScenarioConfiguration()
        self.init(
            scenarios: scenarios,
            cache: ResultCacheConfiguration(
                bytesMax: configuration.cache.bytes, timeToLive: configuration.cache.ttl,
                timeToLiveMin: configuration.cache.ttlMin, visits: configuration.cache.ttlVisits,
                staleFor: configuration.cache.staleFor, answerBytesMax: configuration.cache.entryBytesMax,
                backgroundShare: configuration.cache.backgroundShare, warmKeysMax: configuration.cache.warmKeys),
            itemsMax: configuration.limits.kMax, queuedCallsMax: configuration.limits.queuedRequestsMax,
            callsTogetherMax: configuration.callsTogether,
            ranking: RankingConfiguration(
                batchRowsMax: configuration.ranking.batchRows, batchRequestsMax: configuration.ranking.batchRequests))
        queueWaitNanoseconds = configuration.limits.queueWait.nanoseconds
        latencyObjectiveNanoseconds = configuration.brownout.latency.nanoseconds
        qualityLevelMin = QualityLevel(rawValue: UInt8(clamping: configuration.brownout.level)) ?? .full
        activityAgeMaxNanoseconds = configuration.liveItems.ageMax.nanoseconds
        slateCandidatesMax = configuration.slates.candidatesMax
    }
}

extension ItemActivityConfiguration {
    init(_ items: LiveItemsConfiguration) {
        self.init()
        fastHalfLife = Double(items.fastHalfLife.nanoseconds) / 1e9
        slowHalfLife = Double(items.slowHalfLife.nanoseconds) / 1e9
        priorImpressions = Double(items.priorImpressions)
        trendingMax = items.trendingMax
        bytesMax = items.bytesMax
    }
}

extension Serving.ScenarioConfiguration {
    init(_ scenario: ScenarioConfiguration) {
        self.init(
            k: scenario.k, mix: scenario.retrieval, ranker: scenario.ranker, rankCandidates: scenario.rankCandidates,
            timeToLive: scenario.cacheTTL, reranking: scenario.reranking.flatMap { $0.isEmpty ? nil : $0 })
        batchRowsMax = scenario.batchRows
        batchRequestsMax = scenario.batchRequests
    }
}

extension RetrievalModel.Options {
    init(_ configuration: ServerConfiguration) {
        self.init(
            index: configuration.index, recallMin: configuration.recallMin, itemRows: configuration.itemRows,
            graphRows: configuration.graphRows)
        foldsIn = true
        for scenario in configuration.scenarios.values {
            sources.formUnion((scenario.retrieval?.sources ?? []).map(\.source))
        }
    }
}

extension NodeContext.Limits {
    init(_ configuration: ServerConfiguration) {
        let limits = configuration.limits
        frameBytesMax = limits.frameBytesMax
        connectionsMax = limits.connectionsMax
        callsInFlightMax = limits.callsInFlightMax
        unwrittenBytesMax = limits.writeBufferBytesMax
        handshakeTimeout = limits.handshakeTimeout
        partialFrameNanosecondsMax = limits.handshakeTimeout.nanoseconds
        searchHelpers = configuration.searchHelpers
        idleNanosecondsMax = limits.idleTimeout.nanoseconds
    }
}

extension Optional where Wrapped == Wire.Method {
    /// The method as metrics name it.
    var counted: CallMethod { map { CallMethod(rawValue: $0.rawValue) ?? .unknown } ?? .unknown }
}

extension Wire.Method {
    var counted: CallMethod { CallMethod(rawValue: rawValue) ?? .unknown }
}

extension FrameError {
    var counted: FrameFault {
        switch self {
        case .badVersion: .version
        case .tooLarge: .tooLarge
        case .tooSmall, .extensionTooLong: .malformedHeader
        }
    }
}

extension Generation.MemoryPart {
    var counted: MemoryPart {
        switch self {
        case .userFactors: .userFactors
        case .itemFactors: .itemFactors
        case .index: .index
        case .itemNeighbors: .itemNeighbors
        case .userDirectory: .userDirectory
        case .itemCatalogue: .itemCatalogue
        case .ranker: .ranker
        case .content: .content
        case .userNeighbors: .userNeighbors
        case .foldIn: .foldIn
        }
    }
}

extension ShardMetrics {
    /// Counts a rejection under its reason, where it has one among those of the catalogue.
    func countRejected(_ reason: Rejection.Reason) {
        switch reason {
        case .queueFull: countRejected(RejectionReason.queueFull)
        case .overloaded: countRejected(RejectionReason.overloaded)
        case .tooManyInFlight: countRejected(RejectionReason.callsInFlight)
        case .notReady: countRejected(RejectionReason.notReady)
        case .draining: countRejected(RejectionReason.draining)
        case .unimplemented: countRejected(RejectionReason.methodUnknown)
        case .invalidArgument, .unknownTenant, .unknownScenario, .permissionDenied, .failedPrecondition:
            countRejected(RejectionReason.invalid)
        case .logFull, .logBroken: countRejected(RejectionReason.logRefuses)
        case .unknownItem, .deadlineExceeded, .cancelled, .internalFault: break
        }
    }

    /// Counts what a computed slate was like.
    func count(_ slate: Slate) {
        switch slate.fallback {
        case .none: break
        case .noHistory: countFallback(.noHistory)
        case .unknownUser: countFallback(.unknownUser)
        }
        for degradation in slate.degraded.members {
            switch degradation {
            case .sourceUnavailable: countDegraded(.sourceUnavailable)
            case .deadlineTruncated: countDegraded(.deadlineTruncated)
            case .cursorRestarted: countDegraded(.cursorRestarted)
            case .shortSlate: countDegraded(.shortSlate)
            case .capsRelaxed: countDegraded(.capsRelaxed)
            case .rankerUnavailable: countDegraded(.rankerUnavailable)
            case .rankerSkipped: countDegraded(.rankerSkipped)
            }
        }
        if slate.quality != .full { countReduced(level: Int(slate.quality.rawValue), 1) }
        if let draws = slate.draws { countReranked(.explored, draws.exploredItems) }
        if slate.pinnedItems > 0 { countReranked(.pinned, slate.pinnedItems) }
        for (source, count, plan) in slate.candidates {
            countCandidates(count, from: source)
            if let plan { countSearch(plan) }
        }
    }
}

extension TimeAmount {
    init(_ duration: Duration) { self = .nanoseconds(Int64(clamping: duration.nanoseconds)) }
}

extension Overload.CallPriority {
    init(_ priority: Wire.CallPriority) {
        switch priority {
        case .critical: self = .critical
        case .normal: self = .normal
        case .sheddable: self = .sheddable
        case .background: self = .background
        }
    }
}
