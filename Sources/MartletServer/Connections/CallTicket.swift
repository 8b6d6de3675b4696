import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// A call that could not be answered at once: where its answer goes, and what is needed to keep the answer.
///
/// Made on the connection's loop; `isCancelled` is the one field that another loop may read while it changes.
final class CallTicket: CallOrigin {
    /// The loop of the connection that waits.
    let home: LoopWorker
    /// Touched on `home`'s loop alone.
    let connection: ConnectionHandler
    let callID: UInt32
    let method: Wire.Method
    /// Uptime in nanoseconds when the call arrived.
    let arrived: UInt64
    /// Uptime in nanoseconds; `UInt64.max` for none.
    let deadline: UInt64
    /// The request's bytes when its answer may be kept under them.
    let cacheKey: [UInt8]?
    /// Known once the request is decoded; written by the loop that holds the call.
    var scenario: String
    /// The caller's own request ID, where slates are logged and one came.
    let requestID: String?
    let priority: CallPriority
    /// What the answer depends on, where it may be put into the cache beside the node; the same loop's.
    var origin: AnswerOrigin?
    /// Collects the parts when the call was split over shards.
    let gather: (any CallGather)?

    private let cancelled = Atomic<Bool>(false)

    init(
        home: LoopWorker, connection: ConnectionHandler, callID: UInt32, method: Wire.Method, arrived: UInt64,
        deadline: UInt64, cacheKey: [UInt8]? = nil, scenario: String = "", requestID: String? = nil,
        priority: CallPriority = .normal, gather: (any CallGather)? = nil
    ) {
        self.priority = priority
        self.requestID = requestID
        self.home = home
        self.connection = connection
        self.callID = callID
        self.method = method
        self.arrived = arrived
        self.deadline = deadline
        self.cacheKey = cacheKey
        self.scenario = scenario
        self.gather = gather
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    /// Work on the call that has not begun will not begin.
    func cancel() { cancelled.store(true, ordering: .relaxed) }
}

/// `connection` and `gather` are read by other loops only to be handed back to the home loop.
extension CallTicket: @unchecked Sendable {}

/// The answer to a call that several shards work on. Belongs to the connection's loop.
protocol CallGather: AnyObject {
    /// Takes one shard's part; true when it was the last.
    func add(_ answer: ShardAnswer) -> Bool
    /// Encodes the whole, once all parts are there.
    func encode(with encoder: AnswerEncoder) -> (StatusCode, ReplyFlags)
}

/// The slates of many users.
final class ManyGather: CallGather {
    private var partsLeft: Int
    private var slates: [ManySlates] = []
    private var rejection: Rejection?

    init(parts: Int) { partsLeft = parts }

    func encode(with encoder: AnswerEncoder) -> (StatusCode, ReplyFlags) {
        if let rejection { return encoder.encode(.rejected(rejection)) }
        return encoder.encode(slates)
    }

    func add(_ answer: ShardAnswer) -> Bool {
        switch answer {
        case .slates(let part): slates.append(part)
        case .rejected(let rejection): self.rejection = self.rejection ?? rejection
        case .slate, .similarItems, .item, .ranked, .recorded:
            rejection = Rejection(.internalFault, "a part of the answer has the wrong kind")
        }
        partsLeft -= 1
        return partsLeft == 0
    }
}
