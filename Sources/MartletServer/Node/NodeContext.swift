import NIOCore
import Overload
import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// What all loops of a node share: constants, the loops themselves, and a few flags.
final class NodeContext {
    /// Bounds of the connections.
    struct Limits: Sendable {
        var frameBytesMax = 1 << 20
        var connectionsMax = 20_000
        var callsInFlightMax = 1024
        /// Bytes of replies that may wait for one connection before nothing more is read from it.
        var unwrittenBytesMax = 4 << 20
        /// Bytes of unfinished frames for all connections of a loop.
        var partialBytesMax = 64 << 20
        var handshakeTimeout: Duration = .seconds(10)
        var partialFrameNanosecondsMax: UInt64 = 10_000_000_000
        var unwritableNanosecondsMax: UInt64 = 30_000_000_000
        /// Idle loops that are asked to help with one scan.
        var searchHelpers = 0
        /// 0: a connection may stay silent for ever.
        var idleNanosecondsMax: UInt64 = 0
    }

    let nodeName: String
    let partitions: PartitionMap
    let limits: Limits
    let state: NodeState
    let metrics: NodeMetrics
    let serving: ServingConfiguration
    let defaultDeadlineNanoseconds: UInt64
    let events: EventRules
    /// As the configuration has it; it holds no password. nil: no Redis.
    let redisURL: String?
    let allocator = ByteBufferAllocator()
    private let scenarioIndexes: [String: Int]
    private let scenarioNames: [String]

    /// Set once, before the first connection.
    private(set) var workers: [LoopWorker] = []
    private var control: (any NodeControl)?
    private(set) var items: ItemDesk?
    private(set) var activity: ActivityDesk?
    /// Who the node is among those that share users; nil: they are not shared. Set once, as the others.
    var sharingNode: String?

    /// - Parameter scenarioNames: In the order of their numbers in metrics; "" counts as the first.
    init(
        nodeName: String, shardCount: Int, limits: Limits, state: NodeState, metrics: NodeMetrics,
        serving: ServingConfiguration, scenarioNames: [String], defaultDeadline: Duration, events: EventRules,
        redisURL: String? = nil
    ) {
        self.redisURL = redisURL
        self.events = events
        self.nodeName = nodeName
        partitions = PartitionMap(shardCount: shardCount)
        self.limits = limits
        self.state = state
        self.metrics = metrics
        self.serving = serving
        self.scenarioNames = scenarioNames
        scenarioIndexes = Dictionary(uniqueKeysWithValues: scenarioNames.enumerated().map { ($1, $0) })
        defaultDeadlineNanoseconds = defaultDeadline.nanoseconds
    }

    func connect(
        _ workers: [LoopWorker], _ control: any NodeControl, _ items: ItemDesk, _ activity: ActivityDesk
    ) {
        self.workers = workers
        self.activity = activity
        self.items = items
        self.control = control
    }

    /// Whether all that any node said of items until half a second ago counts in this node's answers. Any thread; one atomic load
    /// and a look at the clock where changes are shared.
    var itemsAreCurrent: Bool { items?.isCurrent ?? true }

    var shardCount: Int { partitions.shardCount }

    /// The shard of a slot as it stands in a header; -1 for one that is none.
    @inline(__always)
    func shard(ofRaw slot: UInt16) -> Int {
        Int(slot) < Slot.count ? partitions.shard(of: Slot(slot)) : -1
    }

    /// The scenario's number in metrics; unknown ones count as the first.
    func scenarioIndex(_ name: String) -> Int { scenarioIndexes[name] ?? 0 }

    /// When nobody waits for a call any more, as uptime in nanoseconds.
    func deadline(_ header: FrameHeader, _ now: UInt64) -> UInt64 {
        if header.microseconds > 0 { return now &+ UInt64(header.microseconds) * 1000 }
        return defaultDeadlineNanoseconds == 0 ? .max : now &+ defaultDeadlineNanoseconds
    }

    /// Throws unless the tenant is one of this node's: the default one, named "" or "default".
    func check(tenant: UnsafeRawBufferPointer) throws(RequestFault) {
        guard !tenant.isEmpty, tenant.text != "default" else { return }
        throw RequestFault("no tenant is named '\(tenant.text)' on this node; leave the field empty")
    }

    func welcome(shard: Int) -> Welcome {
        Welcome(
            partitionMapVersion: PartitionMap.version, shardCount: shardCount, shard: shard,
            frameBytesMax: limits.frameBytesMax, callsInFlightMax: limits.callsInFlightMax, nodeName: nodeName,
            softwareVersion: BuildInfo.version)
    }

    /// Hands a call to the node's control; its answer comes through `LoopWorker.reply`.
    func control(_ call: ControlCall, _ ticket: CallTicket) {
        control?.serve(call, ticket)
    }
}

/// `workers`, `control`, `items` and `activity` are set before the first connection is accepted and only read afterwards.
extension NodeContext: @unchecked Sendable {}

/// The calls that are about the node and not about users.
enum ControlCall: Sendable {
    case health
    case listModels
    case loadModel(String)
}

/// Serves the calls that are about the node.
protocol NodeControl: AnyObject, Sendable {
    func serve(_ call: ControlCall, _ ticket: CallTicket)
}

/// The node's flags and the count of its calls; any thread.
///
/// ```
///  loading -> ready -> draining
/// ```
package final class NodeState: Sendable {
    private let ready = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    private let calls = Atomic<Int>(0)
    private let connections = Atomic<Int>(0)
    private let memory = Atomic<Int>(0)
    package let startedNanoseconds: UInt64

    init(startedNanoseconds: UInt64) { self.startedNanoseconds = startedNanoseconds }

    package var isReady: Bool { ready.load(ordering: .acquiring) && !isDraining }
    package var isDraining: Bool { draining.load(ordering: .acquiring) }
    func becomeReady() { ready.store(true, ordering: .releasing) }
    func beginDraining() { draining.store(true, ordering: .releasing) }

    /// Calls that were taken and not yet answered, cache hits left out.
    package var callsInFlight: Int { calls.load(ordering: .relaxed) }
    func callsBegan(_ count: Int) { calls.wrappingAdd(count, ordering: .relaxed) }
    func callsEnded(_ count: Int) { calls.wrappingSubtract(count, ordering: .relaxed) }

    /// What is given up for the memory's sake.
    var memoryLevel: MemoryPressure.Level { MemoryPressure.Level(rawValue: memory.load(ordering: .relaxed)) ?? .normal }
    func setMemoryLevel(_ level: MemoryPressure.Level) { memory.store(level.rawValue, ordering: .relaxed) }

    /// Whether a call is turned away for the memory's sake: one that its caller can do without, or that is for many users or
    /// items. What the caches hold is given to everybody.
    func sheds(_ method: Wire.Method, _ priority: Wire.CallPriority) -> Bool {
        guard memory.load(ordering: .relaxed) >= MemoryPressure.Level.critical.rawValue else { return false }
        switch method {
        case .recommendMany, .upsertItems: return priority != .critical
        case .health, .listModels, .loadModel: return false
        default: return priority == .sheddable || priority == .background
        }
    }

    package var connectionCount: Int { connections.load(ordering: .relaxed) }
    /// Counts a connection in; false when there are too many.
    func connectionOpened(max: Int) -> Bool {
        if connections.wrappingAdd(1, ordering: .relaxed).newValue > max {
            connections.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        return true
    }
    func connectionClosed() { connections.wrappingSubtract(1, ordering: .relaxed) }
}

extension Duration {
    /// Whole nanoseconds, at least 0.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000).partialValue
            &+ UInt64(attoseconds / 1_000_000_000)
    }
}
