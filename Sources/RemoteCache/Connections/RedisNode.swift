import NIOCore
import Resilience

/// One server: a few connections of one event loop, and whether it is worth asking.
///
/// Reads and writes have breakers of their own: a server that is full or a replica refuses writes and answers reads.
final class RedisNode {
    let endpoint: RedisEndpoint
    private let configuration: RedisConfiguration
    private let loop: any EventLoop
    private(set) var connections: [RedisConnection]
    /// For commands that wait at the server: what is behind them would wait, too.
    private var blocking: RedisConnection?
    var reads: CircuitBreaker
    var writes: CircuitBreaker

    /// The longest that a command may wait at the server.
    static let blockMillisecondsMax = 60_000

    init(
        _ endpoint: RedisEndpoint, _ configuration: RedisConfiguration, breaker: CircuitBreakerConfiguration,
        loop: any EventLoop
    ) {
        self.endpoint = endpoint
        self.configuration = configuration
        self.loop = loop
        connections = (0..<configuration.connectionsPerNode).map { _ in
            RedisConnection(endpoint, configuration, loop: loop)
        }
        let now = NIODeadline.now().uptimeNanoseconds
        reads = CircuitBreaker(breaker, at: now)
        writes = CircuitBreaker(breaker, at: now)
    }

    func start() { for connection in connections { connection.start() } }

    func close() {
        for connection in connections { connection.close() }
        blocking?.close()
        blocking = nil
    }

    var isReady: Bool { connections.contains { $0.isReady } }
    var inFlight: Int { connections.reduce(0) { $0 + $1.inFlight } }

    /// - Parameter asking: ASKING goes before it: the cluster is moving the slot here.
    func send(
        _ command: RedisCommand, asking: Bool, deadline: UInt64, now: UInt64,
        completion: @escaping Pipeline.Completion
    ) {
        let connection = command.blocksMilliseconds == nil ? leastBusy : blockingConnection
        if asking { connection.send(Self.asking, deadline: deadline, now: now) { _ in } }
        connection.send(command.encoded, deadline: deadline, now: now, completion: completion)
    }

    private var leastBusy: RedisConnection {
        var best = connections[0]
        for connection in connections.dropFirst() {
            if (connection.isReady ? 0 : 1, connection.inFlight) < (best.isReady ? 0 : 1, best.inFlight) {
                best = connection
            }
        }
        return best
    }

    private var blockingConnection: RedisConnection {
        if let blocking { return blocking }
        var patient = configuration
        patient.stallTimeout = max(
            configuration.stallTimeout, .milliseconds(Self.blockMillisecondsMax) + configuration.commandTimeout * 2)
        let connection = RedisConnection(endpoint, patient, loop: loop)
        blocking = connection
        return connection
    }

    private static let asking = CommandBytes.formatted([Array("ASKING".utf8)])
}
