import Logging
import Overload
import Serving
import Synchronization
import Telemetry

/// Keeps the node inside its memory budget: looks about once a second, off the loops, and has them give up what
/// `MemoryPressure` says. Without a budget it only tells what there is.
///
/// ```
///  each second:  resident bytes -> MemoryPressure -> level, bytes of caches -> every loop -> allocator gives pages back
///  each load:    what it will take -> caches make room for it, or it is refused
/// ```
final class MemoryDesk: Sendable {
    /// For people and scripts.
    struct Status: Sendable, Encodable {
        var bytes: Int
        /// As it was measured last.
        var usedBytes: Int
        var level: String
        /// What all result caches may hold now.
        var cacheBytesMax: Int
        var levelChanges: UInt64
        var refusedLoads: UInt64
    }

    private struct State: Sendable {
        var pressure: MemoryPressure
        var usedBytes = 0
        var levelChanges: UInt64 = 0
        var refusedLoads: UInt64 = 0
        /// Of a load: what was used when it began, and what it may take.
        var load: (usedBytes: Int, takes: Int)?
        /// What was told to the loops last.
        var told: (level: MemoryPressure.Level, cacheBytes: Int)
    }

    private final class Box: Sendable {
        private let state: Mutex<State>
        init(_ state: State) { self.state = Mutex(state) }
        func withLock<R: Sendable>(_ body: (inout State) -> R) -> R { state.withLock { body(&$0) } }
    }

    let memory: NodeMemory
    private let node: NodeContext
    private let logger: Logger
    private let state: Box?
    private let resident: @Sendable () -> Int

    /// - Parameters:
    ///   - budgetBytes: Nil: there is none.
    ///   - cacheBytes: Of the result caches, as configured.
    ///   - resident: Bytes of the process.
    init(
        _ memory: NodeMemory, node: NodeContext, budgetBytes: Int?, cacheBytes: Int, logger: Logger,
        resident: @escaping @Sendable () -> Int = { Int(clamping: ProcessStatistics.resident()) }
    ) {
        self.memory = memory
        self.node = node
        self.logger = logger
        self.resident = resident
        state = budgetBytes.map {
            let pressure = MemoryPressure(budgetBytes: $0, cacheBytesMax: cacheBytes)
            return Box(State(pressure: pressure, told: (pressure.level, pressure.cacheBytes)))
        }
    }

    var hasBudget: Bool { state != nil }

    var status: Status? {
        state?.withLock { state in
            Status(
                bytes: state.pressure.budgetBytes, usedBytes: state.usedBytes, level: state.pressure.level.word,
                cacheBytesMax: state.pressure.cacheBytes, levelChanges: state.levelChanges,
                refusedLoads: state.refusedLoads)
        }
    }

    /// Looks, and has the loops do what follows. Not on a loop.
    func look(at now: UInt64) {
        guard let state else { return }
        let used = resident()
        let cacheBytes = memory.cacheBytes
        let (told, before, changed) = state.withLock { state in
            let before = state.told
            let asked = state.load.map { max(used, $0.usedBytes + $0.takes) } ?? used
            state.usedBytes = used
            state.pressure.look(
                MemoryPressure.Reading(usedBytes: used, wantedBytes: asked, cacheBytes: cacheBytes), at: now)
            state.told = (state.pressure.level, state.pressure.cacheBytes)
            if before.level != state.told.level { state.levelChanges += 1 }
            return (state.told, before, before != state.told)
        }
        node.metrics.setMemoryLevel(told.level.rawValue, cacheBytesMax: told.cacheBytes)
        if changed {
            node.state.setMemoryLevel(told.level)
            for worker in node.workers {
                worker.eventLoop.execute { [shards = node.shardCount] in
                    worker.relieve(told.level, cacheBytes: told.cacheBytes / shards)
                }
            }
        }
        if told.level > .normal { Allocator.purge() }
        if before.level != told.level { log(from: before.level, to: told.level, used, told.cacheBytes) }
    }

    private func log(from: MemoryPressure.Level, to: MemoryPressure.Level, _ used: Int, _ cacheBytes: Int) {
        let metadata: Logger.Metadata = [
            "memory.level": "\(to.word)", "memory.level_before": "\(from.word)", "memory.used_bytes": "\(used)",
            "memory.budget_bytes": "\(state?.withLock { $0.pressure.budgetBytes } ?? 0)",
            "memory.cache_bytes_max": "\(cacheBytes)",
        ]
        if to > from {
            logger.warning("memory is short; \(Self.meaning(of: to))", metadata: metadata)
        } else {
            logger.notice("memory is less short; \(Self.meaning(of: to))", metadata: metadata)
        }
    }

    private static func meaning(of level: MemoryPressure.Level) -> String {
        switch level {
        case .normal: "nothing is given up"
        case .tight: "caches hold less"
        case .full: "caches hold less, users' states do not grow, slates are not logged, connections are refused"
        case .critical: "the same, and calls for many users and those of low priority are refused"
        }
    }

    // MARK: Loads

    /// Makes room for a load, or says why it may not begin. Not on a loop.
    ///
    /// - Parameter bytes: What it will take at its peak, as planned.
    func begin(loadOf bytes: Int, _ path: String) -> Rejection? {
        guard let state else { return nil }
        let used = resident()
        let cacheBytes = memory.cacheBytes
        return state.withLock { state in
            let budget = state.pressure.budgetBytes
            let spare = max(0, cacheBytes - state.pressure.cacheBytesMin)
            guard used - spare + bytes <= budget else {
                state.refusedLoads += 1
                return Rejection(
                    .outOfMemory,
                    """
                    \(path) would take \(bytes) bytes beside the \(used) that are in use, \(spare) of them in caches that \
                    could go: more than memory.budget, \(budget); raise it, or serve a smaller model
                    """)
            }
            state.load = (used, bytes)
            return nil
        }
    }

    func endLoad() { state?.withLock { $0.load = nil } }
}
