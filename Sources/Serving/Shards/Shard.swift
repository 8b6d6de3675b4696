import DequeModule
import EventLog
import LiveState
import Overload
import Retrieval
import Telemetry
import Vocabulary

/// The owner of a share of the users: its result cache, its queue of calls, its scratch, its place in the generations.
///
/// An actor whose executor is an event loop: whatever runs on that loop enters with `assumeIsolated`, without a hop, a
/// task or a lock. A shard never calls a channel; it hands answers back, and the caller writes after the call returned.
///
/// ```
///  answer(to:)  hit in the result cache, synchronous, allocates nothing
///  submit(_:)   anything else waits here, bounded
///  run(...)     serves waiting calls in short steps, first come first served; those that wait together share scans,
///               and batches of the ranker
///  adopt(_:)    takes a new generation between two steps
/// ```
package actor Shard {
    package nonisolated let index: Int
    package nonisolated let configuration: ServingConfiguration
    package nonisolated let metrics: ShardMetrics
    private nonisolated let slots: Range<Int>
    private nonisolated let executor: any SerialExecutor

    private nonisolated let recallSampler: RecallSampler?
    private nonisolated let filterBytesMax: Int
    private nonisolated let wallClock: @Sendable () -> Int64
    /// Calls under way at most: those whose scans take turns, or those whose candidates are ranked together.
    private nonisolated let callsMax: Int
    private nonisolated let seeds: @Sendable () -> UInt64
    private let cache: ResultCache
    private var originKnowledge = LiveUsers.Knowledge()
    /// Whether calls for the same bytes wait for one answer.
    private let sharesAnswers: Bool
    private var flights: Flights
    private var pending: WaitingLine
    private var underWay = CallsUnderWay()
    /// Nil: all slates are made with all that is configured.
    private var qualityControl: QualityControl?
    /// Who helps with the long scans of slates; nil: nobody.
    private var helpers: (any SearchHelpers)?
    /// The current engine first; then the one before, for cursors and rollback.
    private var engines: [Engine] = []

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - slots: The slots whose users the shard owns.
    ///   - executor: The event loop; kept alive.
    ///   - cacheBytesMax: This shard's share of the cache.
    ///   - filterBytesMax: This shard's share of the compiled filters.
    ///   - recallSampler: Is given some of the approximate searches.
    ///   - wallClock: Unix seconds, for windows of availability; may go back.
    ///   - seeds: Of draws for requests that bring none.
    ///   - log: Where events are stored; nil: in memory alone.
    ///   - live: What events tell of users; nil: nothing.
    ///   - board: What has changed of the items; nil: nothing.
    package init(
        index: Int, slots: Range<Int>, executor: any SerialExecutor, configuration: ServingConfiguration,
        cacheBytesMax: Int, filterBytesMax: Int = 0, metrics: ShardMetrics, recallSampler: RecallSampler? = nil,
        wallClock: @escaping @Sendable () -> Int64 = WallClock.system,
        seeds: @escaping @Sendable () -> UInt64 = DrawSeeds.system, log: LogWriter? = nil,
        live: sending LiveUsers? = nil, board: OverlayBoard? = nil
    ) {
        self.board = board
        self.live = live
        intake = live.map { EventIntake(log: log, live: $0) }
        self.index = index
        self.slots = slots
        callsMax = min(
            max(configuration.callsTogetherMax, configuration.batchRequestsMax), CallsUnderWay.countMax)
        self.executor = executor
        self.configuration = configuration
        self.metrics = metrics
        self.recallSampler = recallSampler
        self.filterBytesMax = filterBytesMax
        self.wallClock = wallClock
        self.seeds = seeds
        pending = WaitingLine(callsMax: configuration.queuedCallsMax, target: configuration.queueWaitNanoseconds)
        if configuration.latencyObjectiveNanoseconds > 0 {
            qualityControl = QualityControl(objective: configuration.latencyObjectiveNanoseconds)
        }
        let cache = configuration.cache
        flights = Flights(waitersMax: cacheBytesMax > 0 ? configuration.queuedCallsMax : 0)
        sharesAnswers = cacheBytesMax > 0
        self.cache = ResultCache(
            bytesMax: cacheBytesMax,
            life: AnswerLife(least: cache.timeToLiveMin.cacheNanoseconds, visits: cache.visits),
            staleFor: cache.staleFor.cacheNanoseconds)
    }

    // MARK: Changes of items

    private nonisolated let board: OverlayBoard?

    /// Serves new calls by the newest overlays of the board.
    package func takeOverlays() {
        guard let board else { return }
        for engine in engines { engine.take(board.overlay(of: engine.generation)) }
        hasWindows = engines.first?.isTimed ?? false
    }

    // MARK: Activity of items

    private var itemActivity: ItemActivityView?

    /// Serves new calls by what was merged last. The caller keeps the view before for a while: letting one go takes longer
    /// than a loop should.
    package func takeActivity(_ activity: ItemActivityView) {
        itemActivity = activity
        for engine in engines { engine.take(activity) }
    }

    /// Gives what was counted since the last time, and counts into `empty` from now on.
    ///
    /// - Returns: The counts, and the last record of the log that they and those before know of.
    package func exchangeActivity(_ empty: ItemActivityDelta) -> (delta: ItemActivityDelta?, through: UInt64) {
        (live?.exchangeActivity(empty), appliedThrough)
    }

    package func setHelpers(_ helpers: (any SearchHelpers)?) { self.helpers = helpers }

    // MARK: Generations

    /// The generation that new calls are answered by.
    package var generation: Generation? { engines.first?.generation }

    /// The generation's number, 0 when there is none.
    package private(set) var generationNumber: UInt64 = 0

    /// Serves new calls from `generation`; a call that is under way ends on the one it began with.
    ///
    /// The generation before stays for cursors that name it.
    ///
    /// - Returns: Generations that the shard lets go. The caller drops them off the loops: freeing one takes a while.
    package func adopt(_ generation: Generation) -> [Generation] {
        engines.first?.retire()
        engines.insert(engine(for: generation), at: 0)
        generationNumber = generation.number
        hasWindows = engines[0].isTimed
        metrics.setUsers(generation.model.users.rows(inSlots: slots).count)
        let released = engines.dropFirst(2).map(\.generation)
        engines.removeLast(released.count)
        return released
    }

    /// The generation of that number, while it is served or answers calls that it began.
    package func generation(numbered number: UInt64) -> Generation? {
        engines.first { $0.generation.number == number }?.generation
    }

    private func engine(for generation: Generation) -> Engine {
        Engine(
            generation: generation, recallSampler: recallSampler, filterBytesMax: filterBytesMax, wallClock: wallClock,
            seeds: seeds, ranking: configuration.ranking, callsMax: callsMax, metrics: metrics, live: live,
            overlay: board?.overlay(of: generation), itemActivity: itemActivity)
    }

    // MARK: Cache

    /// Whether items of the generation come and go with the time, or what they are ranked by grows old.
    private var hasWindows = false
    /// The wall clock as read at `wallReadAt`.
    private var wallSeconds: Int64 = 0
    private var wallReadAt: UInt64 = 0

    /// The kept answer to the request with the bytes `key`, valid until an answer is kept.
    package func answer(to key: UnsafeRawBufferPointer, now: UInt64) -> KeptAnswer? {
        readWallClock(now)
        return cache.answer(
            to: key, hash: ResultCache.hash(key), generation: generationNumber, now: now, wallSeconds: wallSeconds,
            epochs: live?.epochs, overlay: engines.first?.overlay)
    }

    /// Whether an answer to `key` is kept that would be shown as a fresh one, or is being made. Counts nothing.
    package func isFresh(_ key: [UInt8], now: UInt64) -> Bool {
        readWallClock(now)
        return key.withUnsafeBytes {
            let hash = ResultCache.hash($0)
            return flights.isUnderWay(key, hash: hash)
                || cache.isFresh(
                    $0, hash: hash, generation: generationNumber, now: now, wallSeconds: wallSeconds,
                    epochs: live?.epochs, overlay: engines.first?.overlay)
        }
    }

    /// Called when no new answer was made in place of a stale one.
    package func refreshFailed(_ key: [UInt8]) {
        key.withUnsafeBytes { cache.refreshFailed($0, hash: ResultCache.hash($0)) }
    }

    /// The keys of the next entries of the cache; see `ResultCache.forEachKey`.
    package func collectActiveKeys(from place: Int, count: Int, into keys: inout ActiveKeys) -> Int? {
        cache.forEachKey(from: place, count: count) { keys.add($0, frequency: $1) }
    }

    @inline(__always)
    private func readWallClock(_ now: UInt64) {
        // One look at the clock serves all calls of one read; none where it does not matter.
        if hasWindows, now != wallReadAt {
            wallSeconds = wallClock()
            wallReadAt = now
        }
    }

    /// Keeps an encoded answer that `generation` made.
    ///
    /// - Parameters:
    ///   - seconds: The Unix seconds during which all its items are available.
    ///   - stamp: Of its user, when the answer was begun.
    ///   - version: Of the overlay that it was made by.
    ///   - shown: The items that it shows.
    ///   - nanosecondsMax: Of its life, where that is shorter than the scenario's.
    package func keep(
        _ answer: UnsafeRawBufferPointer, for key: UnsafeRawBufferPointer, scenario: String, tag: UInt16,
        generation: UInt64, now: UInt64, seconds: ClosedRange<Int64> = Slate.always,
        stamp: UserEpochs.Stamp = .nobody, version: UInt64 = 0, shown: ShownSketch = ShownSketch(),
        nanosecondsMax: UInt64 = .max
    ) {
        guard generation == generationNumber, answer.count <= configuration.cache.answerBytesMax else { return }
        let life = configuration.scenarios[scenario]?.timeToLive ?? configuration.cache.timeToLive
        let nanoseconds = min(nanosecondsMax, life.cacheNanoseconds)
        guard nanoseconds > 0 else { return }
        cache.insert(
            answer, for: key, hash: ResultCache.hash(key), generation: generation, now: now, longest: nanoseconds,
            seconds: seconds, stamp: stamp, epochs: live?.epochs, version: version, shown: shown, tag: tag)
    }

    /// What an answer to `user` depends on now; nil where it depends on what only this process knows: changes of items, what
    /// trends here, what was counted here of items and users.
    ///
    /// - Complexity: O(events + seen items of the user).
    package func origin(ofAnswersTo user: String, in scenario: String) -> AnswerOrigin? {
        guard let engine = engines.first, engine.generation.fingerprint != 0, engine.overlay.version == 0 else {
            return nil
        }
        let settings = configuration.scenarios[scenario]
        let mix = settings?.mix ?? engine.generation.model.mix
        if mix.sources.contains(where: { $0.source == .trending }) { return nil }
        if settings?.ranker != RankerUse.none, engine.generation.ranker?.plan.live.timeToLive != nil { return nil }
        engine.read(user, engine.overlay, into: &originKnowledge)
        return AnswerOrigin(
            userID: user, bundle: engine.generation.fingerprint, generation: engine.generation.number,
            user: originKnowledge.fingerprint, stamp: engine.stamp(of: user))
    }

    package var cacheStatistics: ResultCacheStatistics { cache.statistics }

    // MARK: Events

    private var intake: EventIntake?
    private let live: LiveUsers?

    /// Takes events; the answer, where it need not wait for the log. Without live users nothing is taken.
    package func record(_ batch: EventBatch, _ call: ShardCall) -> RecordedEvents? {
        guard let intake else { return RecordedEvents() }
        return intake.take(batch, call, makeMoment())
    }

    /// Makes events count that are stored now, and answers the calls that waited for that.
    package func settle(_ outcome: LogOutcome, answered: (ShardCall, RecordedEvents) -> Void) {
        intake?.settle(outcome, makeMoment(), answered: answered)
    }

    /// Makes events count that were stored by an earlier process, up to the record of that number.
    ///
    /// - Returns: Whether what was counted of items should be taken (`exchangeActivity`) before the next.
    @discardableResult
    package func replay(_ events: [ReplayedEvent], through sequence: UInt64) -> Bool {
        guard let live else { return false }
        let now = wallClock()
        for event in events { live.apply(event.event, now: now, counts: event.counts) }
        intake?.appliedThrough = max(intake?.appliedThrough ?? 0, sequence)
        return live.activityIsHalfFull
    }

    /// The last record all of whose events count, as far as they are this shard's.
    package var appliedThrough: UInt64 { intake?.appliedThrough ?? 0 }

    private func makeMoment() -> EventIntake.Moment {
        EventIntake.Moment(
            seconds: wallClock(), rows: engines.first?.generation.rowsByNumber ?? [],
            added: engines.first?.overlay.content.rowsByNumber ?? [:])
    }

    /// What is known of the users; nil: events are not taken.
    package var liveUsers: LiveUsers? { live }

    // MARK: Queue

    /// Calls that wait or are under way.
    package var depth: Int { pending.count + underWay.count }

    /// Takes a call in, or says why not: it waits for another of the same bytes, or for its turn to be computed.
    ///
    /// - Parameter now: Uptime in nanoseconds; nil: when the call arrived.
    package func submit(_ call: ShardCall, now: UInt64? = nil) -> Rejection? {
        switch join(call) {
        case .waits:
            metrics.countCacheJoined()
            return nil
        case .full: return full
        // A look-up in a cache beside the node belongs here: what it finds is kept, and the flight landed.
        case .leads: break
        }
        guard let refusal = pending.add(call, at: now ?? call.arrived) else { return nil }
        if let key = call.key, sharesAnswers { _ = flights.land(key, hash: Self.hash(key)) }
        switch refusal {
        case .full: return full
        case .late(let wait):
            metrics.countShed(call.priority.counted)
            return WaitingLine.tooLong(wait)
        }
    }

    /// How near the shard is to what it can take: 0 to 1.
    package func load(at now: UInt64) -> Double { pending.load(at: now) }

    private var full: Rejection {
        Rejection(
            .queueFull, "shard \(index) has \(pending.count + flights.waiterCount) calls waiting, its maximum",
            retryIsSafe: true, retryAfterMilliseconds: 10)
    }

    private func join(_ call: ShardCall) -> Flights.Entry {
        guard sharesAnswers, let key = call.key else { return .leads }
        return flights.join(call, key: key, hash: Self.hash(key))
    }

    private static func hash(_ key: [UInt8]) -> UInt64 { key.withUnsafeBytes { ResultCache.hash($0) } }

    /// Receives an answer that was computed.
    package typealias Answered = (isolated Shard, ShardCall, ShardAnswer, StageTimes) -> Void
    /// Receives an answer that the cache had, for a call that waited for another of the same bytes.
    package typealias Shared = (isolated Shard, ShardCall, KeptAnswer) -> Void

    /// The callbacks of one `run`.
    private struct Outlets {
        let answered: Answered
        let shared: Shared
    }

    /// Hands out what became of a call, and sees to those that waited for it.
    private func finish(
        _ call: ShardCall, _ answer: ShardAnswer, _ times: StageTimes, _ now: UInt64, _ outlets: borrowing Outlets
    ) {
        observe(call, answer, now)
        outlets.answered(self, call, answer, times)
        guard sharesAnswers, let key = call.key else { return }
        let hash = Self.hash(key)
        let waiters = flights.land(key, hash: hash)
        if waiters.isEmpty { return }
        var unanswered: [ShardCall] = []
        for waiter in waiters {
            if let rejection = WaitingLine.refusal(of: waiter, at: now) {
                outlets.answered(self, waiter, .rejected(rejection), StageTimes(queue: now &- waiter.arrived))
            } else if let kept = key.withUnsafeBytes({ self.answer(to: $0, now: now) }) {
                outlets.shared(self, waiter, kept)
            } else {
                unanswered.append(waiter)
            }
        }
        guard var first = unanswered.first else { return }
        if case .rejected = answer {
            // The leader's fault or fate, not theirs: the next one leads.
            _ = flights.join(first, key: key, hash: hash)
            for waiter in unanswered.dropFirst() { _ = flights.join(waiter, key: key, hash: hash) }
            pending.prepend(first, at: now)
        } else {
            // Nothing that could be kept, or not for them: each is computed by itself.
            for waiter in unanswered.reversed() {
                first = waiter
                first.key = nil
                pending.prepend(first, at: now)
            }
        }
    }

    /// How much is done for a slate that is begun now.
    package var quality: QualityLevel {
        max(configuration.qualityLevelMin, qualityControl.map { QualityLevel(quality: $0.quality) } ?? .full)
    }

    /// Slates that somebody waits for, and those that were given up, tell how much there is to do.
    private func observe(_ call: ShardCall, _ answer: ShardAnswer, _ now: UInt64) {
        guard qualityControl != nil, call.priority != .background else { return }
        switch answer {
        case .slate, .slates, .rejected: qualityControl?.observe(now &- min(now, call.arrived), at: now)
        case .similarItems, .item, .ranked, .recorded: break
        }
    }

    /// Who waits for another call keeps its own deadline.
    private func refuseLateWaiters(_ now: UInt64, _ outlets: borrowing Outlets) {
        guard now >= flights.earliestDeadline else { return }
        for waiter in flights.removeLate(now: now) {
            if let rejection = WaitingLine.refusal(of: waiter, at: now) {
                outlets.answered(self, waiter, .rejected(rejection), StageTimes(queue: now &- waiter.arrived))
            }
        }
    }

    /// Serves waiting calls until the queue is empty or the time is up.
    ///
    /// - Parameters:
    ///   - until: Uptime in nanoseconds; a step that has begun runs to its end, at most some hundred microseconds.
    ///   - clock: Gives the uptime in nanoseconds.
    ///   - shared: Receives each answer of the cache to a call that waited for another of the same bytes.
    ///   - answered: Receives each other answer. Neither may enter the shard again but through the parameter it is given.
    /// - Returns: Whether calls still wait.
    package func run(
        until: UInt64, clock: () -> UInt64, shared: Shared = { _, _, _ in }, answered: Answered
    ) -> Bool {
        withoutActuallyEscaping(shared) { shared in
            withoutActuallyEscaping(answered) { answered in
                run(until, clock, Outlets(answered: answered, shared: shared))
            }
        }
    }

    private func run(_ until: UInt64, _ clock: () -> UInt64, _ outlets: borrowing Outlets) -> Bool {
        var now = clock()
        repeat {
            refuseLateWaiters(now, outlets)
            // What has been begun comes first; then calls that wait; candidates are ranked when no more can join them.
            var progress = underWay.finish(now: now, clock: clock)
            if progress == nil {
                if !underWay.isRetrieving { beginNext(now, clock, outlets) }
                if underWay.isEmpty { return false }
                progress = underWay.step(now: now, clock: clock)
            }
            switch progress {
            case .answered(let call, let run)?: finish(call, run.answer, run.times, clock(), outlets)
            case .cancelled(let call, let times)?:
                finish(
                    call, .rejected(Rejection(.cancelled, "the call was cancelled while it was answered")), times,
                    clock(), outlets)
            case .worked?, nil: break
            }
            now = clock()
        } while now < until
        return depth > 0
    }

    /// Begins the next call and, where they gain by it, those that wait behind it.
    private func beginNext(
        _ now: UInt64, _ clock: () -> UInt64, _ outlets: borrowing Outlets
    ) {
        qualityControl?.advance(to: now)
        let width = min(configuration.callsTogetherMax, engines.first?.generation.model.togetherWidth ?? 1)
        while let call = pending.first, underWay.canTake(call, width: width, callsMax: callsMax) {
            if case .leaves(let rejection) = pending.takeFirst(at: now) {
                if rejection.reason == .overloaded { metrics.countShed(call.priority.counted) }
                finish(call, .rejected(rejection), StageTimes(queue: now &- call.arrived), now, outlets)
                continue
            }
            let seat = underWay.freeSeat
            switch begin(call, seat, now, clock) {
            case .success(let run): underWay.add(call, run, seat: seat)
            case .failure(let rejection):
                finish(call, .rejected(rejection), StageTimes(queue: now &- call.arrived), now, outlets)
            }
        }
        let together = underWay.settle()
        if together > 1 { metrics.countTogether(together) }
    }

    /// - Parameter seat: A number that no call under way has.
    private func begin(
        _ call: ShardCall, _ seat: Int, _ now: UInt64, _ clock: () -> UInt64
    ) -> Result<any ShardRun, Rejection> {
        guard let engine = engines.first else {
            return .failure(
                Rejection(.notReady, "no model is loaded yet", retryIsSafe: true, retryAfterMilliseconds: 100))
        }
        do {
            switch call.request {
            case .recommend(let request):
                let (engine, restarted) = self.engine(for: request, engine)
                let run = SlateRun(
                    engine: engine, generator: engine.generator(at: seat), seat: engine.rankingSeat(seat),
                    configuration: configuration, arrived: call.arrived, helpers: helpers, quality: quality)
                try run.begin(
                    request, filter: engine.rows(of: request.filter), restarted: restarted, now: now, clock: clock)
                return .success(run)
            case .recommendMany(let request):
                return .success(
                    try ManyRun(
                        engine: self.engine(for: request, engine), configuration: configuration, request: request,
                        arrived: call.arrived, quality: quality, now))
            case .similarItems(let request):
                return .success(try SimilarItemsRun(engine: engine, configuration: configuration, request: request))
            case .rank(let request):
                return .success(try RankRun(engine: engine, seat: engine.rankingSeat(seat), request: request))
            case .record:
                return .failure(Rejection(.internalFault, "events do not wait in the queue"))
            case .item(let item):
                return .success(try ItemRun(engine: engine, item: item))
            }
        } catch {
            return .failure(error as? Rejection ?? Rejection(.internalFault, "\(error)"))
        }
    }

    /// A further page is made by the generation that made the first one, while it is held.
    private func engine(for request: RecommendationRequest, _ current: Engine) -> (Engine, restarted: Bool) {
        guard !request.cursor.isEmpty, let cursor = PageCursor(request.cursor) else { return (current, false) }
        if let engine = engines.first(where: { $0.generation.number == cursor.generation }) { return (engine, false) }
        return (current, true)
    }
}

extension Shard {
    /// All parts of a call are made by the generation that its connection's shard held.
    private func engine(for request: ManyRequest, _ current: Engine) -> Engine {
        guard let wanted = request.generation, wanted !== current.generation else { return current }
        return engines.first { $0.generation === wanted } ?? engine(for: wanted)
    }
}

extension Duration {
    /// Whole nanoseconds, at least 0 and at most what 64 bits hold.
    fileprivate var cacheNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, isTooLong) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return isTooLong ? .max / 2 : whole &+ UInt64(attoseconds / 1_000_000_000)
    }
}

/// A call under way: a state machine that works in short steps.
protocol ShardRun: AnyObject {
    /// Does the next piece of work; true when the answer is ready.
    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool
    /// Who will score the candidates; nil unless they wait for it. Until then, a step is in vain before the deadline.
    var waitsForScores: RankingBatcher? { get }
    var answer: ShardAnswer { get }
    var times: StageTimes { get }
}

extension ShardRun {
    var waitsForScores: RankingBatcher? { nil }
}
