import NIOCore
import Synchronization
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletClient

/// Three nodes behind proxies that spoil what passes, a client that knows the proxies, and tasks that read and write.
@Suite("MartletClient of several nodes, under faults", .timeLimit(.minutes(30)), .ownThreads)
struct ChaosTests {
    enum Fault: String, CaseIterable, Sendable {
        case delay, blackHole, resets, cuts, throttle, refusal, restart
    }

    /// What the tasks of a test saw.
    final class Tally: Sendable {
        let reads = Atomic<Int>(0)
        let readFailures = Mutex<[String]>([])
        let writes = Atomic<Int>(0)
        let writeFailures = Atomic<Int>(0)
        var count: Int { reads.load(ordering: .relaxed) }
    }

    private static func read(_ client: MartletClient, _ tally: Tally, _ stopping: Stopping, task: Int) async {
        var number = 0
        while !stopping.isSet {
            number += 1
            let request = RecommendRequest(user: "u\(task)-\(number % 97)", k: 2)
            do {
                let slate = try await client.recommend(request)
                #expect(slate == FakeService.slate(request))
            } catch { tally.readFailures.withLock { $0.append("\(error)") } }
            tally.reads.add(1, ordering: .relaxed)
        }
    }

    private static func write(_ client: MartletClient, _ tally: Tally, _ stopping: Stopping, task: Int) async {
        var number = 0
        while !stopping.isSet {
            number += 1
            var event = UserEvent(user: "u\(task)-\(number % 97)", item: "i1", type: "view")
            event.id = "\(task)-\(number)"
            // Nobody may send it again, so a deaf owner costs its whole time.
            let options = CallOptions(timeout: .milliseconds(500))
            do { _ = try await client.recordEvents(RecordEventsRequest(events: [event]), options: options) } catch {
                tally.writeFailures.add(1, ordering: .relaxed)
            }
            tally.writes.add(1, ordering: .relaxed)
        }
    }

    private func until(_ tally: Tally, further count: Int) async throws {
        let goal = tally.count + count
        try await MartletClientTests.until { tally.count >= goal }
    }

    @Test("no read fails while one of three nodes is spoiled, and no event is sent twice", arguments: Fault.allCases)
    func oneNode(fault: Fault) async throws {
        var nodes: [FakeNode] = []
        var proxies: [FaultProxy] = []
        for _ in 0..<3 {
            nodes.append(try await FakeNode.start())
            proxies.append(try await FaultProxy.start(to: nodes[nodes.count - 1].port))
        }
        var configuration = patient(port: 1)
        configuration.nodes = .list(proxies.map { ClusterNode(host: "127.0.0.1", port: $0.port) })
        configuration.reconnectDelay = .milliseconds(5)
        configuration.reconnectDelayMax = .milliseconds(100)
        // A node that was silent is found out also when it owes nothing any more.
        configuration.pingAfter = .seconds(1)
        configuration.pingTimeout = .seconds(20)
        // As many second sendings as it takes: a machine that stands still for a second looks like a node that does.
        configuration.balancing.hedgeShare = 1
        configuration.balancing.retryShare = 10
        configuration.balancing.attemptsMax = 15
        let client = try MartletClient(configuration)
        try await untilReady(client, 3)
        let (tally, stopping) = (Tally(), Stopping())
        let tasks =
            (0..<12).map { task in Task { await Self.read(client, tally, stopping, task: task) } }
            + (0..<2).map { task in Task { await Self.write(client, tally, stopping, task: task) } }
        try await until(tally, further: 300)
        switch fault {
        case .delay: proxies[0].change { $0.delay = .milliseconds(400) }
        case .blackHole: proxies[0].change { $0.isBlackHole = true }
        case .cuts: proxies[0].change { $0.cutAfterBytes = 2_000 }
        case .throttle: proxies[0].change { $0.bytesPerSecond = 5_000 }
        case .refusal:
            proxies[0].change { $0.refuses = true }
            await proxies[0].resetConnections()
        case .resets:
            for _ in 0..<10 {
                await proxies[0].resetConnections()
                try await until(tally, further: 30)
            }
        case .restart:
            let port = nodes[0].port
            await nodes[0].stop()
            try await until(tally, further: 100)
            nodes.append(try await FakeNode.start(port: port))
        }
        try await until(tally, further: 500)
        proxies[0].heal()
        try await until(tally, further: 200)
        stopping.set()
        for task in tasks { await task.value }
        #expect(tally.readFailures.withLock { $0 } == [], "\(fault)")
        try await MartletClientTests.until { await client.snapshot().callsUnderWay == 0 }
        // It comes back: nothing is left of the fault.
        if fault != .blackHole {
            try await MartletClientTests.until { await client.snapshot().nodes[0].connections > 0 }
        }
        let ids = try nodes.flatMap { node in
            try node.log.calls.filter { $0.header.method == .recordEvents }.map {
                try RecordEventsRequest(decoding: $0.body, arena: DecodeArena()).events[0].id
            }
        }
        #expect(Set(ids).count == ids.count)
        let snapshot = await client.snapshot()
        #expect(
            snapshot.answered + snapshot.failed + snapshot.deadlinesPassed + snapshot.cancelled == snapshot.calls)
        await client.shutdown()
        for proxy in proxies { await proxy.stop() }
        for node in nodes { await node.stop() }
    }

    @Test("when every node is a black hole, every call ends by its deadline and nothing is left")
    func allSilent() async throws {
        try await withCluster(3) { client, nodes in
            var proxies: [FaultProxy] = []
            for node in nodes { proxies.append(try await FaultProxy.start(to: node.port)) }
            client.setNodes(proxies.map { ClusterNode(host: "127.0.0.1", port: $0.port) })
            try await untilReady(client, 3)
            for proxy in proxies { proxy.change { $0.isBlackHole = true } }
            let options = CallOptions(timeout: .milliseconds(300))
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<300 {
                    group.addTask {
                        let error = await failure { try await client.recommend(user: "u\(number)", options: options) }
                        #expect(error?.code == .deadlineExceeded)
                    }
                }
            }
            #expect(await client.snapshot().callsUnderWay == 0)
            for proxy in proxies { proxy.heal() }
            // The connections are what they were; what was lost on the way is the decoder's to find out.
            await client.shutdown()
            for proxy in proxies { await proxy.stop() }
        }
    }
}
