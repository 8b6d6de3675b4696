import Logging
import NIOCore
import RemoteCache
import Telemetry

/// The streams that a node reads events from.
final class EventStreams: Sendable {
    private let readers: [EventStreamReader]

    init(
        _ settings: EventStreamSettings, redis: RedisConfiguration, on group: any EventLoopGroup, node: NodeContext,
        port: Int, logger: Logger
    ) {
        let consumer = settings.consumerName(nodeName: node.nodeName, port: port)
        var configuration = redis
        configuration.connectionsPerNode = 1
        readers = settings.names.map { [configuration] name in
            EventStreamReader(
                RedisClient(configuration, loop: group.next()), stream: name, settings,
                consumer: consumer, node: node, logger: logger)
        }
    }

    func start() { for reader in readers { reader.start() } }

    /// Reads nothing more; what is stored is acknowledged.
    func stop() async {
        for reader in readers { try? await reader.stop().get() }
    }

    /// Of all streams together.
    var reading: EventStreamReading {
        var sum = EventStreamReading()
        for reading in readers.map(\.reading) {
            sum.isOn = true
            sum.read += reading.read
            sum.claimed += reading.claimed
            sum.acknowledged += reading.acknowledged
            sum.stored += reading.stored
            sum.duplicates += reading.duplicates
            sum.malformed += reading.malformed
            sum.deadLettered += reading.deadLettered
            sum.refusals += reading.refusals
            sum.failures += reading.failures
            sum.lastFailure = reading.lastFailure ?? sum.lastFailure
            sum.pending += reading.pending
            sum.waiting += reading.waiting
        }
        return sum
    }
}
