import Vocabulary

/// The degradation table: whatever may fail on the way of a request, what is served then, how the answer says so, and what
/// counts it. In the order of the stages.
///
/// docs/degradation.md shows it, and a test holds the page against it. Each row has a test that brings the failure about;
/// a row without one does not compile there.
package enum DegradationRow: String, CaseIterable, Sendable {
    case callsInFlight, noModel
    case waitsTooLong, madeWithLess, lineFullStale, lineFull, lateStale, latePopular, tooLate, lateUsers
    case oldAnswer, refillDropped
    case sharedCacheAway, sharedCachePoisoned, sharedCacheFull, invalidationLost
    case usersUnheard, itemsUnheard
    case unknownUser, noHistory, usersForgotten, foldInFailed
    case sourceMissing, trendingOld, sourceFailed, sourcesLate, nothingFound
    case fewEligible
    case featuresMissing, liveFeaturesMissing
    case rankerMissing, rankerLate, rankerBroken
    case capsTooTight
    case cursorGone, explanationLate
    case slateLogFull, slateLogBroken
    case answerTooLarge

    /// Where a request is when it happens.
    package enum Stage: String, Sendable {
        case admission, line, cache, sharedCache = "shared cache", sharedState = "shared state",
            user, retrieval, eligibility, features, ranking,
            reranking = "re-ranking", answer, slateLog = "slate log"
    }

    /// How the answer says so.
    package enum Told: Sendable, Equatable {
        /// By its degradations.
        case degraded(Degradation)
        case fallback(Fallback)
        /// By the flag of the reply for answers that are older than they should be.
        case staleFlag
        /// By its quality level.
        case qualityLevel
        /// It is an error.
        case rejected(Rejection.Reason)
        /// Users without a slate have a status of their own.
        case statuses(StatusCode)
        /// It names no request ID.
        case noRequestID
        /// Not at all: it is whole.
        case whole
    }

    package struct Entry: Sendable {
        package var stage: Stage
        package var failure: String
        package var served: String
        package var told: Told
        /// A metric, with the labels that tell the row.
        package var counter: String

        fileprivate init(
            _ stage: Stage, _ failure: String, _ served: String, _ told: Told, _ counter: String? = nil
        ) {
            self.stage = stage
            self.failure = failure
            self.served = served
            self.told = told
            if let counter {
                self.counter = counter
            } else if case .degraded(let degradation) = told {
                self.counter = #"martlet_degraded_total{reason="\#(degradation.name)"}"#
            } else if case .fallback(let fallback) = told {
                self.counter = #"martlet_fallback_total{fallback="\#(fallback.name)"}"#
            } else {
                self.counter = ""
            }
        }
    }

    package var entry: Entry {
        switch self {
        case .callsInFlight:
            Entry(
                .admission, "the connection has as many calls under way as it may", "an error, and when to come again",
                .rejected(.tooManyInFlight), #"martlet_rejected_total{reason="calls_in_flight"}"#)
        case .noModel:
            Entry(
                .admission, "no bundle is loaded yet", "an error, and when to come again", .rejected(.notReady),
                #"martlet_rejected_total{reason="not_ready"}"#)
        case .waitsTooLong:
            Entry(
                .line, "the call would wait longer than its priority may, or did while others were in time",
                "an answer from before, as below; else an error, and when to come again", .rejected(.overloaded),
                #"martlet_shed_total{priority="background"}"#)
        case .madeWithLess:
            Entry(
                .line, "more than a tenth of the slates take longer than `brownout.latency`",
                "a slate of fewer candidates, of which fewer are ranked, or none", .qualityLevel,
                #"martlet_reduced_slates_total{level="4"}"#)
        case .lineFullStale:
            Entry(
                .line, "as many calls wait for the shard as may, and an answer from before is kept",
                "that answer, if it is no older than `cache.stale_if_late` past its life", .degraded(.staleSlate))
        case .lineFull:
            Entry(
                .line, "the same, and none is kept", "an error, and when to come again", .rejected(.queueFull),
                #"martlet_rejected_total{reason="queue_full"}"#)
        case .lateStale:
            Entry(
                .line, "too little time is left for a source, and an answer from before is kept",
                "that answer, if it is no older than `cache.stale_if_late` past its life", .degraded(.staleSlate))
        case .latePopular:
            Entry(
                .line, "the same, and none is kept", "what is popular among what may be shown",
                .degraded(.popularOnly))
        case .tooLate:
            Entry(
                .line, "the deadline passed before the shard came to the call", "an error",
                .rejected(.deadlineExceeded), #"martlet_deadline_exceeded_total{stage="queue"}"#)
        case .lateUsers:
            Entry(
                .line, "the deadline of a call for many users comes before the turn of some",
                "the slates of the others", .statuses(.deadlineExceeded),
                #"martlet_deadline_exceeded_total{stage="retrieve"}"#)
        case .oldAnswer:
            Entry(
                .cache, "the kept answer is too old, by no more than `cache.stale_for`",
                "that answer, while a new one is made", .staleFlag,
                #"martlet_cache_requests_total{level="l1",result="stale"}"#)
        case .refillDropped:
            Entry(
                .cache, "too many old answers wait to be made anew",
                "the old answer until its bound, then a computed one", .staleFlag,
                #"martlet_cache_refills_total{level="l1",outcome="dropped"}"#)
        case .sharedCacheAway:
            Entry(
                .sharedCache, "Redis is away, slow, or its breaker is open", "the slate, computed", .whole,
                #"martlet_shared_cache_misses_total{reason="no_answer"}"#)
        case .sharedCachePoisoned:
            Entry(
                .sharedCache, "the value is damaged, foreign, of another version, too large, or of another key",
                "the slate, computed", .whole, #"martlet_shared_cache_misses_total{reason="bad_checksum"}"#)
        case .sharedCacheFull:
            Entry(
                .sharedCache, "Redis takes no values: full, read-only, away", "the slate; it is not shared", .whole,
                #"martlet_shared_cache_stores_total{result="failed"}"#)
        case .invalidationLost:
            Entry(
                .sharedCache, "changes of keys are not heard of any more",
                "nothing that was copied from Redis; nothing is copied until they are again", .whole,
                "martlet_shared_cache_forgotten_total")
        case .usersUnheard:
            Entry(
                .sharedState,
                "other nodes may know more of the user: Redis is away, the record has not come in time, or the slot's former holder may not have written all",
                "by what this node knows; not kept", .degraded(.staleUserState))
        case .itemsUnheard:
            Entry(
                .sharedState, "changes of items that other nodes took are not heard of for half a second",
                "the slate, by the changes that are known", .degraded(.staleUserState))
        case .unknownUser:
            Entry(
                .user, "the model does not know the user, and nothing was heard of it", "what is popular and recent",
                .fallback(.unknownUser))
        case .noHistory:
            Entry(
                .user, "nothing is known of what the user likes", "what is popular and recent", .fallback(.noHistory))
        case .usersForgotten:
            Entry(
                .user, "what events tell of users needs more bytes than it may have",
                "by what the model knows of the user who was heard of least lately", .whole,
                "martlet_live_users_evicted_total")
        case .foldInFailed:
            Entry(
                .user, "a user's events cannot be solved for (weights of event types too far apart)",
                "by the factor of the model, or without one", .degraded(.foldInFailed))
        case .sourceMissing:
            Entry(
                .retrieval, "a source of the mix is not in the bundle", "by the other sources",
                .degraded(.sourceUnavailable))
        case .trendingOld:
            Entry(
                .retrieval, "what trends was found longer ago than `live_items.age_max`, or never",
                "by the other sources", .degraded(.sourceUnavailable))
        case .sourceFailed:
            Entry(
                .retrieval, "a source throws", "by the other sources, or what is popular; not kept",
                .degraded(.sourceFailed))
        case .sourcesLate:
            Entry(
                .retrieval, "time is nearly over while sources are still to be asked",
                "what the sources before brought, in retrieval's order or ranked; not kept",
                .degraded(.deadlineTruncated))
        case .nothingFound:
            Entry(
                .retrieval, "no source finds anything", "what is popular among what may be shown",
                .degraded(.popularOnly))
        case .fewEligible:
            Entry(
                .eligibility, "fewer items than asked for may be shown", "those that may",
                .degraded(.shortSlate))
        case .featuresMissing:
            Entry(
                .features, "a value that the ranker takes is missing",
                "the slate, ranked with the value for missing ones",
                .whole, #"martlet_ranker_missing_features_total{group="context"}"#)
        case .liveFeaturesMissing:
            Entry(
                .features, "what users do just now is not known, or not freshly",
                "the slate, ranked with the values for missing ones", .degraded(.liveFeaturesMissing))
        case .rankerMissing:
            Entry(
                .ranking, "the scenario requires a ranker and the bundle has none", "retrieval's order",
                .degraded(.rankerUnavailable))
        case .rankerLate:
            Entry(
                .ranking, "ranking would miss the deadline", "retrieval's order; not kept",
                .degraded(.rankerSkipped))
        case .rankerBroken:
            Entry(
                .ranking, "a score is no number", "retrieval's order; not kept", .degraded(.rankerSkipped))
        case .capsTooTight:
            Entry(
                .reranking, "the caps leave too few items for a slate", "a slate with raised caps",
                .degraded(.capsRelaxed))
        case .cursorGone:
            Entry(
                .answer, "the generation of a cursor is gone", "the first page, by the newest generation",
                .degraded(.cursorRestarted))
        case .explanationLate:
            Entry(
                .answer, "time is nearly over while a ranked slate is explained",
                "the slate, without what its ranker made of the features", .degraded(.explanationCut))
        case .slateLogFull:
            Entry(
                .slateLog, "more slates wait to be logged than may", "the slate; it is not logged", .noRequestID,
                #"martlet_slates_total{outcome="dropped"}"#)
        case .slateLogBroken:
            Entry(
                .slateLog, "the disk refuses what is logged", "the slate; it is lost for training", .whole,
                #"martlet_slates_total{outcome="lost"}"#)
        case .answerTooLarge:
            Entry(
                .answer, "the answer fits no frame", "an error that says to ask for fewer",
                .statuses(.resourceExhausted),
                #"martlet_requests_total{method="RecommendMany",code="RESOURCE_EXHAUSTED"}"#)
        }
    }

    // MARK: The page

    /// The table as docs/degradation.md has it.
    package static var markdown: String {
        var lines = ["| stage | what fails | what is served | how the answer says so | what counts it |"]
        lines.append("|---|---|---|---|---|")
        for row in allCases {
            let entry = row.entry
            lines.append(
                "| \(entry.stage.rawValue) | \(entry.failure) | \(entry.served) | \(entry.told.words) | `\(entry.counter)` |"
            )
        }
        return lines.joined(separator: "\n")
    }
}

extension DegradationRow.Told {
    fileprivate var words: String {
        switch self {
        case .degraded(let degradation): "degraded: `\(degradation.name)`"
        case .fallback(let fallback): "fallback: `\(fallback.name)`"
        case .staleFlag: "flag `stale`"
        case .qualityLevel: "`quality_level` above 0"
        case .rejected(let reason): "\(reason.code.name)"
        case .statuses(let code): "\(code.name)"
        case .noRequestID: "no request ID"
        case .whole: "not at all: it is whole"
        }
    }
}
