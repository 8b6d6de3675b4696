import DequeModule
import NIOCore
import Serving
import Telemetry
import Vocabulary
import Wire

/// Makes answers that nobody waits for: in place of those that were shown stale, and of active users after a start or a
/// swap. One at a time, only while the loop has no calls, within a share of its time.
///
/// ```
///  stale  shown too old: asked again          at most `staleMax` in line; what finds no room is made by the next miss
///  warm   the active users' requests          as many as configured
/// ```
/// The methods run on the loop.
final class LoopRefilling {
    static let staleMax = 1024
    /// What may be saved up, and how far it may be overdrawn: nanoseconds of work.
    private static let allowanceMax = 20_000_000.0
    /// Entries that are looked at in one turn for active keys, some tens of microseconds.
    private static let collectCount = 2048
    /// A turn skips at most so many keys that need no answer any more.
    private static let skipsMax = 64
    private static let deadlineNanoseconds: UInt64 = 10_000_000_000

    private unowned let worker: LoopWorker
    private let share: Double
    private let warmMax: Int
    private var stale: Deque<[UInt8]> = []
    private var warm: Deque<[UInt8]> = []
    private var current: RefillOrigin?
    private var allowance = 0.0
    private var allowedAt: UInt64
    private var timerIsSet = false
    /// Of a walk over the cache's entries.
    private var collection: (place: Int, keys: ActiveKeys)?
    /// Whether nobody is served yet: then all of the time is free.
    var isHurried = false { didSet { pump() } }

    init(worker: LoopWorker, share: Double, warmMax: Int) {
        self.worker = worker
        self.share = share
        self.warmMax = warmMax
        allowedAt = LoopWorker.now
    }

    /// Answers still to be made.
    var count: Int { stale.count + warm.count + (current == nil ? 0 : 1) }

    /// Asks again for what was shown stale.
    func add(stale key: [UInt8]) {
        guard share > 0 || isHurried, stale.count < Self.staleMax else {
            worker.metrics.countRefill(.dropped)
            worker.shard.assumeIsolated { $0.refreshFailed(key) }
            return
        }
        stale.append(key)
        worker.wakeForRefills()
    }

    /// Asks again for what active users asked for.
    func add(warm keys: [[UInt8]]) {
        guard share > 0 || isHurried else { return }
        for key in keys {
            guard warm.count < warmMax else {
                worker.metrics.countRefill(.dropped)
                continue
            }
            warm.append(key)
        }
        worker.wakeForRefills()
    }

    /// Goes through the cache, a few entries at a time, and then asks again for what was asked for most of late.
    func collectActive() {
        guard warmMax > 0, share > 0 else { return }
        collection = (0, ActiveKeys(countMax: warmMax))
        collectNext()
    }

    private func collectNext() {
        guard var (place, keys) = collection else { return }
        let next = worker.shard.assumeIsolated {
            $0.collectActiveKeys(from: place, count: Self.collectCount, into: &keys)
        }
        guard let next else {
            collection = nil
            warm.removeAll()
            add(warm: keys.keys)
            return
        }
        place = next
        collection = (place, keys)
        worker.eventLoop.scheduleTask(in: .milliseconds(1)) { [weak self] in self?.collectNext() }
    }

    /// Begins the next one, where there is one, the loop has nothing else to do, and time is left.
    func pump() {
        guard current == nil, !stale.isEmpty || !warm.isEmpty, !worker.isServing else { return }
        let now = LoopWorker.now
        allowance = min(Self.allowanceMax, allowance + Double(now &- allowedAt) * share)
        allowedAt = now
        guard allowance > 0 || isHurried else {
            wait(nanoseconds: -allowance / share)
            return
        }
        for _ in 0..<Self.skipsMax {
            let isStale = !stale.isEmpty
            guard let key = stale.popFirst() ?? warm.popFirst() else { return }
            if begin(key, isStale ? .stale : .warm, now) { return }
        }
        worker.wakeForRefills()
    }

    private func wait(nanoseconds: Double) {
        guard !timerIsSet else { return }
        timerIsSet = true
        worker.eventLoop.scheduleTask(in: .nanoseconds(Int64(min(1e9, max(1e6, nanoseconds))))) { [weak self] in
            self?.timerIsSet = false
            self?.pump()
        }
    }

    /// False where nothing is to be done, or nothing can be.
    private func begin(_ key: [UInt8], _ reason: CacheRefill, _ now: UInt64) -> Bool {
        if worker.shard.assumeIsolated({ $0.isFresh(key, now: now) }) { return false }
        let request: RecommendationRequest? = key.withUnsafeBytes { bytes in
            (try? RecommendRequestView(bytes, arena: worker.arena)).map(RecommendationRequest.init)
        }
        guard let request else {
            worker.metrics.countRefill(.failed)
            return false
        }
        let origin = RefillOrigin(key: key, scenario: request.scenario, reason: reason)
        let call = ShardCall(
            request: .recommend(request), arrived: now, deadline: now &+ Self.deadlineNanoseconds, origin: origin,
            key: key, priority: .background)
        guard worker.submitRefill(call) else {
            finish(origin, isKept: false, nanoseconds: 0)
            return false
        }
        current = origin
        return true
    }

    /// Learns what became of one.
    ///
    /// - Parameter nanoseconds: What it took.
    func finish(_ origin: RefillOrigin, isKept: Bool, nanoseconds: UInt64) {
        if current === origin { current = nil }
        allowance = max(-Self.allowanceMax, allowance - Double(nanoseconds))
        worker.metrics.countRefill(isKept ? origin.reason : .failed)
    }
}

/// Touched on its loop alone.
extension LoopRefilling: @unchecked Sendable {}

/// Nobody: an answer is made for the cache.
final class RefillOrigin: CallOrigin {
    let key: [UInt8]
    let scenario: String
    let reason: CacheRefill
    var isCancelled: Bool { false }

    init(key: [UInt8], scenario: String, reason: CacheRefill) {
        self.key = key
        self.scenario = scenario
        self.reason = reason
    }
}
