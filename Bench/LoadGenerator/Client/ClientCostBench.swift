import Foundation
import MartletClient
import Synchronization
import Telemetry
import Vocabulary

/// How many calls can one core of a service make through `MartletClient`, one by one and in batches, and what do they allocate?
///
/// Against a fake node on a thread of this process that answers the smallest question with an empty answer. What counts is
/// the processor time of the process without that thread: calls for each second of it are what a core can do, whatever else the
/// machine does. The wall clock's rate stands beside it.
package struct ClientCostBench: Sendable {
    package struct Configuration: Sendable {
        /// Calls in flight, one task each.
        package var inFlight = 64
        /// Calls of a batch, and batches in flight.
        package var batch = 64
        package var batches = 4
        /// Seconds for each line.
        package var duration = 3.0
        package var warmup = 0.5
        /// Rounds; all kinds take turns, and the median of each counts.
        package var rounds = 3

        package init() {}

        package func validate() throws(LoadError) {
            func check(_ isSound: Bool, _ message: String) throws(LoadError) {
                if !isSound { throw LoadError(message) }
            }
            try check((1...4096).contains(inFlight), "--in-flight is \(inFlight); allowed: 1 to 4096")
            try check((1...4096).contains(batch), "--batch is \(batch); allowed: 1 to 4096")
            try check((1...64).contains(batches), "--batches is \(batches); allowed: 1 to 64")
            try check(duration > 0 && duration <= 3600, "--duration is \(duration); allowed: above 0 to 3600 seconds")
            try check((1...99).contains(rounds), "--rounds is \(rounds); allowed: 1 to 99")
        }
    }

    package enum Path: String, CaseIterable, Sendable, Encodable {
        case oneNode = "one node"
        case cluster = "cluster"
    }

    package struct Line: Sendable, Encodable {
        package var path: Path
        package var isBatched: Bool
        package var calls: Int
        package var failures: Int
        /// By the wall clock.
        package var callsPerSecond: Double
        /// Processor time of the client for each call, in seconds.
        package var secondsPerCall: Double
        /// By jemalloc; exact only with MALLOC_CONF=tcache:false. Absent: not known.
        package var allocationsPerCall: Double?
        /// What one core can do.
        package var callsPerCoreSecond: Double { 1 / secondsPerCall }
    }

    private let configuration: Configuration

    package init(_ configuration: Configuration) { self.configuration = configuration }

    /// The lines, each the median round by cost.
    package func run(stop: StopSignal) async throws(LoadError) -> [Line] {
        try configuration.validate()
        var rounds: [String: [Line]] = [:]
        var order: [String] = []
        for _ in 0..<configuration.rounds where !stop.wasSet {
            for path in Path.allCases {
                for isBatched in [false, true] where !stop.wasSet {
                    let line = try await measure(path, isBatched: isBatched, stop)
                    let key = "\(path) \(isBatched)"
                    if rounds[key] == nil { order.append(key) }
                    rounds[key, default: []].append(line)
                }
            }
        }
        return order.compactMap { key in
            let lines = (rounds[key] ?? []).sorted { $0.secondsPerCall < $1.secondsPerCall }
            return lines.isEmpty ? nil : lines[lines.count / 2]
        }
    }

    private func measure(_ path: Path, isBatched: Bool, _ stop: StopSignal) async throws(LoadError) -> Line {
        let node = try FakeNode(FakeNodeBehaviour(), spin: false)
        defer { node.stop() }
        var settings = MartletClientConfiguration(host: "127.0.0.1", port: node.port)
        if path == .cluster { settings.nodes = .list([ClusterNode(host: "127.0.0.1", port: node.port)]) }
        settings.timeout = .seconds(30)
        let client: MartletClient
        do throws(MartletClientError) {
            client = try MartletClient(settings)
            _ = try await client.health()
        } catch { throw LoadError("cannot use the fake node: \(error)") }
        let counter = Counter()
        let isOver = StopSignal()
        let tasks = isBatched ? configuration.batches : configuration.inFlight
        let batch = configuration.batch
        let calling = Task {
            await withDiscardingTaskGroup { group in
                for _ in 0..<tasks {
                    group.addTask {
                        while !isOver.wasSet {
                            if isBatched {
                                let outcomes = await client.askEach(batch)
                                var failures = 0
                                for outcome in outcomes { if case .failure = outcome { failures += 1 } }
                                counter.add(batch, failures)
                            } else {
                                var failures = 0
                                do { _ = try await client.health() } catch { failures = 1 }
                                counter.add(1, failures)
                            }
                        }
                    }
                }
            }
        }
        await Self.pause(configuration.warmup, stop)
        let before = Reading(counter, node)
        await Self.pause(configuration.duration, stop)
        let after = Reading(counter, node)
        isOver.set()
        await calling.value
        await client.shutdown()
        let calls = max(after.calls - before.calls, 1)
        return Line(
            path: path, isBatched: isBatched, calls: calls, failures: after.failures,
            callsPerSecond: Double(calls) / (Double(after.time - before.time) / 1e9),
            secondsPerCall: (after.cpu - before.cpu) / Double(calls),
            allocationsPerCall: before.allocations.flatMap { start in
                after.allocations.map { Double($0 - start) / Double(calls) }
            })
    }

    private static func pause(_ seconds: Double, _ stop: StopSignal) async {
        let end = MonotonicClock.now() + UInt64(seconds * 1e9)
        while !stop.wasSet, MonotonicClock.now() < end { try? await Task.sleep(for: .milliseconds(10)) }
    }

    /// Calls that ended.
    private final class Counter: Sendable {
        let calls = Atomic<Int>(0)
        let failures = Atomic<Int>(0)
        func add(_ calls: Int, _ failures: Int) {
            self.calls.add(calls, ordering: .relaxed)
            if failures > 0 { self.failures.add(failures, ordering: .relaxed) }
        }
    }

    private struct Reading {
        let calls: Int
        let failures: Int
        let time = MonotonicClock.now()
        /// Processor time of the process but for the fake node, in seconds.
        let cpu: Double
        let allocations: UInt64?

        init(_ counter: Counter, _ node: FakeNode) {
            calls = counter.calls.load(ordering: .relaxed)
            failures = counter.failures.load(ordering: .relaxed)
            var usage = rusage()
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            let (user, system) = (usage.ru_utime, usage.ru_stime)
            cpu =
                Double(user.tv_sec + system.tv_sec) + Double(user.tv_usec + system.tv_usec) / 1e6
                - Double(node.nanosecondsUsed) / 1e9
            allocations = Allocator.statistics()?.allocations
        }
    }
}
