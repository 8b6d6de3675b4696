import Artifacts
import CandidateRanking
import Glibc
import LiveState
import Logging
import NIOCore
import NIOPosix
import RemoteCache
import Retrieval
import ServiceLifecycle
import Serving
import Synchronization
import Telemetry
import UnixSignals
import VectorMath
import Vocabulary

/// Runs a node until it is told to stop.
package enum NodeServer {
    /// Serves as `configuration` says until SIGTERM or SIGINT, then drains.
    ///
    /// SIGHUP loads the configured bundle anew and swaps to it.
    ///
    /// - Throws: `ListenFailure`, `ArtifactError`; messages for a person.
    package static func run(configuration: ServerConfiguration, logger: Logger) async throws {
        let node = try ServingNode(configuration: configuration, logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(
                        service: node, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

/// A node: its loops, its shards, its ports, and the order in which they come and go.
///
/// ```
///  start: loops -> HTTP port (not ready) -> bundle -> listener -> ready
///  stop:  not ready -> no new connections -> goaway to all -> calls in flight end -> connections close -> loops
/// ```
package final class ServingNode: Service {
    private let configuration: ServerConfiguration
    private let niceness: BackgroundNiceness
    private let logger: Logger
    private let context: NodeContext
    private let models: ModelControl
    private let loops: MultiThreadedEventLoopGroup
    private let acceptorLoop: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    /// Checks samples of searches, below everything else.
    private let samplingPool: NIOThreadPool
    /// Takes snapshots of what is known of users.
    private let snapshotPool = NIOThreadPool(numberOfThreads: 1)
    private let hasStarted = Atomic<Bool>(false)
    private let acceptor: Acceptor
    private let metrics: NodeMetrics
    private let events: EventStore
    private let items: ItemDesk
    private let warming: CacheWarming
    private let activity: ActivityDesk
    /// Merges what the shards count of items, below what answers calls.
    private let mergePool = NIOThreadPool(numberOfThreads: 1)
    private let slates: SlateStore
    /// For what goes through Redis beside answers; nil: nothing does.
    private let redisLoop: MultiThreadedEventLoopGroup?
    private let redis: RedisConfiguration?
    /// Where events are read from beside calls; nil: nowhere.
    private let streams: EventStreams?
    private let memory: MemoryDesk
    /// Looks at the memory.
    private let memoryPool = NIOThreadPool(numberOfThreads: 1)
    /// Nil where users are this node's alone.
    private let sharedUsers: SharedUsersOfNode?
    private let ports = Ports()

    /// Addresses that were bound; for tests and messages.
    private actor Ports {
        var rpc: SocketAddress?
        var http: HTTPPort?
        func set(rpc: SocketAddress?) { self.rpc = rpc }
        func set(http: HTTPPort?) { self.http = http }
    }

    /// - Parameters:
    ///   - wallClock: Unix seconds, for windows of availability.
    ///   - niceness: How far work beside requests stands back.
    ///   - residentBytes: Of the process; nil: the kernel is asked.
    /// - Throws: `LogError` when the event log cannot be opened.
    package init(
        configuration: ServerConfiguration, logger: Logger,
        wallClock: @escaping @Sendable () -> Int64 = WallClock.system,
        niceness: BackgroundNiceness = BackgroundNiceness(), residentBytes: (@Sendable () -> Int)? = nil
    ) throws {
        self.configuration = configuration
        self.niceness = niceness
        let events = try EventStore(configuration.events, logger: logger)
        self.events = events
        let items = ItemDesk(
            configuration.items, log: events.log, numbers: events.numbers,
            durability: EventRules(configuration.events).durability)
        self.items = items
        let activity = try ActivityDesk(
            ItemActivityConfiguration(configuration.liveItems),
            scenarios: configuration.orderedScenarios.map(\.name), wallClock: wallClock)
        self.activity = activity
        self.logger = logger
        let shardCount = configuration.shards == 0 ? System.coreCount : configuration.shards
        let ordered = configuration.orderedScenarios
        let state = NodeState(startedNanoseconds: LoopWorker.now)
        let shardMetrics = (0..<shardCount).map { ShardMetrics(shard: $0, scenarios: ordered.map(\.name)) }
        metrics = NodeMetrics(shards: shardMetrics, build: BuildInfo(kernels: Kernels.isa))
        let serving = ServingConfiguration(configuration)
        context = NodeContext(
            nodeName: configuration.nodeName, shardCount: shardCount, limits: NodeContext.Limits(configuration),
            state: state, metrics: metrics, serving: serving, scenarioNames: ordered.map(\.name),
            defaultDeadline: configuration.defaultDeadline, events: EventRules(configuration.events),
            redisURL: configuration.redis.url)
        loops = MultiThreadedEventLoopGroup(numberOfThreads: shardCount)
        acceptorLoop = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        pool = NIOThreadPool(numberOfThreads: 1)
        models = ModelControl(
            root: configuration.effectiveModelsRoot,
            options: RetrievalModel.Options(configuration),
            calibration: RankerCalibration(
                precision: configuration.rankerPrecision, itemBytesMax: configuration.rankerItemBytes),
            scenarios: serving.scenarios, metrics: metrics, logger: logger, pool: pool, numbers: events.numbers,
            items: items, wallClock: wallClock, niceness: niceness.loading)
        warming = CacheWarming(
            node: context, path: configuration.cache.warmFile, keysMax: configuration.cache.warmKeys, logger: logger)
        acceptor = Acceptor(node: context, group: acceptorLoop, logger: logger)
        let partitions = context.partitions
        let samplingPool = NIOThreadPool(numberOfThreads: 1)
        self.samplingPool = samplingPool
        let (nodeMetrics, node) = (metrics, context)
        let recallSampler = RecallSampler(
            share: configuration.recallSampleShare, clock: { LoopWorker.now },
            run: { check in
                samplingPool.submit { state in
                    // Whatever else wants the core comes first.
                    BackgroundNiceness.apply(niceness.checking)
                    if case .active = state { check() }
                }
            }, record: { nodeMetrics.recordRecall($0, found: $1, expected: $2) })
        let slates = SlateStore(configuration, shardCount: shardCount, logger: logger)
        self.slates = slates
        let redis = try configuration.redis.makeConfiguration(nodeName: configuration.nodeName)
        self.redis = redis
        let usesRedisLoop =
            redis != nil && (configuration.redis.sharesItems || !configuration.events.stream.names.isEmpty)
        let redisLoop = usesRedisLoop ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
        self.redisLoop = redisLoop
        if let redis, let redisLoop, !configuration.events.stream.names.isEmpty {
            streams = EventStreams(
                configuration.events.stream, redis: redis, on: redisLoop, node: context,
                port: configuration.listen.port,
                logger: logger)
        } else {
            streams = nil
        }
        let workers = try zip(loops.makeIterator(), shardMetrics).map { eventLoop, metrics in
            let slots = partitions.slots(of: metrics.shard)
            let live = try events.makeLiveUsers(
                slots: slots, shardCount: shardCount, activity: activity.makeDelta())
            let worker = LoopWorker(
                index: metrics.shard, eventLoop: eventLoop,
                shard: Shard(
                    index: metrics.shard, slots: slots, executor: eventLoop.executor,
                    configuration: serving, cacheBytesMax: configuration.cache.bytes / shardCount,
                    filterBytesMax: configuration.cache.filterBytes / shardCount, metrics: metrics,
                    recallSampler: recallSampler, wallClock: wallClock, log: events.log, live: live,
                    board: items.board),
                node: node, slates: slates.makeDesk(shard: metrics.shard))
            if let redis {
                worker.sharedCache = SharedCache(
                    RedisClient(redis, loop: eventLoop), prefix: configuration.redis.prefix,
                    configuration: configuration.answerFingerprint, timeout: configuration.redis.timeout,
                    valueBytesMax: configuration.cache.entryBytesMax + (64 << 10), metrics: metrics,
                    wallClock: wallClock, logger: metrics.shard == 0 ? logger : nil)
                if metrics.shard == 0 {
                    worker.sharedCacheListener = SharedCacheListener(
                        redis, prefix: configuration.redis.prefix, worker: worker, logger: logger)
                }
            }
            return worker
        }
        memory = MemoryDesk(
            NodeMemory(node: context, models: models, events: events, slates: slates), node: context,
            budgetBytes: configuration.memory.budget, cacheBytes: configuration.cache.bytes, logger: logger,
            resident: residentBytes ?? { Int(clamping: ProcessStatistics.resident()) })
        metrics.setMemoryBudget(configuration.memory.budget ?? 0, cacheBytesMax: configuration.cache.bytes)
        sharedUsers = try SharedUsersOfNode(configuration, redis, workers, types: events.types)
        context.sharingNode = sharedUsers?.node
        context.connect(workers, ControlDesk(node: context, models: models), items, activity)
        activity.connect(workers, partitions)
        events.connect(workers, items)
        items.connect(workers)
    }

    /// Where calls are answered, once started.
    package var rpcAddress: SocketAddress? { get async { await ports.rpc } }
    /// Where metrics are answered, once started.
    package var httpAddress: SocketEndpoint? { get async { await ports.http?.endpoint } }

    package func run() async throws {
        do {
            try await start()
        } catch {
            await stop()
            throw error
        }
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await self.reloadOnHangup() }
            try? await gracefulShutdown()
            tasks.cancelAll()
        }
        await drain()
        await stop()
    }

    /// Opens the ports and loads the bundle; returns when calls are answered.
    package func start() async throws {
        pool.start()
        samplingPool.start()
        snapshotPool.start()
        mergePool.start()
        memoryPool.start()
        limitLoads()
        scheduleMemoryLooks()
        await models.connect(context.workers)
        for worker in context.workers { try await worker.eventLoop.flatSubmit { worker.start() }.get() }
        if let endpoint = configuration.http {
            let http = try await openHTTP(endpoint)
            await ports.set(http: http)
        }
        try await events.replay(on: pool, context)
        try await pool.runIfActive { [activity] in activity.publishAll() }
        await sharedUsers?.start()
        scheduleMerges()
        if let bundle = configuration.bundle { _ = try await models.load(bundle) }
        try await shareItems()
        let address: SocketAddress?
        do {
            address = try await acceptor.start(configuration.listen)
        } catch {
            throw ListenFailure(endpoint: configuration.listen, key: "listen", underlying: error)
        }
        await ports.set(rpc: address)
        hasStarted.store(true, ordering: .releasing)
        streams?.start()
        scheduleSnapshots()
        scheduleDiskWatch()
        if configuration.bundle != nil {
            await warming.begin(on: pool)
            if configuration.cache.warmBeforeReady > .zero {
                await warming.wait(atMost: configuration.cache.warmBeforeReady)
            }
            becomeReady()
        }
        let http = await ports.http?.endpoint.description ?? "off"
        logger.info(
            "node serves",
            metadata: [
                "node.listen": "\(address?.description ?? "?")", "node.http": "\(http)",
                "node.shards": "\(context.shardCount)", "node.kernels": "\(Kernels.isa)",
            ])
    }

    /// Begins to share changes of items, where the configuration says so.
    private func shareItems() async throws {
        guard configuration.redis.sharesItems, var redis, let loop = redisLoop?.next() else { return }
        redis.connectionsPerNode = 1
        let (items, prefix, logger) = (items, configuration.redis.prefix, logger)
        try await pool.runIfActive { [redis] in
            items.share { desk in
                ItemSharing(RedisClient(redis, loop: loop), prefix: prefix, desk: desk, logger: logger)
            }
        }
    }

    /// Now and then, off the loops.
    private func scheduleMerges() {
        let interval = TimeAmount(configuration.liveItems.mergeInterval)
        acceptorLoop.next().scheduleRepeatedTask(initialDelay: interval, delay: interval) {
            [activity, mergePool, niceness] _ in
            mergePool.submit { state in
                BackgroundNiceness.apply(niceness.merging)
                if case .active = state { activity.publish() }
            }
        }
    }

    /// The same.
    private func scheduleSnapshots() {
        let interval = TimeAmount(configuration.events.snapshotInterval)
        let hasEvents = configuration.events.directory != nil
        guard hasEvents || warming.path != nil, interval > .zero else { return }
        acceptorLoop.next().scheduleRepeatedTask(initialDelay: interval, delay: interval) {
            [events, context, snapshotPool, warming] _ in
            snapshotPool.submit { state in
                guard case .active = state else { return }
                if hasEvents { events.takeSnapshot(context, isHurried: false) }
                warming.save()
            }
        }
    }

    /// Says it in the log when a disk refuses what is written, and when it takes it again.
    private func scheduleDiskWatch() {
        var watches: [DiskWatch] = []
        if let log = events.log {
            watches.append(
                DiskWatch("the event log", remedy: "events are answered UNAVAILABLE until there is room", logger) {
                    log.statistics
                })
        }
        if let statistics = slates.logStatistics {
            watches.append(
                DiskWatch("the slate log", remedy: "slates are lost until there is room", logger, statistics))
        }
        guard !watches.isEmpty else { return }
        acceptorLoop.next().scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [watches] _ in
            for watch in watches { watch.look() }
        }
    }

    /// About once a second, off the loops.
    private func scheduleMemoryLooks() {
        guard memory.hasBudget else { return }
        acceptorLoop.next().scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) {
            [memory, memoryPool] _ in
            memoryPool.submit { state in if case .active = state { memory.look(at: LoopWorker.now) } }
        }
    }

    /// A model that would not fit is not begun with.
    private func limitLoads() {
        guard memory.hasBudget else { return }
        let (memory, configuration) = (memory, configuration)
        models.budget.withLock {
            $0 = ModelControl.LoadBudget(
                begin: { path in
                    guard let shape = try? MemoryShape(bundle: path, configuration) else { return nil }
                    let plan = MemoryPlan(shape, configuration)
                    let refusal = memory.begin(loadOf: plan.generationBytes + plan.stagingBytes, path)
                    // Caches make room at once.
                    if refusal == nil { memory.look(at: LoopWorker.now) }
                    return refusal
                }, end: { memory.endLoad() })
        }
    }

    /// Takes a snapshot now.
    package func takeSnapshot() async {
        try? await snapshotPool.runIfActive { [events, context] in events.takeSnapshot(context, isHurried: false) }
    }

    /// What is given up for the memory's sake; nil without a budget.
    var memoryStatus: MemoryDesk.Status? { memory.status }
    /// Looks at the memory now.
    func lookAtMemory(at now: UInt64) { memory.look(at: now) }
    /// Of the shards, in their order, as of the last second.
    var shardMemory: [ShardMemory] { context.workers.map { $0.memory.withLock { $0.shard } } }

    /// Of the shards, in their order.
    var shardMetrics: [ShardMetrics] { metrics.shards }

    /// What was brought back at the start; nil without an event log.
    var restored: Replay.Outcome? { events.restored.withLock { $0 } }

    var itemDesk: ItemDesk { items }

    /// What came through streams.
    var streamReading: EventStreamReading { streams?.reading ?? EventStreamReading() }

    /// What has changed of the items.
    var changedItems: ItemsReading { items.reading }

    /// What trends and how often items were shown and clicked, as it is served.
    var itemActivity: ActivityDesk { activity }

    /// Of all items that events or models named.
    var itemNumbers: ItemNumbers { events.numbers }
    /// What the slate log counts.
    package var slateReading: SlateLogReading { slates.reading }

    private func becomeReady() {
        context.state.becomeReady()
        metrics.setReady(true)
    }

    private func openHTTP(_ endpoint: SocketEndpoint) async throws -> HTTPPort {
        let status = StatusDocument(
            node: context, models: models, numbers: events.numbers, slates: slates, streams: streams, memory: memory)
        let metrics = metrics
        let state = context.state
        let (events, items, activity, slates, streams) = (events, items, activity, slates, streams)
        let memory = memory
        let endpoints = HTTPEndpoints(
            metrics: { format in
                _ = memory.memory.read()
                metrics.setEventLog(events.reading)
                metrics.setSlateLog(slates.reading)
                metrics.setEventStream(streams?.reading ?? EventStreamReading())
                metrics.setItems(items.reading)
                metrics.setItemSharing(items.sharingReading)
                metrics.setLiveItems(activity.reading)
                return metrics.scrape(format)
            },
            readiness: {
                if state.isDraining { return .notReady("draining") }
                return state.isReady ? .ready : .notReady("no model is loaded yet")
            },
            status: { status.text() })
        return try await HTTPPort.open(at: endpoint, endpoints, logger: logger)
    }

    /// Loads the configured bundle again each time SIGHUP comes; a fault leaves the running generation in place.
    private func reloadOnHangup() async {
        guard let bundle = configuration.bundle else { return }
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            logger.info("reload asked for by SIGHUP", metadata: ["model.path": "\(bundle)"])
            // The fault has been logged and counted.
            _ = try? await models.load(bundle)
        }
    }

    /// Lets calls in flight end, at most as long as configured.
    package func drain() async {
        context.state.beginDraining()
        metrics.setReady(false)
        logger.info("node drains", metadata: ["node.calls": "\(context.state.callsInFlight)"])
        await acceptor.stop()
        await streams?.stop()
        for worker in context.workers {
            worker.eventLoop.execute { for connection in worker.connections.values { connection.drain() } }
        }
        let end = ContinuousClock.now + configuration.drainTimeout
        // A moment for calls that were on the wire when the goaway went out, then until none is left.
        try? await Task.sleep(for: .milliseconds(50))
        while context.state.callsInFlight > 0, ContinuousClock.now < end {
            try? await Task.sleep(for: .milliseconds(5))
        }
        let left = context.state.callsInFlight
        if left > 0 { logger.warning("calls cut off at the drain limit", metadata: ["node.calls": "\(left)"]) }
        await sharedUsers?.leave(atMost: min(configuration.drainTimeout, .seconds(5)))
    }

    /// Closes everything.
    package func stop() async {
        await acceptor.stop()
        await streams?.stop()
        await ports.http?.close()
        await sharedUsers?.stop()
        for worker in context.workers {
            _ = try? await worker.eventLoop.submit {
                for connection in worker.connections.values { connection.close() }
                worker.stop()
            }.get()
        }
        if hasStarted.load(ordering: .acquiring) {
            try? await snapshotPool.runIfActive { [events, context, warming] in
                events.takeSnapshot(context, isHurried: true)
                warming.save()
            }
        }
        items.sharing?.close()
        // What is in line is stored first, and told to those who wait as far as their connections stand.
        events.close()
        items.close()
        activity.close()
        slates.close()
        try? await redisLoop?.shutdownGracefully()
        try? await loops.shutdownGracefully()
        try? await acceptorLoop.shutdownGracefully()
        try? await pool.shutdownGracefully()
        try? await samplingPool.shutdownGracefully()
        try? await snapshotPool.shutdownGracefully()
        try? await mergePool.shutdownGracefully()
        try? await memoryPool.shutdownGracefully()
        logger.info("node stopped")
    }
}

extension ServerConfiguration {
    /// The folder that LoadModel may load from: the one given, else the one that holds the bundle.
    var effectiveModelsRoot: String? {
        if let modelsRoot { return modelsRoot }
        guard let bundle else { return nil }
        var path = bundle
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
