import NIOCore
import NIOPosix
import Synchronization

@testable import RemoteCache

/// A client on an event loop of its own, for tests that are not.
final class LoopClient: Sendable {
    let loop: any EventLoop
    private let bound: NIOLoopBound<RedisClient>

    init(_ configuration: RedisConfiguration, loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next())
        async throws
    {
        self.loop = loop
        bound = try await loop.submit {
            let client = RedisClient(configuration, loop: loop)
            client.start()
            return NIOLoopBound(client, eventLoop: loop)
        }.get()
    }

    /// A client of a server on this machine with times that a loaded machine keeps.
    convenience init(port: Int, _ change: (inout RedisConfiguration) -> Void = { _ in }) async throws {
        var configuration = RedisConfiguration(endpoints: [RedisEndpoint(host: "127.0.0.1", port: port)])
        configuration.commandTimeout = .seconds(300)
        configuration.connectTimeout = .seconds(300)
        configuration.stallTimeout = .seconds(300)
        configuration.reconnectMaximum = .milliseconds(200)
        change(&configuration)
        try await self.init(configuration)
    }

    func close() async { try? await on { $0.close() } }

    func on<T: Sendable>(_ body: @escaping @Sendable (RedisClient) throws -> T) async throws -> T {
        let bound = self.bound
        return try await loop.submit { try body(bound.value) }.get()
    }

    /// Calls `body` on the loop; it resumes the test by its second parameter.
    func with<T: Sendable>(_ body: @escaping @Sendable (RedisClient, @escaping @Sendable (T) -> Void) -> Void) async
        -> T
    {
        let bound = self.bound
        return await withCheckedContinuation { continuation in
            loop.execute { body(bound.value) { continuation.resume(returning: $0) } }
        }
    }

    func send(_ words: String..., isWrite: Bool = false, timeout: Duration? = nil) async -> RedisResult {
        let command = RedisCommand(words, key: words.count > 1 ? 1 : nil, isWrite: isWrite)
        return await with { client, done in client.send(command, timeout: timeout) { done($0) } }
    }

    func get(_ key: String, timeout: Duration? = nil) async -> Result<[UInt8]?, RedisFailure> {
        await with { client, done in client.get(Array(key.utf8), timeout: timeout) { done($0) } }
    }

    func set(_ key: String, _ value: [UInt8], timeToLive: Duration? = nil, timeout: Duration? = nil) async
        -> RedisFailure?
    {
        await with { client, done in
            client.set(Array(key.utf8), value, timeToLive: timeToLive, timeout: timeout) { done($0) }
        }
    }

    func get(_ keys: [String]) async -> RedisLookup {
        await with { client, done in client.get(keys.map { Array($0.utf8) }) { done($0) } }
    }

    func delete(_ keys: [String]) async -> (Int, RedisFailure?) {
        await with { client, done in client.delete(keys.map { Array($0.utf8) }) { done(($0, $1)) } }
    }
}

/// Waits until something is so, at most ten minutes.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    for _ in 0..<60_000 {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// A server that answers as a test says.
final class FakeRedis: Sendable {
    let port: Int
    private let channel: any Channel

    /// - Parameter answer: Given each read; its bytes are sent, and the connection is closed where it gives nil.
    init(_ answer: @escaping @Sendable ([UInt8]) -> [UInt8]?) async throws {
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Answering(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func close() async { try? await channel.close() }

    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: @Sendable ([UInt8]) -> [UInt8]?

        init(_ answer: @escaping @Sendable ([UInt8]) -> [UInt8]?) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard let bytes = answer(Array(unwrapInboundIn(data).readableBytesView)) else {
                context.close(promise: nil)
                return
            }
            if !bytes.isEmpty { context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// A value behind a lock.
final class Locked<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>
    init(_ value: Value) { mutex = Mutex(value) }
    func with<T: Sendable>(_ body: (inout Value) -> T) -> T {
        mutex.withLock { value in body(&value) }
    }
}
