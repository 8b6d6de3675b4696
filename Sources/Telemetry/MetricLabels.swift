// The values that labels may take. Labels come from these enums or from configuration, never from a caller.

/// The methods of the protocol, by their number on the wire.
package enum CallMethod: UInt8, CaseIterable, Sendable {
    /// A method number that the node does not know.
    case unknown = 0
    case recommend = 1
    case recommendMany = 2
    case similarItems = 3
    case getItem = 4
    case health = 5
    case listModels = 6
    case loadModel = 7
    case rank = 8
    case recordEvents = 9
    case upsertItems = 10
    case deleteItems = 11
    case setAvailability = 12

    package var label: String {
        switch self {
        case .unknown: "unknown"
        case .recommend: "Recommend"
        case .recommendMany: "RecommendMany"
        case .similarItems: "SimilarItems"
        case .getItem: "GetItem"
        case .health: "Health"
        case .listModels: "ListModels"
        case .loadModel: "LoadModel"
        case .rank: "Rank"
        case .recordEvents: "RecordEvents"
        case .upsertItems: "UpsertItems"
        case .deleteItems: "DeleteItems"
        case .setAvailability: "SetAvailability"
        }
    }
}

/// How a request for a slate ended, as the person who waits sees it.
package enum RequestOutcome: UInt8, CaseIterable, Sendable {
    /// From the result cache.
    case cached
    /// Computed, whole.
    case served
    /// Computed, with a fallback or something left out.
    case degraded
    /// An error was answered.
    case failed

    package var label: String {
        switch self {
        case .cached: "cached"
        case .served: "served"
        case .degraded: "degraded"
        case .failed: "failed"
        }
    }
}

/// The stages of a request, in their order.
package enum RequestStage: UInt8, CaseIterable, Sendable {
    case decode, admission, queue, cache, retrieve, rank, fuse, filter, rerank, encode

    package var label: String {
        switch self {
        case .decode: "decode"
        case .admission: "admission"
        case .queue: "queue"
        case .cache: "cache"
        case .retrieve: "retrieve"
        case .rank: "rank"
        case .fuse: "fuse"
        case .filter: "filter"
        case .rerank: "rerank"
        case .encode: "encode"
        }
    }
}

package enum CacheLevel: UInt8, CaseIterable, Sendable {
    case l1
    /// Beside the node.
    case l2

    package var label: String { self == .l1 ? "l1" : "l2" }
}

package enum CacheResult: UInt8, CaseIterable, Sendable {
    case hit, miss
    /// Served although older than its time to live, and marked so; part of neither `hit` nor `miss`.
    case stale
    /// The call asked not to be served from the cache, or could not be.
    case bypass

    package var label: String {
        switch self {
        case .hit: "hit"
        case .miss: "miss"
        case .stale: "stale"
        case .bypass: "bypass"
        }
    }
}

/// Why an answer left the result cache.
package enum CacheDeparture: UInt8, CaseIterable, Sendable {
    case room, generation, expired, epoch

    package var label: String {
        switch self {
        case .room: "room"
        case .generation: "generation"
        case .expired: "expired"
        case .epoch: "epoch"
        }
    }
}

/// Why an answer of the result cache was not served.
package enum CacheUnfitness: UInt8, CaseIterable, Sendable {
    case generation, expired, window, epoch, items

    package var label: String {
        switch self {
        case .generation: "generation"
        case .expired: "expired"
        case .window: "window"
        case .epoch: "epoch"
        case .items: "items"
        }
    }
}

/// What became of answers that were offered to the result cache.
package enum CacheAdmission: UInt8, CaseIterable, Sendable {
    /// Taken in, or in place of an older one.
    case inserted
    /// Went on from the window to the main queue.
    case admitted
    /// Left the window for good.
    case rejected
    /// Too large to be kept, or void already.
    case refused

    package var label: String {
        switch self {
        case .inserted: "inserted"
        case .admitted: "admitted"
        case .rejected: "rejected"
        case .refused: "refused"
        }
    }
}

/// What became of answers that were to be made although nobody waited for them.
package enum CacheRefill: UInt8, CaseIterable, Sendable {
    /// Made in place of stale ones; made for active users after a start or a swap.
    case stale, warm
    /// Not made, as there was no room in line.
    case dropped
    /// Tried, but no answer that can be kept came of it.
    case failed

    package var label: String {
        switch self {
        case .stale: "stale"
        case .warm: "warm"
        case .dropped: "dropped"
        case .failed: "failed"
        }
    }
}

/// Which chain link served a user that has no sources of its own.
package enum FallbackReason: UInt8, CaseIterable, Sendable {
    case noHistory, unknownUser

    package var label: String {
        switch self {
        case .noHistory: "no_history"
        case .unknownUser: "unknown_user"
        }
    }
}

/// What was left out of an answer that was given all the same.
package enum DegradedReason: UInt8, CaseIterable, Sendable {
    case sourceUnavailable, deadlineTruncated, cursorRestarted, shortSlate, rankerUnavailable, rankerSkipped,
        capsRelaxed

    package var label: String {
        switch self {
        case .sourceUnavailable: "source_unavailable"
        case .deadlineTruncated: "deadline_truncated"
        case .cursorRestarted: "cursor_restarted"
        case .shortSlate: "short_slate"
        case .rankerUnavailable: "ranker_unavailable"
        case .rankerSkipped: "ranker_skipped"
        case .capsRelaxed: "caps_relaxed"
        }
    }
}

/// Why an item of a slate is not where its score would have put it.
package enum RerankingEffect: UInt8, CaseIterable, Sendable {
    /// Chance put it in the place of the best one.
    case explored
    /// A pin put it there.
    case pinned

    package var label: String {
        switch self {
        case .explored: "explored"
        case .pinned: "pinned"
        }
    }
}

/// Why a call was turned away before any work was done for it.
package enum RejectionReason: UInt8, CaseIterable, Sendable {
    case queueFull, callsInFlight, notReady, draining, invalid, methodUnknown, logRefuses, overloaded

    package var label: String {
        switch self {
        case .queueFull: "queue_full"
        case .callsInFlight: "calls_in_flight"
        case .notReady: "not_ready"
        case .draining: "draining"
        case .invalid: "invalid"
        case .methodUnknown: "method_unknown"
        case .logRefuses: "log_refuses"
        case .overloaded: "overloaded"
        }
    }
}

/// How important a call is, the most important first.
package enum PriorityLabel: UInt8, CaseIterable, Sendable {
    case critical, normal, sheddable, background

    package var label: String {
        switch self {
        case .critical: "critical"
        case .normal: "normal"
        case .sheddable: "sheddable"
        case .background: "background"
        }
    }
}

/// What became of an event.
package enum EventOutcome: UInt8, CaseIterable, Sendable {
    case stored, duplicate, invalid, refused, unknownItem

    package var label: String {
        switch self {
        case .stored: "stored"
        case .duplicate: "duplicate"
        case .invalid: "invalid"
        case .refused: "refused"
        case .unknownItem: "unknown_item"
        }
    }
}

/// Why a connection was refused or closed by the node.
package enum ConnectionRefusal: UInt8, CaseIterable, Sendable {
    case connectionLimit, handshakeTimeout, idleTimeout, slowReader, protocolError

    package var label: String {
        switch self {
        case .connectionLimit: "connection_limit"
        case .handshakeTimeout: "handshake_timeout"
        case .idleTimeout: "idle_timeout"
        case .slowReader: "slow_reader"
        case .protocolError: "protocol_error"
        }
    }
}

/// What was wrong with a frame.
package enum FrameFault: UInt8, CaseIterable, Sendable {
    case tooLarge, malformedHeader, version, kind, body, beforeHello

    package var label: String {
        switch self {
        case .tooLarge: "too_large"
        case .malformedHeader: "malformed_header"
        case .version: "version"
        case .kind: "kind"
        case .body: "body"
        case .beforeHello: "before_hello"
        }
    }
}

/// How an attempt to serve another bundle ended.
package enum SwapResult: UInt8, CaseIterable, Sendable {
    /// The new generation serves.
    case swapped
    /// The bundle was not sound, or not under the models root; the old generation serves on.
    case refused
    /// Something else went wrong; the old generation serves on.
    case failed

    package var label: String {
        switch self {
        case .swapped: "swapped"
        case .refused: "refused"
        case .failed: "failed"
        }
    }
}

/// What the node's memory is spent on, as far as the node counts it itself.
package enum MemoryPart: UInt8, CaseIterable, Sendable {
    case userFactors, itemFactors, index, itemNeighbors, userDirectory, itemCatalogue, ranker, resultCache, liveState,
        content, userNeighbors, foldIn

    package var label: String {
        switch self {
        case .userFactors: "user_factors"
        case .itemFactors: "item_factors"
        case .index: "index"
        case .itemNeighbors: "item_neighbors"
        case .userDirectory: "user_directory"
        case .itemCatalogue: "item_catalogue"
        case .ranker: "ranker"
        case .resultCache: "result_cache"
        case .liveState: "live_state"
        case .content: "content"
        case .userNeighbors: "user_neighbors"
        case .foldIn: "fold_in"
        }
    }
}
