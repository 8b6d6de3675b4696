import Overload
import Telemetry
import Vocabulary

/// Where an answer goes. The server's side of a call that waits for a shard.
///
/// Cancellation may come from the connection's thread while the call waits in another.
package protocol CallOrigin: AnyObject, Sendable {
    /// Whether nobody waits for the answer any more.
    var isCancelled: Bool { get }
}

/// A call that waits for its shard.
package struct ShardCall: Sendable {
    package var request: ShardRequest
    /// Uptime in nanoseconds when the call arrived.
    package var arrived: UInt64
    /// Uptime in nanoseconds after which nobody wants the answer; `UInt64.max` for none.
    package var deadline: UInt64
    package var origin: any CallOrigin
    /// The request's bytes, where its answer may be kept under them; calls of the same bytes wait for one answer.
    package var key: [UInt8]?
    package var priority: CallPriority

    package init(
        request: ShardRequest, arrived: UInt64, deadline: UInt64, origin: any CallOrigin, key: [UInt8]? = nil,
        priority: CallPriority = .normal
    ) {
        self.key = key
        self.priority = priority
        self.request = request
        self.arrived = arrived
        self.deadline = deadline
        self.origin = origin
    }
}

/// Where the time of one answered call went, in nanoseconds.
package struct StageTimes: Sendable {
    package var queue: UInt64 = 0
    package var retrieve: UInt64 = 0
    package var filter: UInt64 = 0
    package var rank: UInt64 = 0
    package var fuse: UInt64 = 0
    package var rerank: UInt64 = 0
}

extension CallPriority {
    /// As metrics name it.
    var counted: PriorityLabel {
        switch self {
        case .critical: .critical
        case .normal: .normal
        case .sheddable: .sheddable
        case .background: .background
        }
    }
}
