import Foundation
import MartletClient
import Synchronization
import TestSupport
import Testing

@testable import MartletServer

/// What a node asks itself: in place of stale answers, after a swap, and after a restart.
@Suite(.ownThreads) struct CacheWarmingTests {
    /// How an answer came.
    private struct Came: Equatable {
        var isCached: Bool
        var isStale: Bool
        var generation: UInt64
    }

    private static func ask(_ node: TestNode, _ user: Int) async throws -> Came {
        let came = Mutex(Came(isCached: false, isStale: false, generation: 0))
        var options = CallOptions()
        options.onReply = { info in
            came.withLock {
                $0.isCached = info.isCached
                $0.isStale = info.isStale
            }
        }
        let reply = try await node.client.recommend(
            RecommendRequest(user: SmallWorld.user(user), k: 10), options: options)
        return came.withLock {
            $0.generation = reply.generation
            return $0
        }
    }

    /// Waits until `isTrue`, at most ten minutes.
    private static func wait(_ isTrue: () async throws -> Bool) async throws -> Bool {
        for _ in 0..<30_000 {
            if try await isTrue() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    @Test func `an answer that is too old is shown marked, and a new one is made`() async throws {
        try await withNode(change: {
            $0.cache.ttl = .seconds(2)
            $0.cache.ttlVisits = 0
            $0.cache.staleFor = .seconds(3600)
        }) { node, _ in
            let first = try await Self.ask(node, 3)
            #expect(first == Came(isCached: false, isStale: false, generation: 1))
            let isStale = try await Self.wait { try await Self.ask(node, 3).isStale }
            #expect(isStale)
            let isNew = try await Self.wait {
                let came = try await Self.ask(node, 3)
                return came.isCached && !came.isStale
            }
            #expect(isNew)
        }
    }

    @Test func `after a swap the active users' answers are made anew, of the new generation`() async throws {
        try await withNode(change: { $0.cache.ttl = .seconds(3600) }) { node, _ in
            for _ in 0..<4 { for user in 0..<20 { _ = try await Self.ask(node, user) } }
            _ = try await node.client.loadModel(LoadModelRequest(path: "world"))
            let isWarm = try await Self.wait {
                var refilled: UInt64 = 0
                for shard in node.node.shardMetrics { refilled += shard.refills(.warm) }
                return refilled >= 20
            }
            #expect(isWarm)
            for user in 0..<20 {
                let came = try await Self.ask(node, user)
                #expect(came == Came(isCached: true, isStale: false, generation: 2), "user \(user)")
            }
        }
    }

    @Test func `what active users ask for is remembered over a restart, also with other shards`() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let file = folder.file("warm")
        let change: (inout ServerConfiguration) -> Void = {
            $0.cache.ttl = .seconds(3600)
            $0.cache.warmFile = file
            $0.cache.warmBeforeReady = .seconds(600)
        }
        let first = try await TestNode(bundle: bundle, change: change)
        for user in 0..<20 { _ = try await Self.ask(first, user) }
        await first.stop()
        #expect(FileManager.default.fileExists(atPath: file))
        let second = try await TestNode(bundle: bundle, shards: 3, change: change)
        for user in 0..<20 {
            let came = try await Self.ask(second, user)
            #expect(came.isCached, "user \(user)")
        }
        let other = try await Self.ask(second, 30)
        #expect(!other.isCached)
        await second.stop()
    }

    @Test func `a file that is not sound is left aside`() async throws {
        let folder = try TemporaryFolder()
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
        let file = folder.file("warm")
        try Data("MARTLETK and then something else".utf8).write(to: URL(fileURLWithPath: file))
        let node = try await TestNode(bundle: bundle) {
            $0.cache.warmFile = file
            $0.cache.warmBeforeReady = .seconds(600)
        }
        let (first, second) = (try await Self.ask(node, 1), try await Self.ask(node, 1))
        #expect([first.isCached, second.isCached] == [false, true])
        await node.stop()
        // Another takes its place.
        #expect(try WarmKeysFile.read(file).count == 1)
    }
}
