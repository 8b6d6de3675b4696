import Foundation
import MartletClient
import Serving
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

/// Nodes whose process has as much memory as the tests say.
@Suite("A node near its memory budget", .ownThreads, .timeLimit(.minutes(30)))
struct MemoryBudgetTests {
    private static let budget = 256 << 20

    /// What the process uses.
    private final class Used: Sendable {
        private let bytes: Atomic<Int>
        init(_ bytes: Int) { self.bytes = Atomic(bytes) }
        var value: Int {
            get { bytes.load(ordering: .relaxed) }
            set { bytes.store(newValue, ordering: .relaxed) }
        }
    }

    private func withNode(
        _ body: (TestNode, Used, TemporaryFolder) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let used = Used(100 << 20)
        let node = try await TestNode(
            bundle: bundle,
            change: {
                $0.memory.budget = Self.budget
                $0.cache.bytes = 2 << 20
                $0.cache.ttl = .seconds(100_000)
                $0.cache.ttlVisits = 0
                $0.shards = 2
            }, residentBytes: { used.value })
        do {
            try await body(node, used, folder)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    private func cacheBytes(_ node: TestNode) -> Int {
        node.node.shardMemory.reduce(0) { $0 + $1.cache }
    }

    private func becomes(_ condition: () -> Bool) async throws -> Bool {
        for _ in 0..<6_000 {
            if condition() { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// Asks different things until the cache is full.
    private func fill(_ node: TestNode, _ salt: Int) async throws {
        for user in 0..<SmallWorld.userCount {
            for k in stride(from: 20, through: 59, by: 3) {
                var request = RecommendRequest(user: SmallWorld.user(user), k: k)
                request.excludeItems = ["none-\(salt)"]
                _ = try await node.client.recommend(request)
            }
        }
    }

    @Test("caches shrink while every call is served, and get their memory back when there is room")
    func caches() async throws {
        try await withNode { node, used, _ in
            try await fill(node, 0)
            #expect(try await becomes { cacheBytes(node) > 1 << 20 })
            #expect(node.node.memoryStatus?.level == "normal")
            used.value = 240 << 20
            node.node.lookAtMemory(at: LoopWorker.now)
            #expect(node.node.memoryStatus?.level == "tight")
            #expect(node.node.memoryStatus?.cacheBytesMax ?? 0 < 1 << 20)
            #expect(try await becomes { cacheBytes(node) < 1 << 20 })
            try await fill(node, 1)
            #expect(cacheBytes(node) < 1 << 20)
            used.value = 100 << 20
            for _ in 0..<50 { node.node.lookAtMemory(at: LoopWorker.now) }
            #expect(node.node.memoryStatus?.level == "normal")
            #expect(node.node.memoryStatus?.cacheBytesMax == 2 << 20)
            try await fill(node, 2)
            #expect(try await becomes { cacheBytes(node) > 1 << 20 })
            #expect(node.node.memoryStatus?.levelChanges == 2)
        }
    }

    @Test(
        "where nothing else is left, new connections and calls for many users are refused, and single ones are served")
    func critical() async throws {
        try await withNode { node, used, _ in
            _ = try await node.client.recommend(user: SmallWorld.user(1), k: 5)
            used.value = 255 << 20
            let now = LoopWorker.now
            node.node.lookAtMemory(at: now)
            #expect(node.node.memoryStatus?.level == "critical")
            let reply = try await node.client.recommend(user: SmallWorld.user(2), k: 5)
            #expect(reply.items.count == 5)
            await expectFailure(.resourceExhausted) {
                _ = try await node.client.recommendMany(
                    RecommendManyRequest(users: [SmallWorld.user(1), SmallWorld.user(2)], k: 5))
            }
            let socket = try BlockingSocket(port: node.port)
            let refusal = String(decoding: try socket.receiveAll(), as: UTF8.self)
            #expect(refusal.contains("short of memory"))
            used.value = 100 << 20
            // One level at a time, each after a while of calm.
            for step in 1...8 { node.node.lookAtMemory(at: now + UInt64(step) * 4_000_000_000) }
            #expect(node.node.memoryStatus?.level == "normal")
            let many = try await node.client.recommendMany(
                RecommendManyRequest(users: [SmallWorld.user(1), SmallWorld.user(2)], k: 5))
            #expect(many.slates.count == 2)
        }
    }

    @Test("a model that would not fit is refused with the numbers, and the one that serves goes on")
    func loads() async throws {
        try await withNode { node, used, folder in
            _ = try SmallWorld.makeBundle(in: folder, name: "other", seed: 1)
            used.value = Self.budget
            do throws(MartletClientError) {
                _ = try await node.client.loadModel(LoadModelRequest(path: "other"))
                Issue.record("it was loaded")
            } catch {
                #expect(error.code == .resourceExhausted)
                #expect(error.message.contains("memory.budget, \(Self.budget)"), "\(error.message)")
            }
            #expect(node.node.memoryStatus?.refusedLoads == 1)
            used.value = 100 << 20
            let loaded = try await node.client.loadModel(LoadModelRequest(path: "other"))
            #expect(loaded.generation == 2)
        }
    }
}
