import Synchronization
import Wire

/// What happened to a call that brought no good answer. The first 17 are the answers' status codes.
package enum Outcome {
    static let count = 21
    /// No answer within the time that was given.
    static let timedOut = 17
    /// The connection broke while the call was in flight.
    static let connectionLost = 18
    /// Due in an open loop, but never sent: every connection was full.
    static let unsent = 19
    /// A status code that this tool does not know.
    static let otherStatus = 20
}

/// What one thread counted in one interval.
struct IntervalCounters {
    var start: UInt64 = 0
    var end: UInt64 = 0
    /// Answers that came in, good ones only.
    var completed: UInt64 = 0
    /// Of the judged answers, those from the node's result cache.
    var cached: UInt64 = 0
    var bytesReceived: UInt64 = 0
    /// Answers to calls that had been given up.
    var lateReplies: UInt64 = 0
    /// The thread's CPU time so far; nanoseconds.
    var cpu: UInt64 = 0
}

/// The figures of one method.
struct MethodFigures {
    var client: LatencyFigures
    var server: LatencyFigures
}

/// What one thread measured in one interval. Filled by the thread without locks, then handed over whole.
///
/// `@unchecked Sendable`: has one owner at a time; `RecordExchange` passes it on.
final class IntervalRecord: @unchecked Sendable {
    /// One for each method byte; only those of the mix are ever touched.
    let methods: UnsafeMutablePointer<MethodFigures>
    let outcomes: UnsafeMutablePointer<UInt64>
    static let methodCount = 16

    let counters: UnsafeMutablePointer<IntervalCounters>

    init() {
        methods = .allocate(capacity: IntervalRecord.methodCount)
        for index in 0..<IntervalRecord.methodCount {
            (methods + index).initialize(
                to: MethodFigures(client: .inNanoseconds(), server: .inMicroseconds()))
        }
        counters = .allocate(capacity: 1)
        counters.initialize(to: IntervalCounters())
        outcomes = .allocate(capacity: Outcome.count)
        outcomes.initialize(repeating: 0, count: Outcome.count)
    }

    deinit {
        methods.deinitialize(count: IntervalRecord.methodCount)
        methods.deallocate()
        outcomes.deallocate()
        counters.deallocate()
    }

    func reset() {
        for index in 0..<IntervalRecord.methodCount where !methods[index].client.isEmpty {
            methods[index].client.reset()
            methods[index].server.reset()
        }
        outcomes.update(repeating: 0, count: Outcome.count)
        counters.pointee = IntervalCounters()
    }
}

/// Between a sending thread and the one that reports: full records one way, empty ones back; broken connections one
/// way, fresh ones back.
final class RecordExchange: Sendable {
    struct Fresh: Sendable {
        let index: Int
        let descriptor: Int32
        let shard: Int
    }

    private struct State {
        var full: [IntervalRecord] = []
        var empty: [IntervalRecord] = []
        var lost: [Int] = []
        var fresh: [Fresh] = []
    }

    private let state = Mutex(State())
    let hasFresh = Atomic<Bool>(false)
    let isFinished = Atomic<Bool>(false)

    /// Hands over a full record and brings an empty one.
    func turnOver(_ record: IntervalRecord) -> IntervalRecord {
        let empty = state.withLock { state in
            state.full.append(record)
            return state.empty.popLast()
        }
        return empty ?? IntervalRecord()
    }

    func takeFull() -> [IntervalRecord] {
        state.withLock { state in
            defer { state.full = [] }
            return state.full
        }
    }

    func giveBack(_ record: IntervalRecord) {
        record.reset()
        state.withLock { $0.empty.append(record) }
    }

    func reportLost(_ connection: Int) { state.withLock { $0.lost.append(connection) } }

    func takeLost() -> [Int] {
        state.withLock { state in
            defer { state.lost = [] }
            return state.lost
        }
    }

    func putFresh(_ connection: Fresh) {
        state.withLock { $0.fresh.append(connection) }
        hasFresh.store(true, ordering: .releasing)
    }

    func takeFresh() -> [Fresh] {
        hasFresh.store(false, ordering: .relaxed)
        return state.withLock { state in
            defer { state.fresh = [] }
            return state.fresh
        }
    }
}
