import Foundation
import MartletClient
import NIOPosix
import Synchronization
import Vocabulary
import Wire

/// Puts the load on the node through `MartletClient`, as a service would: tasks, decoded answers, its own connections.
///
/// Measures the client library along with the node; the raw driver is the one to find the node's limits with. Each of
/// `connections` clients has its own connections, one for each shard. All of a run's figures come as one record per
/// second, as the raw driver's do.
package final class ClientDriver: LoadDriver, Sendable {
    private let configuration: LoadConfiguration
    private let clients: [MartletClient]
    private let group: MultiThreadedEventLoopGroup
    private let sequence: RequestSequence
    private let plan: FramePlan
    package let shardCount: Int
    package let description: String
    package let users: UserProbe?

    package init(_ configuration: LoadConfiguration) async throws(LoadError) {
        try configuration.validate()
        self.configuration = configuration
        group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        var settings = MartletClientConfiguration(host: configuration.host, port: configuration.port)
        settings.nodes = configuration.nodes
        settings.clientName = "martlet-bench"
        settings.timeout = configuration.timeout > 0 ? .microseconds(Int(configuration.timeout * 1e6)) : nil
        settings.callsInFlightMax = InFlightTable.capacityMax
        do throws(MartletClientError) {
            var clients: [MartletClient] = []
            for _ in 0..<configuration.connections {
                clients.append(try MartletClient(settings, eventLoopGroup: group))
            }
            self.clients = clients
            let health = try await clients[0].health()
            shardCount = max(Int(health.shardCount), 1)
            description =
                "\(configuration.host):\(configuration.port) \(health.softwareVersion), \(shardCount.counted("shard")), "
                + "model \(health.model), \(health.state.name)"
            for client in clients { _ = try await client.health() }
            let first = clients[0]
            users = await UserProbe.ask(configuration) { request, _ in
                try? await first.recommend(request).fallback
            }
        } catch {
            throw LoadError("cannot use \(configuration.host):\(configuration.port): \(error)")
        }
        plan = FramePlan(configuration)
        sequence = RequestSequence.draw(configuration, pool: FramePool(configuration), map: nil)[0].sequence
    }

    /// The records that the tasks of a run write to.
    private final class Board: Sendable {
        private let record = Mutex(IntervalRecord())
        let exchange = RecordExchange()

        func note(_ body: @Sendable (IntervalRecord) -> Void) { record.withLock { body($0) } }

        func turnOver(start: UInt64, end: UInt64) {
            record.withLock { record in
                record.counters.pointee.start = start
                record.counters.pointee.end = end
                var usage = rusage()
                getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
                let (user, system) = (usage.ru_utime, usage.ru_stime)
                record.counters.pointee.cpu =
                    UInt64(user.tv_sec + system.tv_sec) * 1_000_000_000
                    + UInt64(user.tv_usec + system.tv_usec) * 1000
                record = exchange.turnOver(record)
            }
        }
    }

    /// The bounds of one run, and what its tasks share.
    private struct Run: Sendable {
        let board: Board
        let stop: StopSignal
        let isOpen: Bool
        let measureStart: UInt64
        let measureEnd: UInt64
        let remaining: BoundedCounter
    }

    /// Counts down from a maximum.
    private final class BoundedCounter: Sendable {
        private let taken = Atomic<Int>(0)
        let limit: Int
        init(limit: Int) { self.limit = limit }
        /// The number of the call, from 0; `nil` when all are taken.
        func take() -> Int? {
            let number = taken.add(1, ordering: .relaxed).oldValue
            return number < limit ? number : nil
        }
    }

    package func run(
        _ mode: LoadMode, warmup: Double, duration: Double, stop: StopSignal, progress: @escaping ProgressHandler
    ) async throws(LoadError) -> LoadReport {
        let start = MonotonicClock.now()
        let measureStart = start + UInt64(warmup * 1e9)
        let measureEnd = measureStart + UInt64(duration * 1e9)
        var isOpen = false
        if case .open = mode { isOpen = true }
        let run = Run(
            board: Board(), stop: stop, isOpen: isOpen, measureStart: measureStart, measureEnd: measureEnd,
            remaining: BoundedCounter(limit: configuration.requestsMax ?? .max))
        let sending = Task {
            switch mode {
            case .closed(let inFlight): await sendClosed(run, inFlight)
            case .open(let rate): await sendOpen(run, rate, start)
            }
            run.board.exchange.isFinished.store(true, ordering: .releasing)
        }
        var collector = ReportCollector(
            mode: mode, measureStart: measureStart, start: start, threads: 1, mix: configuration.mix)
        var intervalStart = start
        var intervalEnd = warmup > 0 ? measureStart : start + 1_000_000_000
        while true {
            let finished = run.board.exchange.isFinished.load(ordering: .acquiring)
            let now = MonotonicClock.now()
            if finished || now >= intervalEnd {
                run.board.turnOver(start: intervalStart, end: finished ? min(now, measureEnd) : intervalEnd)
                intervalStart = intervalEnd
                repeat { intervalEnd += 1_000_000_000 } while intervalEnd <= now
                for record in run.board.exchange.takeFull() {
                    collector.add(record, thread: 0)
                    run.board.exchange.giveBack(record)
                }
                for point in collector.takePoints() { progress(point) }
            }
            if finished { break }
            try? await Task.sleep(for: .milliseconds(20))
        }
        await sending.value
        var report = collector.report(
            node: description, configuration: configuration, shardCount: shardCount, wasStopped: stop.wasSet,
            warmup: warmup)
        report.isRouted = shardCount > 1
        report.driver = "MartletClient"
        report.users = users
        return report
    }

    /// What the clients did with each of several nodes; nil: there is one node.
    package func clusterReport() async -> String? {
        guard configuration.nodes != nil else { return nil }
        var table = TextTable([
            "node", "state", "picks", "retries", "hedges", "answered", "failed", "rejected", "lost", "cancelled",
            "ejections", "p50", "p99",
        ])
        var (calls, answered, sent) = (UInt64(0), UInt64(0), UInt64(0))
        for client in clients {
            let snapshot = await client.snapshot()
            calls += snapshot.calls
            answered += snapshot.answered
            for node in snapshot.nodes {
                sent += node.sent
                func text(_ quantile: Double) -> String {
                    node.latency(quantile: quantile).map { String(format: "%.2f ms", $0 / .milliseconds(1)) } ?? ""
                }
                table.add([
                    node.name, node.state.rawValue, "\(node.picks)", "\(node.retries)", "\(node.hedges)",
                    "\(node.answered)", "\(node.failed)", "\(node.rejected)", "\(node.lost)", "\(node.cancelled)",
                    "\(node.ejections)", text(0.5), text(0.99),
                ])
            }
        }
        let extra = calls > 0 ? 100 * (Double(sent) / Double(calls) - 1) : 0
        return table.text
            + "\n\(calls) calls, \(answered) answered, \(sent) sendings: \(String(format: "%.2f", extra)) % extra load"
    }

    /// Closes the clients.
    package func close() async {
        for client in clients { await client.shutdown() }
        try? await group.shutdownGracefully()
    }

    private func sendClosed(_ run: Run, _ inFlight: Int) async {
        await withDiscardingTaskGroup { group in
            for client in clients {
                for _ in 0..<inFlight {
                    group.addTask {
                        while !run.stop.wasSet, MonotonicClock.now() < run.measureEnd,
                            let number = run.remaining.take()
                        {
                            await self.call(run, client, number, intended: MonotonicClock.now())
                        }
                    }
                }
            }
        }
    }

    private func sendOpen(_ run: Run, _ rate: Double, _ start: UInt64) async {
        var schedule = OpenLoopSchedule(start: start, end: run.measureEnd, rate: rate)
        let most = configuration.openWindow * clients.count
        await withDiscardingTaskGroup { group in
            let flying = Flying()
            while !run.stop.wasSet, let next = schedule.nextTime {
                let now = MonotonicClock.now()
                if next > now {
                    try? await Task.sleep(for: .nanoseconds(Int64(next - now)), tolerance: .zero)
                    continue
                }
                guard flying.count.load(ordering: .relaxed) < most else {
                    if now >= run.measureEnd { break }
                    try? await Task.sleep(for: .microseconds(200), tolerance: .zero)
                    continue
                }
                guard let number = run.remaining.take(), let intended = schedule.take(at: now) else { break }
                flying.count.add(1, ordering: .relaxed)
                group.addTask {
                    await self.call(run, self.clients[number % self.clients.count], number, intended: intended)
                    flying.count.subtract(1, ordering: .relaxed)
                }
            }
        }
        guard configuration.requestsMax == nil else { return }
        let end = min(MonotonicClock.now(), run.measureEnd)
        if end > run.measureStart {
            let unsent = schedule.untaken(in: run.measureStart..<end)
            run.board.note { $0.outcomes[Outcome.unsent] += unsent }
        }
    }

    /// What the node said beside one answer: its event loop writes, the call's task reads.
    private final class ReplyNote: Sendable {
        private let packed = Atomic<UInt64>(0)
        func keep(_ info: ReplyInfo) {
            packed.store(UInt64(info.serverMicroseconds) << 1 | (info.isCached ? 1 : 0), ordering: .releasing)
        }
        var value: (microseconds: UInt32, isCached: Bool) {
            let bits = packed.load(ordering: .acquiring)
            return (UInt32(truncatingIfNeeded: bits >> 1), bits & 1 == 1)
        }
    }

    /// Calls of an open loop that are in flight.
    private final class Flying: Sendable {
        let count = Atomic<Int>(0)
    }

    private func call(_ run: Run, _ client: MartletClient, _ number: Int, intended: UInt64) async {
        let frame = Int(sequence.frames[number % sequence.count])
        let method = plan.method(frame)
        var outcome = 0
        let note = ReplyNote()
        var options = CallOptions(bypassesCache: configuration.bypassCache)
        options.priority = configuration.priority
        options.onReply = { note.keep($0) }
        do throws(MartletClientError) {
            switch plan.body(frame) {
            case let request as RecommendRequest: _ = try await client.recommend(request, options: options)
            case let request as RecommendManyRequest: _ = try await client.recommendMany(request, options: options)
            case let request as SimilarItemsRequest: _ = try await client.similarItems(request, options: options)
            case let request as GetItemRequest: _ = try await client.getItem(request, options: options)
            default: _ = try await client.health(options: options)
            }
        } catch {
            outcome = Int(error.code.rawValue)
        }
        let now = MonotonicClock.now()
        let judged = run.isOpen ? intended >= run.measureStart : now >= run.measureStart && now < run.measureEnd
        let (isGood, final) = (outcome == 0, outcome)
        run.board.note { record in
            if isGood, now < run.measureEnd { record.counters.pointee.completed += 1 }
            guard judged else { return }
            record.outcomes[final] += 1
            guard isGood else { return }
            let info = note.value
            record.methods[Int(method.rawValue)].client.record(now &- intended)
            record.methods[Int(method.rawValue)].server.record(UInt64(info.microseconds))
            if info.isCached { record.counters.pointee.cached += 1 }
        }
    }
}
