import Dispatch
import EventLog
import Features
import Logging
import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// The node's log of slates: written beside the answers, never before them.
///
/// ```
///  a loop:        offer -> the shard's line, bounded -> (wakes the slates' queue)
///  the queue:     names and bytes of each -> the log's pending bytes, bounded
///  log's thread:  writes, as for events, without syncs
/// ```
/// What finds a line or the log full is dropped and counted; a disk that fails costs slates and nothing else.
final class SlateLog: Sendable {
    /// Slates that may wait in a shard's line.
    static let lineMax = 1024
    /// Bytes that they may hold, about.
    static let lineBytesMax = 16 << 20

    /// What was shown.
    enum Entry: Sendable {
        case made(SlateCapture)
        case repeated(RepeatedSlate)

        var byteCount: Int {
            switch self {
            case .made(let capture): capture.byteCount
            case .repeated(let slate): 100 + slate.request.count + slate.answer.count
            }
        }
    }

    private struct Line {
        var entries: [Entry] = []
        var bytes = 0
        var isScheduled = false
    }

    private struct Counts {
        var reading = SlateLogReading()
        /// Of the last record that has an outcome.
        var settled: UInt64 = 0
        /// Hashes of schemas by generation, the newest few.
        var schemas: [UInt64: String] = [:]
    }

    private final class LineBox: Sendable {
        let line = Mutex(Line())
    }

    private let lines: [LineBox]
    private let queue = DispatchQueue(label: "martlet.slates", qos: .utility)
    private let log: LogWriter
    private let schemas: SchemaFiles
    private let counts: CountsBox
    private let logger: Logger

    private final class CountsBox: Sendable {
        let value = Mutex(Counts())

        /// On the log's thread.
        func settle(_ outcome: LogOutcome) {
            value.withLock { counts in
                let records = outcome.through - min(counts.settled, outcome.through)
                counts.settled = outcome.through
                if case .stored = outcome { counts.reading.logged += records } else { counts.reading.lost += records }
            }
        }
    }

    /// - Throws: `LogError` when the folder cannot be used.
    init(
        _ configuration: SlatesConfiguration, storage: any LogStorage, shardCount: Int, logger: Logger,
        wallClock: @escaping @Sendable () -> UInt64
    ) throws {
        let counts = CountsBox()
        self.counts = counts
        self.logger = logger
        lines = (0..<shardCount).map { _ in LineBox() }
        schemas = SchemaFiles(storage, retention: configuration.retentionAge)
        log = try LogWriter(
            storage, EventLog.LogConfiguration(configuration), clock: { LoopWorker.now }, wallClock: wallClock,
            outcome: { counts.settle($0) })
        counts.value.withLock { $0.settled = log.lastSequence }
        // No state is made of slates: they may go as soon as they are old.
        log.allowRemoval(through: .max)
    }

    /// Takes a slate where there is room. Quick; any loop.
    func offer(_ entry: Entry, shard: Int) -> Bool {
        let box = lines[shard]
        let (isTaken, wakes) = box.line.withLock { line in
            let bytes = entry.byteCount
            guard line.entries.count < Self.lineMax, line.bytes + bytes <= Self.lineBytesMax else {
                return (false, false)
            }
            line.entries.append(entry)
            line.bytes += bytes
            defer { line.isScheduled = true }
            return (true, !line.isScheduled)
        }
        if wakes { queue.async { self.drain(box) } }
        if !isTaken { counts.value.withLock { $0.reading.dropped += 1 } }
        return isTaken
    }

    /// Of its segments.
    var segmentStatistics: LogStatistics { log.statistics }

    /// Counts a slate whose record no frame could have told of.
    func countDropped() { counts.value.withLock { $0.reading.dropped += 1 } }

    var reading: SlateLogReading {
        var reading = counts.value.withLock { $0.reading }
        let statistics = segmentStatistics
        reading.bytes = UInt64(clamping: statistics.bytes)
        reading.writtenBytes = statistics.writtenBytes
        reading.failures += statistics.failures
        reading.isRefusing = statistics.isRefusing
        return reading
    }

    /// Stores what is in line. Not on a loop.
    func close() {
        queue.sync {}
        log.close()
    }

    // MARK: The slates' queue

    private func drain(_ box: LineBox) {
        let arena = DecodeArena()
        while true {
            let entries = box.line.withLock { line in
                defer { line.entries.removeAll(keepingCapacity: true) }
                line.bytes = 0
                line.isScheduled = !line.entries.isEmpty
                return line.entries
            }
            if entries.isEmpty { return }
            for entry in entries { store(entry, arena) }
        }
    }

    private func store(_ entry: Entry, _ arena: DecodeArena) {
        let slate: LoggedSlate?
        switch entry {
        case .made(let capture): slate = capture.record(schema: schemaHash(of: capture.generation))
        case .repeated(let repeated): slate = repeated.record(arena)
        }
        guard let slate else { return countDropped() }
        do throws(LogError) {
            _ = try log.append(kind: RecordKind.slates.rawValue, SlateRecord.encode(slate))
        } catch {
            counts.value.withLock { counts in
                if error.code == .full { counts.reading.dropped += 1 } else { counts.reading.lost += 1 }
            }
        }
    }

    /// Schemas of so many generations are remembered.
    private static let schemasMax = 16

    private func schemaHash(of generation: Generation) -> String {
        guard let schema = generation.ranker?.plan.schema else { return "" }
        if let known = counts.value.withLock({ $0.schemas[generation.number] }) { return known }
        let hash = schema.hash
        do throws(LogError) {
            try schemas.write(schema, hash: hash)
        } catch {
            counts.value.withLock { $0.reading.failures += 1 }
            logger.error(
                "a feature schema could not be put beside the slate log; its slates teach no ranker without it",
                metadata: ["error": "\(error)"])
            return hash
        }
        counts.value.withLock { counts in
            if counts.schemas.count >= Self.schemasMax { counts.schemas.removeAll() }
            counts.schemas[generation.number] = hash
        }
        return hash
    }
}

/// A slate that the result cache gave out again.
struct RepeatedSlate: Sendable {
    var requestID: String
    /// Of the slate that it repeats; empty: that one was not logged.
    var original: String
    var timeMilliseconds: UInt64
    /// Bodies of the call and of the reply.
    var request: [UInt8]
    var answer: [UInt8]

    /// Nil for bytes that are no such messages.
    func record(_ arena: DecodeArena) -> LoggedSlate? {
        // The bytes are read here and not kept.
        let decoded = request.withUnsafeBytes { request in
            answer.withUnsafeBytes { answer in
                (
                    try? Wire.RecommendRequest(decoding: request, arena: arena),
                    try? Wire.RecommendReply(decoding: answer, arena: arena)
                )
            }
        }
        guard case (let request?, let answer?) = decoded else { return nil }
        var slate = LoggedSlate(requestID: requestID, user: request.user)
        slate.marks = .cached
        slate.original = original
        slate.timeMilliseconds = timeMilliseconds
        slate.scenario = request.scenario
        slate.generation = answer.generation
        slate.model = answer.model
        slate.fallback = UInt8(truncatingIfNeeded: answer.fallback.rawValue)
        slate.degraded = UInt8(truncatingIfNeeded: answer.degraded.rawValue | answer.degraded.rawValue >> 8)
        slate.context = Dictionary(request.context.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
        slate.shownCount = answer.items.count
        slate.items = answer.items
        slate.scores = answer.scores
        slate.itemSources = answer.items.map { _ in 0 }
        slate.places = slate.itemSources
        slate.propensities = answer.items.map { _ in 1 }
        slate.itemMarks = answer.items.map { _ in [] }
        return slate
    }
}

extension EventLog.LogConfiguration {
    init(_ slates: SlatesConfiguration) {
        self.init(
            sync: .never, segmentBytesMax: slates.segmentBytes, segmentAgeMax: slates.segmentAge,
            retentionAge: slates.retentionAge, retentionBytes: slates.retentionBytes,
            pendingBytesMax: slates.pendingBytesMax)
    }
}
