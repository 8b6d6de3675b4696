import LoadBalancing
import NIOCore
import NIOPosix
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletClient

/// A client of several fake nodes; all are ended with `body`, and the client has forgotten every call by then.
func withCluster(
    _ count: Int, welcome: (shards: Int, callsInFlightMax: Int)? = nil,
    _ change: (inout MartletClientConfiguration) -> Void = { _ in },
    _ body: (MartletClient, [FakeNode]) async throws -> Void
) async throws {
    var nodes: [FakeNode] = []
    for _ in 0..<count { nodes.append(try await FakeNode.start()) }
    if let welcome {
        // Before the client is there: it may connect at once.
        for node in nodes {
            node.change { behaviour in
                behaviour.welcome?.shardCount = welcome.shards
                behaviour.welcome?.callsInFlightMax = welcome.callsInFlightMax
            }
        }
    }
    var configuration = patient(port: 1)
    configuration.nodes = .list(nodes.map { ClusterNode(host: "127.0.0.1", port: $0.port) })
    configuration.reconnectDelay = .milliseconds(5)
    configuration.reconnectDelayMax = .milliseconds(50)
    change(&configuration)
    let client = try MartletClient(configuration)
    var failure: (any Error)?
    do {
        try await body(client, nodes)
        try await until { await client.snapshot().callsUnderWay == 0 }
    } catch { failure = error }
    await client.shutdown()
    for node in nodes { await node.stop() }
    if let failure { throw failure }
}

/// Waits until all nodes take calls.
func untilReady(_ client: MartletClient, _ count: Int) async throws {
    client.connect()
    try await until { await client.snapshot().nodes.count { $0.state == .ready } == count }
}

/// A user whose owner is the given node of a client that is ready.
func user(of node: FakeNode, _ nodes: [FakeNode], number: Int = 0) -> String {
    let order = Rendezvous(
        nodes.enumerated().map {
            Rendezvous.Member(index: $0.offset, key: XXH64.hash("127.0.0.1:\($0.element.port)"))
        })
    var found = 0
    for candidate in 0... {
        let user = "u\(candidate)"
        if nodes[order.node(of: Slot(user: user), at: 0)] === node {
            if found == number { return user }
            found += 1
        }
    }
    return ""
}

@Suite("MartletClient of several nodes", .timeLimit(.minutes(30)), .ownThreads)
struct ClusterTests {
    /// Owners take all their calls, and nothing is sent twice unless a test is about that.
    private func calm(_ configuration: inout MartletClientConfiguration) {
        configuration.balancing.loadBound = 1000
        configuration.balancing.hedges = false
        configuration.balancing.ejects = false
        configuration.balancing.slowStart = .zero
    }

    @Test("a call about a user goes to the user's owner, any other to any node")
    func owners() async throws {
        try await withCluster(3, calm) { client, nodes in
            try await untilReady(client, 3)
            let order = Rendezvous(
                nodes.enumerated().map {
                    Rendezvous.Member(index: $0.offset, key: XXH64.hash("127.0.0.1:\($0.element.port)"))
                })
            for number in 0..<120 {
                let request = RecommendRequest(user: "u\(number)", k: 3)
                #expect(try await client.recommend(request) == FakeService.slate(request))
            }
            for (index, node) in nodes.enumerated() {
                let calls = node.log.calls
                #expect(calls.count > 15)
                for call in calls {
                    let user = try RecommendRequest(decoding: call.body, arena: DecodeArena()).user
                    #expect(order.node(of: Slot(user: user), at: 0) == index)
                    #expect(call.header.slot == Slot(user: user))
                }
            }
            for _ in 0..<30 { _ = try await client.health() }
            #expect(nodes.reduce(0) { $0 + $1.log.calls.count } == 150)
            let snapshot = await client.snapshot()
            #expect(snapshot.calls == 150 && snapshot.answered == 150)
            #expect(snapshot.nodes.reduce(0) { $0 + $1.picks } == 150)
        }
    }

    @Test("a read that a node fails, or takes with it, is answered by another")
    func retries() async throws {
        let bad: [FakeNode.Reaction] = [
            .close, .reset, .refuse(.internal, ErrorBody(message: "broken")),
            .refuse(.resourceExhausted, ErrorBody(message: "busy", retryIsSafe: true)),
            .refuse(.unavailable, ErrorBody(message: "draining", retryIsSafe: true)),
        ]
        for reaction in bad {
            try await withCluster(2) { configuration in
                calm(&configuration)
                configuration.balancing.retryShare = 10
            } _: { client, nodes in
                try await untilReady(client, 2)
                nodes[0].change { $0.onCall = { _ in reaction } }
                let request = RecommendRequest(user: user(of: nodes[0], nodes), k: 2)
                for _ in 0..<5 {
                    #expect(try await client.recommend(request) == FakeService.slate(request))
                }
                #expect(nodes[0].log.calls.count >= 1)
                #expect(nodes[1].log.calls.count == 5)
                #expect(await client.snapshot().answered == 5)
            }
        }
    }

    @Test("what changes something is not sent twice once it may have begun, and the error names the node")
    func writes() async throws {
        try await withCluster(2) { configuration in
            calm(&configuration)
            configuration.balancing.retryShare = 10
        } _: { client, nodes in
            try await untilReady(client, 2)
            let events = RecordEventsRequest(events: [
                UserEvent(user: user(of: nodes[0], nodes), item: "i1", type: "view")
            ])
            nodes[0].change { $0.onCall = { _ in .close } }
            let error = await failure { try await client.recordEvents(events) }
            #expect(error?.code == .unavailable && error?.retryIsSafe == false)
            #expect(error?.attempts.map(\.node) == ["127.0.0.1:\(nodes[0].port)"])
            #expect(nodes[0].log.calls.count == 1 && nodes[1].log.calls.isEmpty)
            // Turned away before work began: sent again, to the owner. A node that says so for good is told apart.
            let reached = nodes[0].log.calls.count
            nodes[0].change { behaviour in
                behaviour.onCall = { _ in .refuse(.resourceExhausted, ErrorBody(message: "busy", retryIsSafe: true)) }
            }
            try await untilReady(client, 2)
            let busy = await failure { try await client.recordEvents(events) }
            #expect(busy?.code == .resourceExhausted)
            #expect(nodes[0].log.calls.count == reached + 3)
            #expect(busy?.attempts.count == 3)
            #expect(nodes[1].log.calls.isEmpty)
        }
    }

    @Test("a late read is sent to a second node, the first answer counts, and the loser is told")
    func hedges() async throws {
        try await withCluster(2) { configuration in
            calm(&configuration)
            configuration.balancing.hedges = true
            configuration.balancing.hedgeShare = 1
            configuration.balancing.retryShare = 10
        } _: { client, nodes in
            try await untilReady(client, 2)
            let name = user(of: nodes[0], nodes)
            // Until it is known what is late.
            try await until {
                for number in 0..<20 { _ = try await client.recommend(user: "u\(number)") }
                return await client.snapshot().lateAfter != nil
            }
            nodes[0].change { $0.onCall = { _ in .silence } }
            let slate = try await client.recommend(RecommendRequest(user: name, k: 2))
            #expect(slate == FakeService.slate(RecommendRequest(user: name, k: 2)))
            try await until { !nodes[0].log.cancels.isEmpty }
            let snapshot = await client.snapshot()
            #expect(snapshot.hedgesWon >= 1)
            #expect(snapshot.nodes.reduce(0) { $0 + $1.hedges } >= 1)
            // A write waits for its owner.
            let before = nodes[1].log.calls.count
            let events = RecordEventsRequest(events: [UserEvent(user: name, item: "i1", type: "view")])
            let options = CallOptions(timeout: .milliseconds(300))
            let error = await failure { try await client.recordEvents(events, options: options) }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.message.contains("127.0.0.1:\(nodes[0].port)") == true)
            #expect(nodes[1].log.calls.count == before)
        }
    }

    @Test("events and slates of many users are split by owner, and come back in their order")
    func splitting() async throws {
        try await withCluster(3, calm) { client, nodes in
            try await untilReady(client, 3)
            nodes.forEach { node in
                node.change { behaviour in
                    behaviour.onCall = { call in
                        guard call.header.method == .recordEvents,
                            let request = try? RecordEventsRequest(decoding: call.body, arena: DecodeArena())
                        else { return FakeService.answer(call) }
                        var reply = RecordEventsReply()
                        for (place, event) in request.events.enumerated() {
                            if event.item == "bad" {
                                reply.faults.append(EventFault(event: place, status: .invalid, message: event.user))
                            } else {
                                reply.stored += 1
                            }
                        }
                        reply.durability = .written
                        return .answer(reply)
                    }
                }
            }
            let users = (0..<60).map { "u\($0)" }
            let events = users.enumerated().map { place, user in
                UserEvent(user: user, item: place % 7 == 0 ? "bad" : "i1", type: "view")
            }
            let reply = try await client.recordEvents(RecordEventsRequest(events: events))
            #expect(reply.stored == 51 && reply.durability == .written)
            #expect(reply.faults.map(\.event) == (0..<60).filter { $0 % 7 == 0 })
            #expect(reply.faults.allSatisfy { $0.message == users[$0.event] })
            for node in nodes { #expect(node.log.calls.count == 1) }
            let many = RecommendManyRequest(users: users, k: 2)
            #expect(try await client.recommendMany(many) == FakeService.slates(many))
            // One owner cannot be told: its events say so.
            nodes[2].change { $0.onCall = { _ in .refuse(.internal, ErrorBody(message: "disk")) } }
            let part = try await client.recordEvents(RecordEventsRequest(events: events))
            let lost = users.filter { user in
                part.faults.contains { users[$0.event] == user && $0.status == .notStored }
            }
            #expect(!lost.isEmpty && lost.count < 60)
            #expect(part.stored + part.faults.count == 60)
        }
    }

    @Test("nodes come and go while calls run, and none fails")
    func membership() async throws {
        try await withCluster(4) { configuration in
            configuration.balancing.retryShare = 10
            configuration.balancing.slowStart = .zero
        } _: { client, nodes in
            let all = nodes.map { ClusterNode(host: "127.0.0.1", port: $0.port) }
            try await untilReady(client, 4)
            let stopping = Stopping()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for task in 0..<8 {
                    group.addTask {
                        var calls = 0
                        while !stopping.isSet {
                            let request = RecommendRequest(user: "u\(task)-\(calls % 50)", k: 1)
                            let slate = try await client.recommend(request)
                            #expect(slate == FakeService.slate(request))
                            calls += 1
                        }
                        return calls
                    }
                }
                for round in 0..<20 {
                    let kept = all.enumerated().filter { $0.offset != round % 4 }.map(\.element)
                    client.setNodes(kept)
                    try await until { await client.snapshot().nodes.count == 3 }
                    client.setNodes(all)
                    try await untilReady(client, 4)
                }
                stopping.set()
                var calls = 0
                for try await count in group { calls += count }
                #expect(calls > 0)
            }
            client.setNodes([all[0]])
            // The connections of those that went are closed.
            try await until { nodes.dropFirst().allSatisfy { $0.log.openConnections == 0 } }
            client.setNodes([])
            let error = await failure { try await client.health() }
            #expect(error?.code == .unavailable && error?.message.contains("empty") == true)
        }
    }

    @Test("a node that says goaway gets no new calls, and what it has ends")
    func goaway() async throws {
        try await withCluster(2, calm) { client, nodes in
            try await untilReady(client, 2)
            let name = user(of: nodes[0], nodes)
            nodes[0].change { $0.onCall = { _ in .hold(RecommendReply()) } }
            let held = Task { try await client.recommend(user: name) }
            try await until { nodes[0].heldCount == 1 }
            nodes[0].change { $0.onCall = { _ in .goawayThen(RecommendReply()) } }
            _ = try await client.recommend(user: name)
            nodes[0].change { $0.onCall = { FakeService.answer($0) } }
            for _ in 0..<10 { _ = try await client.recommend(user: name) }
            nodes[0].release()
            _ = try await held.value
            let snapshot = await client.snapshot()
            #expect(snapshot.answered == 12 && snapshot.failed == 0)
            #expect(snapshot.nodes.reduce(0) { $0 + $1.goaways } == 1)
            try await untilReady(client, 2)
        }
    }

    @Test("where no node can be reached, calls fail at once and name each")
    func noNodes() async throws {
        var configuration = patient(port: 1)
        configuration.nodes = .list([ClusterNode(host: "127.0.0.1", port: 1), ClusterNode(host: "127.0.0.1", port: 2)])
        let client = try MartletClient(configuration)
        let error = await failure { try await client.health() }
        #expect(error?.code == .unavailable && error?.retryIsSafe == true)
        for name in ["127.0.0.1:1", "127.0.0.1:2", "connection refused"] {
            #expect(error?.message.contains(name) == true, "\(error?.message ?? "")")
        }
        configuration.waitsForNode = true
        let waiting = try MartletClient(configuration)
        let options = CallOptions(timeout: .milliseconds(50))
        #expect(await failure { try await waiting.health(options: options) }?.code == .deadlineExceeded)
        let late = Task { try await waiting.health() }
        let node = try await FakeNode.start()
        waiting.setNodes([ClusterNode(host: "127.0.0.1", port: node.port)])
        #expect(try await late.value.state == .ready)
        await client.shutdown()
        await waiting.shutdown()
        await node.stop()
    }

    @Test("every call ends by its deadline, is cancelled at once, and leaves nothing behind")
    func ends() async throws {
        try await withCluster(2) { client, nodes in
            try await untilReady(client, 2)
            for node in nodes { node.change { $0.onCall = { _ in .silence } } }
            let options = CallOptions(timeout: .milliseconds(200))
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let error = await failure { try await client.recommend(user: "u\(number)", options: options) }
                        #expect(error?.code == .deadlineExceeded, "\(error.debugDescription)")
                    }
                }
            }
            let task = Task { try await client.recommend(user: "u1") }
            try await until { await client.snapshot().callsUnderWay > 0 }
            task.cancel()
            #expect(await failure { try await task.value }?.code == .cancelled)
            try await until { await client.snapshot().callsUnderWay == 0 }
            let calls = nodes.reduce(0) { $0 + $1.log.calls.count }
            // Copies that nobody waits for may go out meanwhile.
            try await until { nodes.reduce(0) { $0 + $1.log.cancels.count } >= calls }
            #expect(await client.snapshot().cancelled == 1)
        }
    }

    @Test("a batch has an outcome for each request, in their order, from one node and from several")
    func batches() async throws {
        let node = try await FakeNode.start()
        node.change { behaviour in
            behaviour.onCall = { call in
                guard let request = try? RecommendRequest(decoding: call.body, arena: DecodeArena()) else {
                    return .close
                }
                return request.user == "x"
                    ? .refuse(.notFound, ErrorBody(message: "no x")) : .answer(FakeService.slate(request))
            }
        }
        let requests = (0..<500).map { RecommendRequest(user: $0 % 50 == 7 ? "x" : "u\($0)", k: 2) }
        func check(_ client: MartletClient) async {
            let outcomes = await client.recommendEach(requests)
            #expect(outcomes.count == 500)
            for (request, outcome) in zip(requests, outcomes) {
                switch outcome {
                case .success(let slate): #expect(request.user != "x" && slate == FakeService.slate(request))
                case .failure(let error): #expect(request.user == "x" && error.code == .notFound)
                }
            }
            #expect(await client.recommendEach([]).isEmpty)
        }
        try await withClient(of: node) { client in await check(client) }
        try await withCluster(3) { client, nodes in
            for other in nodes {
                other.change { behaviour in
                    behaviour.onCall = { call in
                        guard let request = try? RecommendRequest(decoding: call.body, arena: DecodeArena()) else {
                            return .close
                        }
                        return request.user == "x"
                            ? .refuse(.notFound, ErrorBody(message: "no x")) : .answer(FakeService.slate(request))
                    }
                }
            }
            await check(client)
            for other in nodes { other.change { $0.onCall = { _ in .silence } } }
            let task = Task { await client.recommendEach(requests) }
            try await until { await client.snapshot().callsUnderWay > 0 }
            task.cancel()
            #expect(await task.value.allSatisfy { (try? $0.get()) == nil })
        }
    }

    @Test("calls wait for room on a full connection, and a shard's calls have its connection")
    func shards() async throws {
        try await withCluster(2, welcome: (shards: 3, callsInFlightMax: 2)) { configuration in
            calm(&configuration)
        } _: { client, nodes in
            client.connect()
            try await until { await client.snapshot().nodes.allSatisfy { $0.connections == 3 } }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<600 {
                    group.addTask { _ = try? await client.recommend(user: "u\(number)") }
                }
            }
            #expect(await client.snapshot().answered == 600)
            for node in nodes {
                #expect(node.log.unansweredMax <= 2)
                for call in node.log.calls {
                    let user = try RecommendRequest(decoding: call.body, arena: DecodeArena()).user
                    #expect(call.shard == PartitionMap(shardCount: 3).shard(of: Slot(user: user)))
                }
            }
            await nodes[0].dropConnections()
            try await until { await client.snapshot().nodes.allSatisfy { $0.connections == 3 } }
        }
    }

    @Test("shutdown ends what is in flight, at once or after it had its time")
    func shutdown() async throws {
        for grace in [Duration.zero, .seconds(300)] {
            try await withCluster(2) { client, nodes in
                try await untilReady(client, 2)
                for node in nodes { node.change { $0.onCall = { _ in .hold(FakeService.health) } } }
                let calls = (0..<20).map { _ in Task { try await client.health() } }
                try await until { nodes.reduce(0) { $0 + $1.heldCount } >= 20 }
                let shutdown = Task { await client.shutdown(grace: grace) }
                if grace == .zero {
                    for call in calls { #expect(await failure { try await call.value }?.code == .unavailable) }
                } else {
                    let short = CallOptions(timeout: .milliseconds(50))
                    try await until {
                        await failure { try await client.health(options: short) }?.code == .unavailable
                    }
                    for node in nodes { node.release() }
                    for call in calls { #expect(try await call.value.state == .ready) }
                }
                await shutdown.value
                #expect(await failure { try await client.health() }?.code == .unavailable)
                try await until { nodes.allSatisfy { $0.log.openConnections == 0 } }
            }
        }
    }

    @Test("methods say what may be sent twice")
    func traits() {
        #expect(Wire.Method.allCases.filter(\.keepsToOwner) == [.recordEvents])
        #expect(
            Wire.Method.allCases.filter { !$0.isRepeatable }
                == [.loadModel, .recordEvents, .upsertItems, .deleteItems, .setAvailability])
        #expect(Wire.Method.allCases.allSatisfy { !($0.isRepeatable && $0.keepsToOwner) })
    }
}
