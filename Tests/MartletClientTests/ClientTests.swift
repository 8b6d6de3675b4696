import NIOCore
import NIOPosix
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletClient

/// Times long enough to never pass on a busy machine unless a test is about them.
func patient(port: Int) -> MartletClientConfiguration {
    var configuration = MartletClientConfiguration(port: port)
    configuration.timeout = .seconds(300)
    configuration.connectTimeout = .seconds(300)
    configuration.pingTimeout = .seconds(300)
    return configuration
}

/// A client of `node` that is shut down at the end of `body`.
func withClient<R>(
    of node: FakeNode, _ change: (inout MartletClientConfiguration) -> Void = { _ in },
    _ body: (MartletClient) async throws -> R
) async throws -> R {
    var configuration = patient(port: node.port)
    configuration.reconnectDelay = .milliseconds(5)
    configuration.reconnectDelayMax = .milliseconds(50)
    change(&configuration)
    let client = try MartletClient(configuration)
    do {
        let result = try await body(client)
        await client.shutdown()
        await node.stop()
        return result
    } catch {
        await client.shutdown()
        await node.stop()
        throw error
    }
}

/// Waits until something is so; the suite's time limit ends a wait in vain.
func until(_ sourceLocation: SourceLocation = #_sourceLocation, _ isSo: () async throws -> Bool) async throws {
    for _ in 0..<6_000 {
        if try await isSo() { return }
        try await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("what was waited for did not come", sourceLocation: sourceLocation)
    throw CancellationError()
}

/// The error that `body` throws; a recorded issue when it throws none.
func failure(_ body: () async throws -> some Sendable) async -> MartletClientError? {
    do {
        let answer = try await body()
        Issue.record("an answer came where an error was expected: \(answer)")
        return nil
    } catch {
        return error as? MartletClientError
    }
}

@Suite("MartletClient", .timeLimit(.minutes(30)), .ownThreads)
struct ClientTests {
    @Test("every method is answered")
    func methods() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) { client in
            var request = RecommendRequest(user: "u1", k: 3)
            request.explain = true
            request.excludeItems = ["i1"]
            #expect(try await client.recommend(request) == FakeService.slate(request))
            let many = RecommendManyRequest(users: ["u1", "x", "u2"], k: 2)
            let slates = try await client.recommendMany(many)
            #expect(slates == FakeService.slates(many))
            #expect(slates.slates == [0..<2, 2..<4, 4..<6])
            #expect(try await client.similarItems(SimilarItemsRequest(item: "i5", k: 4)).items.count == 4)
            let ranked = try await client.rank(RankRequest(user: "u1", items: ["i3", "x", "i9"]))
            #expect(ranked.places == [0, 2] && ranked.unknown == [1])
            #expect(try await client.getItem(GetItemRequest(item: "i5")).title == "Title of i5")
            #expect(try await client.health().state == .ready)
            #expect(try await client.listModels().models.map(\.name) == ["fake"])
            #expect(try await client.loadModel(LoadModelRequest(path: "fake")).generation == 2)
        }
    }

    @Test("a refusal carries the node's code, message and advice")
    func refusal() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) { client in
            let missing = await failure { try await client.getItem(GetItemRequest(item: "x")) }
            #expect(missing == MartletClientError(.notFound, "no item x"))
            node.change { behaviour in
                behaviour.onCall = { _ in
                    .refuse(
                        .resourceExhausted, ErrorBody(message: "busy", retryIsSafe: true, retryAfterMilliseconds: 20))
                }
            }
            let busy = await failure { try await client.health() }
            #expect(
                busy
                    == MartletClientError(
                        .resourceExhausted, "busy", retryIsSafe: true, retryAfter: .milliseconds(20)))
        }
    }

    @Test("thousands of calls share a connection, and each gets its own answer whatever the order")
    func concurrency() async throws {
        let node = try await FakeNode.start()
        node.change { behaviour in
            behaviour.onCall = { call in
                guard let request = try? RecommendRequest(decoding: call.body, arena: DecodeArena()) else {
                    return .close
                }
                return call.header.callID % 3 == 0
                    ? .hold(FakeService.slate(request)) : .answer(FakeService.slate(request))
            }
        }
        let releasing = Task {
            while !Task.isCancelled {
                node.release()
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
        try await withClient(of: node) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<3000 {
                    group.addTask {
                        let request = RecommendRequest(user: "u\(index)", k: 1 + index % 5)
                        let slate = try await client.recommend(request)
                        #expect(slate == FakeService.slate(request))
                    }
                }
                try await group.waitForAll()
            }
            #expect(Set(node.log.calls.map(\.connection)).count == 1)
        }
        releasing.cancel()
    }

    @Test("requests that fill the socket arrive whole, each once")
    func largeRequests() async throws {
        let node = try await FakeNode.start()
        node.change { behaviour in
            behaviour.onCall = { call in
                var reply = RecommendManyReply()
                reply.generation = call.body.withUnsafeReadableBytes { XXH64.hash($0) }
                return .answer(reply)
            }
        }
        try await withClient(of: node) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<300 {
                    group.addTask {
                        let users = (0..<(10 + index * 3)).map { String(repeating: "\(index)-\($0)-", count: 10) }
                        let request = RecommendManyRequest(users: users)
                        let reply = try await client.recommendMany(request)
                        let sent = request.encodedBody.withUnsafeReadableBytes { XXH64.hash($0) }
                        #expect(reply.generation == sent)
                    }
                }
                try await group.waitForAll()
            }
            #expect(node.log.calls.count == 300)
            #expect(node.log.hellos.count == 1)
        }
    }

    @Test("no more calls are in flight than the welcome allows")
    func inFlightLimit() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.callsInFlightMax = 4
        behaviour.onCall = { _ in .hold(FakeService.health) }
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<40 { group.addTask { _ = try await client.health() } }
                group.addTask {
                    try await until {
                        node.release()
                        return node.log.calls.count == 40
                    }
                    node.release()
                }
                try await group.waitForAll()
            }
            #expect(node.log.unansweredMax == 4)
        }
    }

    @Test("calls beyond the queue fail at once and say so")
    func queueLimit() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.callsInFlightMax = 1
        behaviour.onCall = { _ in .hold(FakeService.health) }
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) {
            $0.callsQueuedMax = 3
        } _: { client in
            let first = Task { try await client.health() }
            try await until { node.heldCount == 1 }
            let results = await withTaskGroup(of: MartletClientError?.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do {
                            _ = try await client.health()
                            return nil
                        } catch { return error as? MartletClientError }
                    }
                }
                var errors: [MartletClientError] = []
                var answered = 0
                for await result in group {
                    if let result { errors.append(result) } else { answered += 1 }
                    // The others are refused before the first is answered.
                    if errors.count == 17, answered == 0 {
                        node.change { $0.onCall = { _ in .answer(FakeService.health) } }
                        node.release()
                    }
                }
                return (errors, answered)
            }
            #expect(results.1 == 3)
            #expect(results.0.allSatisfy { $0.code == .resourceExhausted && $0.retryIsSafe })
            _ = try await first.value
        }
    }

    @Test("each call goes to its user's shard, with the slot in the header")
    func routing() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.shardCount = 3
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            _ = try await client.recommend(user: "warm")
            try await until { client.readyConnections == 3 }
            let before = node.log.calls.count
            for index in 0..<60 { _ = try await client.recommend(user: "u\(index)") }
            for _ in 0..<6 { _ = try await client.health() }
            let calls = node.log.calls.dropFirst(before)
            #expect(Set(node.log.hellos.map(\.shard)) == [0, 1, 2])
            #expect(node.log.hellos.allSatisfy { $0.partitionMapVersion == PartitionMap.version })
            var users = 0
            for call in calls where call.header.method == .recommend {
                let user = try RecommendRequest(decoding: call.body, arena: DecodeArena()).user
                #expect(call.header.slot == Slot(user: user))
                #expect(call.shard == PartitionMap(shardCount: 3).shard(of: Slot(user: user)))
                users += 1
            }
            #expect(users == 60)
            let health = calls.filter { $0.header.method == .health }
            #expect(health.allSatisfy { $0.header.slotOrLoad == FrameHeader.noSlot })
            #expect(Set(health.map(\.shard)).count == 3)
        }
    }

    @Test("a node with another partition map is not routed to")
    func otherMap() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.shardCount = 3
        behaviour.welcome?.partitionMapVersion = 9
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            for index in 0..<5 { _ = try await client.recommend(user: "u\(index)") }
            #expect(node.log.calls.allSatisfy { $0.header.slotOrLoad == FrameHeader.noSlot })
            #expect(node.log.hellos.count == 1)
        }
    }

    @Test("connections follow the node's number of shards")
    func changingShards() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.shardCount = 4
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            _ = try await client.health()
            try await until { client.readyConnections == 4 }
            node.change { $0.welcome?.shardCount = 2 }
            await node.dropConnections()
            try await until { client.readyConnections == 2 && node.log.openConnections == 2 }
            for index in 0..<10 { _ = try await client.recommend(user: "u\(index)") }
        }
    }

    @Test("trace context, cache bypass and what the node says of the answer pass through")
    func options() async throws {
        let node = try await FakeNode.start()
        node.change { $0.onCall = { _ in .answer(RecommendReply(), flags: .cached) } }
        try await withClient(of: node) { client in
            var options = CallOptions()
            options.trace = TraceContext(traceIDHigh: 1, traceIDLow: 2, parentID: 3, flags: 1)
            options.bypassesCache = true
            let answer = try await client.recommendWithInfo(RecommendRequest(user: "u"), options: options)
            #expect(answer.info == ReplyInfo(serverMicroseconds: 12, loadHint: 34, isCached: true))
            let call = try #require(node.log.calls.first)
            #expect(call.trace == options.trace)
            #expect(call.header.callFlags.contains(.bypassCache))
        }
    }

    @Test("runs on an event loop group of the caller's, and leaves it running")
    func customGroup() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let node = try await FakeNode.start()
        let client = try MartletClient(patient(port: node.port), eventLoopGroup: group)
        _ = try await client.health()
        await client.shutdown()
        #expect(try await group.next().submit { 7 }.get() == 7)
        await node.stop()
        try await group.shutdownGracefully()
    }
}

/// The node answers that it is ready.
func expectReady(_ client: MartletClient) async throws { #expect(try await client.health().state == .ready) }
