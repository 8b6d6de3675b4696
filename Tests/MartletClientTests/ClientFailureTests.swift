import NIOCore
import NIOPosix
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletClient

@Suite("MartletClient when things go wrong", .timeLimit(.minutes(30)), .ownThreads)
struct ClientFailureTests {
    @Test("a call that is not answered ends at its deadline, and the node is told")
    func deadline() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) { client in
            // The connection stands before a call has to hurry.
            _ = try await client.health()
            node.change { $0.onCall = { _ in .silence } }
            // On a machine that is busy enough a call may be out of time before it is sent; then nobody is to be told.
            var milliseconds = 200
            while node.log.calls.count == 1 {
                let options = CallOptions(timeout: .milliseconds(milliseconds))
                #expect(await failure { try await client.health(options: options) }?.code == .deadlineExceeded)
                milliseconds += 200
            }
            let call = try #require(node.log.calls.dropFirst().first)
            try await until { node.log.cancels.contains(call.header.callID) }
            // Once for each call that it was sent, should a busy machine have needed several.
            #expect(Set(node.log.cancels).count == node.log.cancels.count)
            #expect(node.log.cancels.allSatisfy { id in node.log.calls.contains { $0.header.callID == id } })
            #expect((1...UInt32(milliseconds) * 1000).contains(call.header.microseconds))
            node.change { $0.onCall = { FakeService.answer($0) } }
            _ = try await client.health()
        }
    }

    @Test("time spent waiting is taken off the timeout that the node sees")
    func remainingTime() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.callsInFlightMax = 1
        behaviour.onCall = { _ in .hold(FakeService.health) }
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            let first = Task { try await client.health() }
            try await until { node.heldCount == 1 }
            let second = Task { try await client.health(options: CallOptions(timeout: .seconds(500))) }
            try await until { client.queuedCalls == 1 }
            let queued = NIODeadline.now()
            try await Task.sleep(for: .milliseconds(20))
            let waited = (NIODeadline.now() - queued).nanoseconds / 1000
            node.release()
            _ = try await first.value
            try await until { node.heldCount == 1 }
            node.release()
            _ = try await second.value
            #expect(Int64(node.log.calls[1].header.microseconds) <= 500_000_000 - waited)
        }
    }

    @Test("a cancelled task ends its call at once, and the node is told")
    func cancellation() async throws {
        let node = try await FakeNode.start()
        node.change { $0.onCall = { _ in .silence } }
        try await withClient(of: node) { client in
            let task = Task { try await client.health() }
            try await until { node.log.calls.count == 1 }
            task.cancel()
            #expect(await failure { try await task.value }?.code == .cancelled)
            try await until { node.log.cancels.count == 1 }
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await client.health()
            }
            #expect(await failure { try await early.value }?.code == .cancelled)
        }
    }

    @Test("cancelling a call that still waits frees its place")
    func cancelWaiting() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.callsInFlightMax = 1
        behaviour.onCall = { _ in .hold(FakeService.health) }
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) {
            $0.callsQueuedMax = 2
        } _: { client in
            let first = Task { try await client.health() }
            try await until { node.heldCount == 1 }
            for _ in 0..<50 {
                let task = Task { try await client.health() }
                try await until { client.queuedCalls == 1 }
                task.cancel()
                #expect(await failure { try await task.value }?.code == .cancelled)
                try await until { client.queuedCalls == 0 }
            }
            node.change { $0.onCall = { _ in .answer(FakeService.health) } }
            node.release()
            _ = try await first.value
            _ = try await client.health()
            #expect(node.log.calls.count <= 3)
        }
    }

    @Test("a node that closes in the middle of a call fails it, and the next call connects again")
    func closedMidCall() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) {
            $0.waitsForNode = true
        } _: { client in
            for _ in 0..<5 {
                node.change { $0.onCall = { _ in .close } }
                let error = await failure { try await client.health() }
                #expect(error?.code == .unavailable)
                #expect(error?.retryIsSafe == false)
                node.change { $0.onCall = { FakeService.answer($0) } }
                try await expectReady(client)
            }
        }
    }

    @Test("why a connection broke is said in plain words")
    func brokenConnections() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) {
            $0.waitsForNode = true
        } _: { client in
            let name = client.configuration.nodeName
            node.change { $0.onCall = { _ in .reset } }
            let reset = await failure { try await client.health() }
            #expect(reset?.message == "the connection to \(name) broke: reset by the other side")
            node.change { $0.onCall = { _ in .close } }
            let closed = await failure { try await client.health() }
            #expect(closed?.message == "\(name) closed the connection before the answer came")
        }
        for code in [ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EMFILE, EINVAL] {
            let words = ConnectFailure.text(IOError(errnoCode: code, reason: "read(descriptor:pointer:size:)"))
            #expect(!words.contains("descriptor:") && !words.contains("errno"), "\(words)")
        }
    }

    @Test("garbage from the node fails the call as the node's fault")
    func garbage() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) {
            $0.waitsForNode = true
        } _: { client in
            let oversized = FrameHeader(kind: .reply, callID: 1, bodyBytes: 1 << 30)
            var header = ByteBuffer()
            header.writeHeader(oversized)
            var misplaced = ByteBuffer()
            misplaced.writeHeader(.bare(.hello, id: 0))
            let answers: [[UInt8]] = [
                Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), Array(header.readableBytesView),
                Array(misplaced.readableBytesView),
            ]
            for bytes in answers {
                node.change { $0.onCall = { _ in .bytes(bytes) } }
                #expect(await failure { try await client.health() }?.code == .internal)
            }
            node.change { $0.onCall = { FakeService.answer($0) } }
            try await expectReady(client)
        }
    }

    @Test("an answer that is not the method's fails that call alone")
    func wrongAnswer() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) { client in
            node.change { behaviour in
                behaviour.onCall = { call in
                    var bytes = ByteBuffer()
                    bytes.writeHeader(.reply(.ok, id: call.header.callID, bodyBytes: 3))
                    bytes.writeBytes([0xFF, 0xFF, 0xFF])
                    // Frames of an unknown kind and replies to nobody are skipped.
                    bytes.writeHeader(FrameHeader(kind: .reply, callID: 999, bodyBytes: 0))
                    var unknown = FrameHeader(kind: .ping, bodyBytes: 0)
                    unknown.rawKind = 77
                    bytes.writeHeader(unknown)
                    return .bytes(Array(bytes.readableBytesView))
                }
            }
            #expect(await failure { try await client.health() }?.code == .internal)
            node.change { $0.onCall = { FakeService.answer($0) } }
            try await expectReady(client)
            #expect(node.log.hellos.count == 1)
        }
    }

    @Test("mutated answers end every call, one way or the other", arguments: 0..<4)
    func mutatedAnswers(seed: UInt64) async throws {
        let node = try await FakeNode.start()
        node.change { behaviour in
            behaviour.onCall = { call in
                var buffer = ByteBuffer()
                FakeService.slate(RecommendRequest(user: "u", k: 5)).writeFrame(
                    .reply(.ok, id: call.header.callID, bodyBytes: 0), to: &buffer)
                var bytes = Array(buffer.readableBytesView)
                var state = (seed << 32 | UInt64(call.header.callID)) &* 0x9E37_79B9_7F4A_7C15
                state ^= state >> 29
                switch state % 5 {
                case 0: bytes[Int(state >> 8) % bytes.count] ^= UInt8(truncatingIfNeeded: state >> 40) | 1
                case 1: bytes = Array(bytes.prefix(Int(state >> 8) % bytes.count))
                case 2: bytes.insert(UInt8(truncatingIfNeeded: state >> 40), at: Int(state >> 8) % bytes.count)
                default: break
                }
                return .bytes(bytes)
            }
        }
        try await withClient(of: node) {
            $0.timeout = .milliseconds(100)
            $0.waitsForNode = true
        } _: { client in
            let ended = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<50 { _ = try? await client.recommend(user: "u") }
                        return 50
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(ended == 400)
        }
    }

    @Test("a port where nothing listens is named, and calls fail at once")
    func refused() async throws {
        // None that was free a moment ago: another test's node may have it by now.
        let client = try MartletClient(patient(port: 1))
        let error = await failure { try await client.health() }
        #expect(error?.code == .unavailable)
        #expect(error?.retryIsSafe == true)
        #expect(error?.message.contains("127.0.0.1:1") == true)
        #expect(error?.message.contains("connection refused") == true)
        await client.shutdown()
    }

    @Test("a name that does not exist is named")
    func unknownHost() async throws {
        var configuration = MartletClientConfiguration(host: "no-such-host.invalid")
        configuration.timeout = .seconds(300)
        configuration.connectTimeout = .seconds(300)
        let client = try MartletClient(configuration)
        let error = await failure { try await client.health() }
        #expect(error?.code == .unavailable)
        await client.shutdown()
    }

    @Test("a listener that never answers the hello fails the calls that wait for it")
    func blackHole() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome = nil
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) {
            $0.connectTimeout = .milliseconds(100)
        } _: { client in
            // On a machine that is busy enough there is not even a connection in that time.
            try await until {
                let error = await failure { try await client.health() }
                #expect(error?.code == .unavailable)
                return error?.message.contains("did not answer the hello") == true
            }
        }
        let second = try await FakeNode.start(behaviour)
        try await withClient(of: second) { client in
            let error = await failure { try await client.health(options: CallOptions(timeout: .milliseconds(100))) }
            #expect(error?.code == .deadlineExceeded)
            #expect(error?.retryIsSafe == true)
        }
    }

    @Test("a node that falls silent is pinged, and given up when it does not answer")
    func silentNode() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) {
            $0.pingAfter = .milliseconds(20)
            $0.pingTimeout = .seconds(300)
        } _: { client in
            _ = try await client.health()
            try await until { node.log.pings >= 3 }
            #expect(node.log.hellos.count == 1)
        }
        let deaf = try await FakeNode.start()
        deaf.change { behaviour in
            behaviour.answersPings = false
            behaviour.onCall = { _ in .silence }
        }
        try await withClient(of: deaf) {
            $0.pingAfter = .milliseconds(20)
            $0.pingTimeout = .milliseconds(20)
            $0.waitsForNode = true
        } _: { client in
            // A call that finds the connection as it ends is told that instead.
            try await until {
                let error = await failure { try await client.health() }
                #expect(error?.code == .unavailable)
                return error?.message.contains("ping") == true
            }
        }
    }

    @Test("after a goaway calls in flight end and later calls find the next connection")
    func goaway() async throws {
        let node = try await FakeNode.start()
        try await withClient(of: node) {
            $0.waitsForNode = true
        } _: { client in
            for round in 1...4 {
                node.change { $0.onCall = { _ in .goawayThen(FakeService.health) } }
                try await expectReady(client)
                node.change { $0.onCall = { FakeService.answer($0) } }
                try await expectReady(client)
                #expect(node.log.hellos.count == round + 1)
            }
        }
    }

    @Test("a node that turns the client away at the hello is quoted")
    func turnedAway() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    var buffer = ByteBuffer()
                    Goaway(reason: "no room").writeFrame(FrameHeader(kind: .goaway, bodyBytes: 0), to: &buffer)
                    _ = channel.eventLoop.scheduleTask(in: .milliseconds(20)) { [buffer] in
                        channel.writeAndFlush(buffer, promise: nil)
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try MartletClient(patient(port: server.localAddress?.port ?? 1))
        let error = await failure { try await client.health() }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("no room") == true)
        #expect(error?.retryIsSafe == true)
        await client.shutdown()
        try await server.close()
    }

    @Test("a request beyond the node's frame size fails here, and the connection lives on")
    func oversizedRequest() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome?.frameBytesMax = 1000
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            let error = await failure {
                try await client.recommendMany(RecommendManyRequest(users: (0..<500).map { "user\($0)" }))
            }
            #expect(error?.code == .invalidArgument)
            try await expectReady(client)
            #expect(node.log.hellos.count == 1)
        }
    }

    @Test("shutdown fails what is in flight, and later calls")
    func shutdown() async throws {
        let node = try await FakeNode.start()
        node.change { $0.onCall = { _ in .silence } }
        try await withClient(of: node) { client in
            let calls = (0..<20).map { _ in Task { try await client.health() } }
            try await until { node.log.calls.count == 20 }
            await client.shutdown()
            for call in calls { #expect(await failure { try await call.value }?.code == .unavailable) }
            #expect(await failure { try await client.health() }?.code == .unavailable)
            await client.shutdown()
        }
    }

    @Test("shutdown with grace lets calls in flight end")
    func gracefulShutdown() async throws {
        let node = try await FakeNode.start()
        node.change { $0.onCall = { _ in .hold(FakeService.health) } }
        try await withClient(of: node) { client in
            let call = Task { try await client.health() }
            try await until { node.heldCount == 1 }
            let shutdown = Task { await client.shutdown(grace: .seconds(300)) }
            let short = CallOptions(timeout: .milliseconds(50))
            try await until { await failure { try await client.health(options: short) }?.code == .unavailable }
            node.release()
            #expect(try await call.value.state == .ready)
            await shutdown.value
        }
    }

    @Test("shutdown while nothing answers the hello ends")
    func shutdownWhileConnecting() async throws {
        var behaviour = FakeNode.Behaviour()
        behaviour.welcome = nil
        let node = try await FakeNode.start(behaviour)
        try await withClient(of: node) { client in
            let call = Task { try await client.health() }
            try await until { node.log.hellos.count == 1 }
            await client.shutdown()
            #expect(await failure { try await call.value }?.code == .unavailable)
        }
    }

    @Test("a slow node answers late, the call waits for it")
    func slowNode() async throws {
        let node = try await FakeNode.start()
        node.change { $0.onCall = { _ in .hold(FakeService.health) } }
        try await withClient(of: node) { client in
            let calls = (0..<10).map { _ in Task { try await client.health() } }
            try await until { node.heldCount == 10 }
            try await Task.sleep(for: .milliseconds(50))
            node.release()
            for call in calls { #expect(try await call.value.state == .ready) }
        }
    }
}
