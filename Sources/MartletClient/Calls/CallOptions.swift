import Vocabulary
import Wire

public typealias TraceContext = Wire.TraceContext
public typealias RecommendRequest = Wire.RecommendRequest
public typealias RecommendReply = Wire.RecommendReply
public typealias RecommendManyRequest = Wire.RecommendManyRequest
public typealias RecommendManyReply = Wire.RecommendManyReply
public typealias RankRequest = Wire.RankRequest
public typealias RankReply = Wire.RankReply
public typealias SimilarItemsRequest = Wire.SimilarItemsRequest
public typealias SimilarItemsReply = Wire.SimilarItemsReply
public typealias GetItemRequest = Wire.GetItemRequest
public typealias GetItemReply = Wire.GetItemReply
public typealias UpsertItemsRequest = Wire.UpsertItemsRequest
public typealias DeleteItemsRequest = Wire.DeleteItemsRequest
public typealias SetAvailabilityRequest = Wire.SetAvailabilityRequest
public typealias ChangeItemsReply = Wire.ChangeItemsReply
public typealias ItemFault = Wire.ItemFault
public typealias ItemStatus = Wire.ItemStatus
public typealias HealthReply = Wire.HealthReply
public typealias ModelInfo = Wire.ModelInfo
public typealias ListModelsReply = Wire.ListModelsReply
public typealias LoadModelRequest = Wire.LoadModelRequest
public typealias LoadModelReply = Wire.LoadModelReply
public typealias UserEvent = Vocabulary.UserEvent
public typealias RecordEventsRequest = Wire.RecordEventsRequest
public typealias RecordEventsReply = Wire.RecordEventsReply
public typealias EventFault = Wire.EventFault
public typealias EventStatus = Wire.EventStatus
public typealias Durability = Wire.Durability
public typealias AttributeCondition = Wire.AttributeCondition
public typealias AttributeFilter = Wire.AttributeFilter
public typealias CallPriority = Wire.CallPriority
public typealias RequestLimits = Wire.RequestLimits
public typealias ContextEntry = Wire.ContextEntry
public typealias Pin = Wire.Pin
public typealias Placement = Wire.Placement
public typealias RankerFeatures = Wire.RankerFeatures
public typealias SourceShare = Wire.SourceShare
public typealias StageTiming = Wire.StageTiming
public typealias Fallback = Wire.Fallback
public typealias Degradations = Wire.Degradations

/// What a call may want beside its request.
public struct CallOptions: Sendable {
    /// Instead of the configured timeout. `nil` takes that.
    public var timeout: Duration?
    /// Travels with the call.
    public var trace: TraceContext?
    /// An ID of the caller's for a slate, 1 to 64 bytes: calls that name the same one are logged all or none, and events
    /// that name it belong to them. "": the node makes one where it logs a slate (`RecommendReply.requestID`).
    public var requestID = ""
    /// The answer is not to come from the node's result cache, nor to enter it.
    public var bypassesCache = false
    /// What a node that has too much to do answers first, and turns away last.
    public var priority = CallPriority.normal
    /// Told what the node said about the answer, before the answer is returned. Runs on the connection's event loop:
    /// it must not block.
    public var onReply: (@Sendable (ReplyInfo) -> Void)?

    public init(timeout: Duration? = nil, trace: TraceContext? = nil, bypassesCache: Bool = false) {
        self.timeout = timeout
        self.trace = trace
        self.bypassesCache = bypassesCache
    }
}

/// What the node says about an answer beside the answer.
public struct ReplyInfo: Sendable, Hashable {
    /// Time between the call's arrival and its answer, in the node.
    public var serverMicroseconds: UInt32
    /// 0 is idle, 65535 is full.
    public var loadHint: UInt16
    /// The answer came from the node's result cache.
    public var isCached: Bool
    /// It is older than the node wanted to show, and a new one is being made.
    public var isStale = false
}
