import NIOCore
import NIOPosix
import Synchronization
import Vocabulary

@testable import Wire

/// A node for tests: speaks the protocol by hand and does with each call what the test says.
final class FakeNode: Sendable {
    /// What to do with a call.
    enum Reaction: Sendable {
        case answer(any MessageBody, flags: ReplyFlags = [])
        case refuse(StatusCode, ErrorBody)
        /// No reply, ever.
        case silence
        /// These bytes instead of a reply.
        case bytes([UInt8])
        case close
        /// Ends the connection with a reset.
        case reset
        /// Goaway, then the answer.
        case goawayThen(any MessageBody)
        /// Kept until `release`.
        case hold(any MessageBody)
    }

    struct ReceivedCall: Sendable {
        var header: FrameHeader
        var body: ByteBuffer
        /// The shard that the connection's hello asked for.
        var shard: Int?
        var connection: Int
        var trace: TraceContext?
    }

    struct Behaviour: Sendable {
        var welcome: Welcome? = Welcome(
            partitionMapVersion: PartitionMap.version, shardCount: 1, callsInFlightMax: 1024, nodeName: "fake")
        var answersPings = true
        var onCall: @Sendable (ReceivedCall) -> Reaction = { FakeService.answer($0) }
    }

    struct Log: Sendable {
        var hellos: [Hello] = []
        var calls: [ReceivedCall] = []
        var cancels: [UInt32] = []
        var pings = 0
        var unansweredMax = 0
        var openConnections = 0
    }

    let port: Int
    private let channel: any Channel
    private let shared: Shared

    /// What the connections share.
    final class Shared: Sendable {
        let behaviour: Mutex<Behaviour>
        let log = Mutex(Log())
        let children = Mutex<[ObjectIdentifier: any Channel]>([:])
        let held = Mutex<[@Sendable () -> Void]>([])
        init(_ behaviour: Behaviour) { self.behaviour = Mutex(behaviour) }
    }

    private init(channel: any Channel, shared: Shared) {
        self.channel = channel
        self.shared = shared
        port = channel.localAddress?.port ?? 0
    }

    static func start(_ behaviour: Behaviour = Behaviour(), port: Int = 0) async throws -> FakeNode {
        let shared = Shared(behaviour)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FakeConnection(shared))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        return FakeNode(channel: channel, shared: shared)
    }

    var log: Log { shared.log.withLock { $0 } }

    func change(_ body: (inout Behaviour) -> Void) { shared.behaviour.withLock { body(&$0) } }

    /// Answers what was held, newest first.
    func release() {
        let held = shared.held.withLock { held in
            defer { held.removeAll() }
            return held
        }
        for answer in held.reversed() { answer() }
    }

    var heldCount: Int { shared.held.withLock { $0.count } }

    /// Closes the connections; new ones are still taken.
    func dropConnections() async {
        for child in shared.children.withLock({ Array($0.values) }) { try? await child.close() }
    }

    func stop() async {
        try? await channel.close()
        await dropConnections()
    }
}

private final class FakeConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let lastNumber = Atomic<Int>(0)
    private let number = FakeConnection.lastNumber.add(1, ordering: .relaxed).newValue
    private let shared: FakeNode.Shared
    private let arena = DecodeArena()
    private var decoder = FrameDecoder()
    private var hello: Hello?
    private var unanswered = 0

    init(_ shared: FakeNode.Shared) { self.shared = shared }

    func channelActive(context: ChannelHandlerContext) {
        shared.children.withLock { $0[ObjectIdentifier(context.channel)] = context.channel }
        shared.log.withLock { $0.openConnections += 1 }
    }

    func channelInactive(context: ChannelHandlerContext) {
        _ = shared.children.withLock { $0.removeValue(forKey: ObjectIdentifier(context.channel)) }
        shared.log.withLock { $0.openConnections -= 1 }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.feed(unwrapInboundIn(data))
        do {
            while let frame = try decoder.next() { try take(frame, context) }
        } catch {
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    private func write(_ message: any MessageBody, _ header: FrameHeader, _ context: ChannelHandlerContext) {
        var buffer = ByteBuffer()
        message.writeFrame(header, to: &buffer)
        context.write(wrapOutboundOut(buffer), promise: nil)
    }

    private func take(_ frame: Frame, _ context: ChannelHandlerContext) throws {
        let behaviour = shared.behaviour.withLock { $0 }
        switch frame.header.kind {
        case .hello:
            let hello = try Hello(decoding: frame.body, arena: arena)
            self.hello = hello
            shared.log.withLock { $0.hellos.append(hello) }
            guard var welcome = behaviour.welcome else { return }
            welcome.shard = min(hello.shard ?? 0, welcome.shardCount - 1)
            write(welcome, FrameHeader(kind: .welcome, bodyBytes: 0), context)
        case .call: call(frame, behaviour, context)
        case .cancel:
            shared.log.withLock { $0.cancels.append(frame.header.callID) }
            unanswered -= 1
        case .ping:
            shared.log.withLock { $0.pings += 1 }
            if behaviour.answersPings {
                var buffer = ByteBuffer()
                buffer.writeHeader(.bare(.pong, id: frame.header.callID))
                context.write(wrapOutboundOut(buffer), promise: nil)
            }
        default: context.close(promise: nil)
        }
    }

    private func call(_ frame: Frame, _ behaviour: FakeNode.Behaviour, _ context: ChannelHandlerContext) {
        let trace = frame.extensionBytes.withUnsafeReadableBytes {
            frame.header.callFlags.contains(.traceContext) ? TraceContext(reading: $0) : nil
        }
        let call = FakeNode.ReceivedCall(
            header: frame.header, body: frame.body, shard: hello?.shard, connection: number, trace: trace)
        unanswered += 1
        shared.log.withLock { log in
            log.calls.append(call)
            log.unansweredMax = max(log.unansweredMax, unanswered)
        }
        switch behaviour.onCall(call) {
        case .answer(let body, let flags): reply(.ok, body, flags, call, context)
        case .refuse(let status, let error): reply(status, error, [], call, context)
        case .silence: break
        case .bytes(let bytes): context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        case .close: context.close(promise: nil)
        case .reset:
            let channel = context.channel
            (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                .whenComplete { _ in channel.close(promise: nil) }
        case .goawayThen(let body):
            write(Goaway(reason: "test"), FrameHeader(kind: .goaway, bodyBytes: 0), context)
            reply(.ok, body, [], call, context)
        case .hold(let body):
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            let eventLoop = context.eventLoop
            shared.held.withLock { held in
                held.append {
                    eventLoop.execute {
                        let (connection, context) = bound.value
                        guard context.channel.isActive else { return }
                        connection.reply(.ok, body, [], call, context)
                        context.flush()
                    }
                }
            }
        }
    }

    private func reply(
        _ status: StatusCode, _ body: any MessageBody, _ flags: ReplyFlags, _ call: FakeNode.ReceivedCall,
        _ context: ChannelHandlerContext
    ) {
        unanswered -= 1
        write(
            body,
            .reply(
                status, id: call.header.callID, flags: flags, serverMicroseconds: 12, loadHint: 34, bodyBytes: 0),
            context)
    }
}

/// A tiny catalogue: items "i0" to "i99", users "u0" to "u9" known.
enum FakeService {
    static func answer(_ call: FakeNode.ReceivedCall) -> FakeNode.Reaction {
        let arena = DecodeArena()
        do throws(MessageFault) {
            switch call.header.method {
            case .recommend: return .answer(slate(try RecommendRequest(decoding: call.body, arena: arena)))
            case .recommendMany: return .answer(slates(try RecommendManyRequest(decoding: call.body, arena: arena)))
            case .similarItems: return similar(try SimilarItemsRequest(decoding: call.body, arena: arena))
            case .rank: return rank(try RankRequest(decoding: call.body, arena: arena))
            case .recordEvents:
                var reply = RecordEventsReply()
                reply.stored = try RecordEventsRequest(decoding: call.body, arena: arena).events.count
                return .answer(reply)
            case .upsertItems:
                return changed(try UpsertItemsRequest(decoding: call.body, arena: arena).items.count)
            case .deleteItems:
                return changed(try DeleteItemsRequest(decoding: call.body, arena: arena).items.count)
            case .setAvailability:
                return changed(try SetAvailabilityRequest(decoding: call.body, arena: arena).items.count)
            case .getItem: return item(try GetItemRequest(decoding: call.body, arena: arena))
            case .health: return .answer(health)
            case .listModels: return .answer(models)
            case .loadModel: return load(try LoadModelRequest(decoding: call.body, arena: arena))
            case nil: return .refuse(.unimplemented, ErrorBody(message: "method \(call.header.code) is not known"))
            }
        } catch {
            return .refuse(.invalidArgument, ErrorBody(message: error.message))
        }
    }

    private static func changed(_ count: Int) -> FakeNode.Reaction {
        var reply = ChangeItemsReply()
        reply.stored = count
        return .answer(reply)
    }

    /// The items a user gets, best first: different for each user, without what was excluded.
    static func items(_ user: String, _ request: RecommendRequest) -> [String] {
        let start = Int(XXH64.hash(user) % 100)
        let all = (0..<100).map { "i\(($0 + start) % 100)" }.filter { !request.excludeItems.contains($0) }
        let offset = request.cursor.isEmpty ? 0 : Int(request.cursor[0])
        return Array(all.dropFirst(offset).prefix(request.k == 0 ? 20 : request.k))
    }

    static func slate(_ request: RecommendRequest) -> RecommendReply {
        var reply = RecommendReply()
        reply.items = items(request.user, request)
        reply.scores = reply.items.indices.map { 1 / Float($0 + 1) }
        reply.generation = 1
        reply.model = "fake@1"
        reply.fallback = request.user.hasPrefix("u") ? .none : .unknownUser
        let offset = (request.cursor.first.map(Int.init) ?? 0) + reply.items.count
        reply.nextCursor = offset < 100 - request.excludeItems.count ? [UInt8(offset)] : []
        if request.includeDetails || request.explain { reply.titles = reply.items.map { "Title of \($0)" } }
        if request.explain {
            reply.reasons = reply.items.map { _ in "because it is a test" }
            reply.shares = reply.items.indices.map {
                SourceShare(item: $0, source: "als", rank: $0 + 1, score: 1, contribution: reply.scores[$0])
            }
            reply.timings = [StageTiming(stage: "retrieve", microseconds: 7)]
        }
        return reply
    }

    static func slates(_ request: RecommendManyRequest) -> RecommendManyReply {
        var reply = RecommendManyReply()
        for user in request.users {
            let slate = slate(RecommendRequest(user: user, k: request.k))
            reply.itemCounts.append(UInt32(slate.items.count))
            reply.items += slate.items
            reply.scores += slate.scores
            reply.fallbacks.append(slate.fallback)
            reply.statuses.append(.ok)
        }
        reply.generation = 1
        reply.model = "fake@1"
        return reply
    }

    static func similar(_ request: SimilarItemsRequest) -> FakeNode.Reaction {
        guard request.item.hasPrefix("i") else {
            return .refuse(.notFound, ErrorBody(message: "no item \(request.item)"))
        }
        var reply = SimilarItemsReply()
        reply.items = Array(
            (0..<100).map { "i\($0)" }.filter { $0 != request.item }.prefix(request.k == 0 ? 20 : request.k))
        reply.scores = reply.items.indices.map { 1 / Float($0 + 1) }
        reply.generation = 1
        reply.model = "fake@1"
        reply.source = request.source.isEmpty ? "item_to_item" : request.source
        if request.includeDetails { reply.titles = reply.items.map { "Title of \($0)" } }
        return .answer(reply)
    }

    /// Known items in the order asked.
    static func rank(_ request: RankRequest) -> FakeNode.Reaction {
        var reply = RankReply()
        for (place, item) in request.items.enumerated() {
            if item.hasPrefix("i") { reply.places.append(UInt32(place)) } else { reply.unknown.append(UInt32(place)) }
        }
        reply.scores = reply.places.map { -Float($0) }
        reply.generation = 1
        reply.model = "fake@1"
        return .answer(reply)
    }

    static func item(_ request: GetItemRequest) -> FakeNode.Reaction {
        guard request.item.hasPrefix("i") else {
            return .refuse(.notFound, ErrorBody(message: "no item \(request.item)"))
        }
        var reply = GetItemReply()
        reply.item = request.item
        reply.title = "Title of \(request.item)"
        reply.tags = ["test"]
        reply.interactions = 9
        reply.popularityRank = 1
        reply.generation = 1
        reply.model = "fake@1"
        return .answer(reply)
    }

    static var health: HealthReply {
        var reply = HealthReply()
        reply.state = .ready
        reply.generation = 1
        reply.model = "fake@1"
        reply.shardCount = 1
        reply.uptimeMilliseconds = 5
        reply.softwareVersion = "0"
        reply.nodeName = "fake"
        return reply
    }

    static var models: ListModelsReply {
        var info = ModelInfo()
        info.path = "fake"
        info.name = "fake"
        info.version = "1"
        info.serving = true
        var reply = ListModelsReply()
        reply.models = [info]
        return reply
    }

    static func load(_ request: LoadModelRequest) -> FakeNode.Reaction {
        guard request.path == "fake" else {
            return .refuse(.notFound, ErrorBody(message: "no bundle \(request.path) under the models root"))
        }
        var reply = LoadModelReply()
        reply.generation = 2
        reply.model = "fake@1"
        return .answer(reply)
    }
}
