import EventLog
import Logging
import Telemetry
import Vocabulary

/// The node's slate log, where one is configured and can be used: whatever is wrong with it, the node serves.
final class SlateStore: Sendable {
    /// Nil where no slate is logged by configuration.
    let directory: String?
    /// Why the log cannot be used; nil: it can, or is not wanted.
    let fault: String?
    private let log: SlateLog?
    /// By the scenarios' numbers.
    private let shares: [Double]

    /// - Parameter storage: In place of the configured folder.
    init(
        _ configuration: ServerConfiguration, shardCount: Int, logger: Logger, storage: (any LogStorage)? = nil
    ) {
        let slates = configuration.slates
        shares = configuration.orderedScenarios.map { $0.scenario.slatesSample ?? slates.sample }
        let wanted = slates.directory ?? configuration.events.directory.map { "\($0)/slates" }
        guard let wanted, shares.contains(where: { $0 > 0 }) else {
            (directory, fault, log) = (nil, nil, nil)
            return
        }
        directory = wanted
        do {
            let storage = try storage ?? FileStorage(path: wanted, creates: true)
            log = try SlateLog(
                slates, storage: storage, shardCount: shardCount, logger: logger, wallClock: EventStore.wallClock)
            fault = nil
            logger.info(
                "slate log opened",
                metadata: ["slates.directory": "\(wanted)", "slates.sample": "\(slates.sample)"])
        } catch {
            log = nil
            fault = "\(error)"
            logger.error("slates are not logged", metadata: ["error": "\(error)"])
        }
    }

    /// Nil where no slate is logged.
    func makeDesk(shard: Int) -> SlateDesk? {
        log.map {
            SlateDesk(
                $0, shard: shard, shares: shares, seed: .random(in: 0...(.max)), wallClock: EventStore.wallClock)
        }
    }

    var reading: SlateLogReading {
        if let log { return log.reading }
        var reading = SlateLogReading()
        if fault != nil {
            reading.failures = 1
            reading.isRefusing = true
        }
        return reading
    }

    /// What waits to be stored; 0 where nothing is.
    var bufferBytes: Int { log?.bufferBytes ?? 0 }

    /// Of the log's segments; nil where there is none.
    var logStatistics: (@Sendable () -> LogStatistics)? {
        guard let log else { return nil }
        return { log.segmentStatistics }
    }

    func close() { log?.close() }
}
