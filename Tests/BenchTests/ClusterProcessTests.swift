import Foundation
import MartletClient
import Synchronization
import TestSupport
import Testing

@testable import LiveBench

@Suite("A cluster of processes", .timeLimit(.minutes(30)), .ownThreads)
struct ClusterProcessTests {
    private final class Tally: Sendable {
        let reads = Atomic<Int>(0)
        let failures = Mutex<[String]>([])
        func failed(_ error: any Error) { failures.withLock { $0.append("\(error)") } }
    }

    private func until(_ isSo: () async -> Bool) async throws {
        while await !isSo() { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test("no read fails while one of three nodes stands still, goes on, is killed, drains and is replaced")
    func lifecycle() async throws {
        let folder = try TemporaryFolder()
        try LiveWorld.makeBundle(folder.file("bundle"))
        let options = try LiveWorld.node(folder.file("bundle"))
        let nodes = [try await NodeProcess(options), try await NodeProcess(options), try await NodeProcess(options)]
        func address(_ node: NodeProcess) -> ClusterNode { ClusterNode(host: "127.0.0.1", port: node.port) }
        var configuration = MartletClientConfiguration(nodes: .list(nodes.map(address)))
        configuration.timeout = .seconds(300)
        configuration.connectTimeout = .seconds(300)
        configuration.reconnectDelay = .milliseconds(5)
        configuration.reconnectDelayMax = .milliseconds(100)
        // As many second sendings as it takes: on a busy machine all nodes stand still now and then.
        configuration.balancing.hedgeShare = 1
        configuration.balancing.retryShare = 10
        configuration.balancing.attemptsMax = 15
        let client = try MartletClient(configuration)
        client.connect()
        try await until { await client.snapshot().nodes.count { $0.state == .ready } == 3 }
        let (tally, stopping) = (Tally(), Stopping())
        let readers = (0..<8).map { task in
            Task {
                var number = 0
                while !stopping.isSet {
                    number += 1
                    do { _ = try await client.recommend(user: "u\(task)-\(number % 50)", k: 5) } catch {
                        tally.failed(error)
                    }
                    tally.reads.add(1, ordering: .relaxed)
                }
            }
        }
        func further(_ count: Int) async throws {
            let goal = tally.reads.load(ordering: .relaxed) + count
            try await until { tally.reads.load(ordering: .relaxed) >= goal }
        }
        try await further(300)
        nodes[0].pause()
        try await further(300)
        nodes[0].resume()
        try await further(100)
        nodes[1].killNow()
        try await further(300)
        // A rolling restart: a new node first, then the old one drains.
        let fresh = try await NodeProcess(options)
        client.setNodes([address(nodes[0]), address(nodes[2]), address(fresh)])
        try await until {
            await client.snapshot().nodes.contains { $0.name.hasSuffix(":\(fresh.port)") && $0.connections > 0 }
        }
        nodes[2].stop()
        try await further(300)
        stopping.set()
        for reader in readers { await reader.value }
        #expect(tally.failures.withLock { $0 } == [])
        try await until { await client.snapshot().callsUnderWay == 0 }
        let snapshot = await client.snapshot()
        #expect(snapshot.answered == snapshot.calls && snapshot.calls >= 1300)
        await client.shutdown()
        nodes[0].stop()
        fresh.stop()
    }
}
