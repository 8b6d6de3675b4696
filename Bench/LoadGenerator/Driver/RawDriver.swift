import Foundation
import Glibc
import Synchronization
import Vocabulary
import Wire

/// Tells a run to end early.
package final class StopSignal: Sendable {
    let isSet = Atomic<Bool>(false)
    package init() {}
    package func set() { isSet.store(true, ordering: .relaxed) }
    package var wasSet: Bool { isSet.load(ordering: .relaxed) }
}

/// What is told while a run goes on.
package typealias ProgressHandler = (TimePoint) -> Void

/// Anything that can put a load on a node. One run at a time.
package protocol LoadDriver {
    /// Answers the node and its greeting in a few words.
    var description: String { get }
    var shardCount: Int { get }
    /// Whether the node knows the users of the load; nil: it was not asked, or its answer cannot be read.
    var users: UserProbe? { get }
    func run(_ mode: LoadMode, warmup: Double, duration: Double, stop: StopSignal, progress: @escaping ProgressHandler)
        async throws(LoadError) -> LoadReport
}

/// Sends pre-encoded frames from dedicated threads over non-blocking sockets.
///
/// `open` greets the node on every connection; `run` may then be called again and again, as the search for a rate
/// does. A connection that breaks during a run is opened anew while the others go on.
package final class RawDriver: LoadDriver {
    private static let reconnectPause: UInt64 = 200_000_000
    private static let goneAfter: UInt64 = 1_000_000_000
    private let configuration: LoadConfiguration
    private let handshake: Handshake
    private var senders: [UnsafeMutablePointer<Sender>] = []
    private var exchanges: [RecordExchange] = []
    package private(set) var shardCount = 1
    private var isRouting = false
    package private(set) var description = ""
    package private(set) var users: UserProbe?
    /// Connections that are broken, by thread; a later run still tries to open them again.
    private var lost: [(thread: Int, connection: Int)] = []

    /// Connects, greets, asks for the node's health and encodes the calls.
    package init(_ configuration: LoadConfiguration) throws(LoadError) {
        try configuration.validate()
        self.configuration = configuration
        handshake = Handshake(address: try NodeAddress(host: configuration.host, port: configuration.port))
        let welcome = try probe()
        let pool = FramePool(configuration)
        guard pool.frameBytesMax - 4 <= welcome.frameBytesMax else {
            throw LoadError(
                "the largest call has \(pool.frameBytesMax) bytes; the node takes \(welcome.frameBytesMax)")
        }
        let opened = try openAll()
        // Calls go to their user's shard when every thread reaches every shard; else anywhere, and the node passes them on.
        isRouting =
            shardCount > 1
            && (0..<configuration.threads).allSatisfy { thread in
                let own = opened.enumerated().filter { $0.offset % configuration.threads == thread }
                return Set(own.map(\.element.shard)).count == shardCount
            }
        let sequences = RequestSequence.draw(
            configuration, pool: pool, map: isRouting ? PartitionMap(shardCount: shardCount) : nil)
        var window = configuration.openWindow
        if case .closed(let inFlight) = configuration.mode { window = max(window, inFlight) }
        if welcome.callsInFlightMax > 0 { window = min(window, welcome.callsInFlightMax) }
        if case .closed(let inFlight) = configuration.mode {
            guard inFlight <= window else {
                throw LoadError("the node takes \(window) calls in flight on a connection, not \(inFlight)")
            }
            window = inFlight
        }
        for thread in 0..<configuration.threads {
            let offset = Double(thread) / Double(configuration.threads)
            var lanes = sequences.map { Lane($0.sequence, share: $0.share, offset: offset) }
            var connections: [Connection] = []
            for (place, entry) in opened.enumerated() where place % configuration.threads == thread {
                var connection = Connection(
                    shard: entry.shard, window: window,
                    outputCapacity: max(2 * pool.frameBytesMax, min(window * pool.frameBytesMax, 256 << 10)))
                connection.descriptor = entry.descriptor
                connection.lane = isRouting ? entry.shard : 0
                lanes[connection.lane].connections.append(connections.count)
                connections.append(connection)
            }
            let exchange = RecordExchange()
            let sender = UnsafeMutablePointer<Sender>.allocate(capacity: 1)
            sender.initialize(
                to: try Sender(
                    pool: pool, connections: connections, lanes: lanes, exchange: exchange,
                    replyBytesMax: max(welcome.frameBytesMax, FrameHeader.frameBytesMaxDefault)))
            senders.append(sender)
            exchanges.append(exchange)
        }
    }

    deinit {
        for sender in senders {
            sender.pointee.deallocate()
            sender.deinitialize(count: 1)
            sender.deallocate()
        }
    }

    /// Learns from one connection what the node is, and that it serves.
    private func probe() throws(LoadError) -> Welcome {
        let (descriptor, welcome) = try handshake.open(shard: nil)
        defer { close(descriptor) }
        guard welcome.partitionMapVersion == 0 || welcome.partitionMapVersion == PartitionMap.version else {
            throw LoadError(
                "the node deals users to shards by map \(welcome.partitionMapVersion), this tool by map "
                    + "\(PartitionMap.version): use the tool of the same version")
        }
        guard (1...Slot.count).contains(welcome.shardCount) else {
            throw LoadError("the node says that it has \(welcome.shardCount) shards")
        }
        shardCount = welcome.shardCount
        let body = try handshake.call(descriptor, EmptyRequest(), .health)
        let health = body.withUnsafeBytes { try? HealthReply(decoding: $0, arena: DecodeArena()) }
        guard let health else { throw LoadError("\(handshake.address.name) sent an answer that is no HealthReply") }
        let model = health.model.isEmpty ? "" : ", model \(health.model)"
        description =
            "\(handshake.address.name) \(welcome.softwareVersion), \(shardCount) shard\(shardCount == 1 ? "" : "s")"
            + "\(model), \(health.state.name)"
        users = UserProbe.ask(configuration) { request, slot in
            // Refusals and silence are for the run to count.
            let body = try? handshake.call(descriptor, request, .recommend, slot: slot)
            return body?.withUnsafeBytes { try? RecommendReply(decoding: $0, arena: DecodeArena()) }?.fallback
        }
        return welcome
    }

    private func openAll() throws(LoadError) -> [(descriptor: Int32, shard: Int)] {
        var opened: [(descriptor: Int32, shard: Int)] = []
        do throws(LoadError) {
            for index in 0..<configuration.connections {
                // Every thread gets connections to every shard: threads take them in turn, shards in runs.
                let wish = (index / configuration.threads) % shardCount
                let (descriptor, welcome) = try handshake.open(shard: shardCount > 1 ? wish : nil)
                opened.append((descriptor, min(max(welcome.shard, 0), shardCount - 1)))
            }
        } catch {
            for entry in opened { close(entry.descriptor) }
            throw error
        }
        return opened
    }

    /// What the threads of one run share. `@unchecked Sendable`: each pointer is used by one thread until it is joined.
    private struct Work: @unchecked Sendable {
        let sender: UnsafeMutablePointer<Sender>
        let plan: SenderPlan
        let stop: StopSignal
        let done: DispatchSemaphore
    }

    package func run(
        _ mode: LoadMode, warmup: Double, duration: Double, stop: StopSignal, progress: @escaping ProgressHandler
    ) throws(LoadError) -> LoadReport {
        let start = MonotonicClock.now() + 1_000_000
        let measureStart = start + UInt64(warmup * 1e9)
        let measureEnd = measureStart + UInt64(duration * 1e9)
        var rate: Double = 1
        if case .open(let whole) = mode { rate = whole / Double(senders.count) }
        let done = DispatchSemaphore(value: 0)
        let halt = configuration.endsWhenNodeIsGone ? StopSignal() : stop
        for (thread, sender) in senders.enumerated() {
            exchanges[thread].isFinished.store(false, ordering: .relaxed)
            let share = configuration.requestsMax.map { max($0 / senders.count, 1) } ?? .max
            let plan = SenderPlan(
                mode: mode, start: start, measureStart: measureStart, measureEnd: measureEnd, rate: rate,
                phase: Double(thread) / Double(senders.count), requestsMax: share,
                timeout: UInt64(configuration.timeout * 1e9), spin: configuration.spin)
            let work = Work(sender: sender, plan: plan, stop: halt, done: done)
            let body = Thread {
                work.sender.pointee.run(work.plan, stop: work.stop.isSet)
                work.done.signal()
            }
            body.name = "load-\(thread)"
            body.qualityOfService = .userInteractive
            body.start()
        }
        var collector = ReportCollector(
            mode: mode, measureStart: measureStart, start: start, threads: senders.count, mix: configuration.mix)
        var nextReconnect: UInt64 = 0
        var goneSince: UInt64?
        while true {
            let finished = exchanges.allSatisfy { $0.isFinished.load(ordering: .acquiring) }
            for (thread, exchange) in exchanges.enumerated() {
                for record in exchange.takeFull() {
                    collector.add(record, thread: thread)
                    exchange.giveBack(record)
                }
                lost += exchange.takeLost().map { (thread, $0) }
            }
            for point in collector.takePoints() { progress(point) }
            if finished { break }
            let now = MonotonicClock.now()
            if !lost.isEmpty, now >= nextReconnect {
                lost = reopen(lost)
                nextReconnect = MonotonicClock.now() + RawDriver.reconnectPause
            }
            goneSince = lost.count < configuration.connections ? nil : goneSince ?? now
            let isGone = goneSince.map { now &- $0 >= RawDriver.goneAfter } ?? false
            if configuration.endsWhenNodeIsGone, stop.wasSet || isGone { halt.set() }
            usleep(20_000)
        }
        for _ in senders { done.wait() }
        collector.lostConnections += lost.count
        var report = collector.report(
            node: description, configuration: configuration, shardCount: shardCount, wasStopped: stop.wasSet,
            warmup: warmup)
        report.isRouted = isRouting
        report.users = users
        return report
    }

    /// Opens broken connections anew; returns those that are still broken.
    private func reopen(_ lost: [(thread: Int, connection: Int)]) -> [(thread: Int, connection: Int)] {
        var left = lost
        while let (thread, index) = left.last {
            let shard = senders[thread].pointee.connections[index].shard
            guard let (descriptor, welcome) = try? handshake.open(shard: shardCount > 1 ? shard : nil) else { break }
            exchanges[thread].putFresh(.init(index: index, descriptor: descriptor, shard: welcome.shard))
            left.removeLast()
        }
        return left
    }
}
