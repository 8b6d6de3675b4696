import Foundation
import Vocabulary
import Wire

/// One interval of a run, all threads together.
package struct TimePoint: Sendable {
    /// Seconds since the first call, warm-up included: begin and end.
    package var start: Double
    package var end: Double
    package var isWarmup: Bool
    /// Good answers a second.
    package var throughput: Double
    package var client: LatencyFigures
    package var failed: UInt64
    /// CPU seconds of the load tool's threads a second.
    package var toolCPU: Double
}

/// What a run found.
package struct LoadReport: Sendable {
    package struct MethodReport: Sendable {
        package let name: String
        package let client: LatencyFigures
        package let server: LatencyFigures
    }

    package var node = ""
    package var driver = "raw"
    package var mode = LoadMode.closed(inFlight: 1)
    package var connections = 0
    package var threads = 1
    package var shardCount = 1
    /// Whether calls about a user went to the user's shard.
    package var isRouted = false
    package var seed: UInt64 = 0
    package var warmup: Double = 0
    /// Seconds measured.
    package var duration: Double = 0
    package var wasStopped = false
    /// Answers a second within the measured time.
    package var throughput: Double = 0
    package var succeeded: UInt64 = 0
    /// Calls without a good answer, by what happened to them.
    package var errors: [(name: String, count: UInt64)] = []
    package var cached: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    package var lateReplies: UInt64 = 0
    package var lostConnections = 0
    /// CPU of the load tool's threads, in cores.
    package var toolCPU: Double = 0
    package var client = LatencyFigures.inNanoseconds()
    package var server = LatencyFigures.inMicroseconds()
    package var methods: [MethodReport] = []
    package var series: [TimePoint] = []
    /// Whether the node knew the users; nil: nobody asked, or there was no answer.
    package var users: UserProbe?

    package init() {}

    package var failed: UInt64 { errors.reduce(0) { $0 + $1.count } }
    package var unsent: UInt64 { errors.first { $0.name == "UNSENT" }?.count ?? 0 }
    package var failedShare: Double {
        let all = succeeded + failed
        return all == 0 ? 0 : Double(failed) / Double(all)
    }
    package var cachedShare: Double { succeeded == 0 ? 0 : Double(cached) / Double(succeeded) }
}

extension Outcome {
    static func name(_ outcome: Int) -> String {
        switch outcome {
        case timedOut: "TIMED_OUT"
        case connectionLost: "CONNECTION_LOST"
        case unsent: "UNSENT"
        case otherStatus: "OTHER_STATUS"
        default: UInt8(exactly: outcome).flatMap(StatusCode.init(rawValue:))?.name ?? "OTHER_STATUS"
        }
    }
}

/// Adds the records of all threads up to a report, and to points in time as soon as every thread has told.
struct ReportCollector {
    /// Seconds.
    private static let intervalMin = 0.05
    private let mode: LoadMode
    private let measureStart: UInt64
    private let start: UInt64
    private let threads: Int
    private let mix: MethodMix
    private var methods: [MethodFigures]
    private var outcomes = [UInt64](repeating: 0, count: Outcome.count)
    private var completed: UInt64 = 0
    private var counters = IntervalCounters()
    private var measuredEnd: UInt64 = 0
    private var open: [UInt64: (point: TimePoint, told: Int)] = [:]
    private var lastCPU: [UInt64]
    private var cpu: UInt64 = 0
    private var finished: [TimePoint] = []
    private var series: [TimePoint] = []
    var lostConnections = 0

    init(mode: LoadMode, measureStart: UInt64, start: UInt64, threads: Int, mix: MethodMix) {
        (self.mode, self.measureStart, self.start, self.threads, self.mix) = (mode, measureStart, start, threads, mix)
        methods = (0..<IntervalRecord.methodCount).map { _ in
            MethodFigures(client: .inNanoseconds(), server: .inMicroseconds())
        }
        lastCPU = [UInt64](repeating: 0, count: threads)
    }

    mutating func add(_ record: IntervalRecord, thread: Int) {
        let figures = record.counters.pointee
        let isWarmup = figures.start < measureStart
        var client = LatencyFigures.inNanoseconds()
        for method in 0..<IntervalRecord.methodCount where !record.methods[method].client.isEmpty {
            client.add(record.methods[method].client)
            methods[method].client.add(record.methods[method].client)
            methods[method].server.add(record.methods[method].server)
        }
        var failed: UInt64 = 0
        for outcome in 0..<Outcome.count {
            outcomes[outcome] += record.outcomes[outcome]
            if outcome > 0 { failed += record.outcomes[outcome] }
        }
        counters.cached += figures.cached
        counters.lateReplies += figures.lateReplies
        let spent = figures.cpu &- lastCPU[thread]
        lastCPU[thread] = figures.cpu
        if !isWarmup {
            completed += figures.completed
            counters.bytesReceived += figures.bytesReceived
            cpu += spent
            measuredEnd = max(measuredEnd, figures.end)
        }
        let seconds = max(Double(figures.end - min(figures.start, figures.end)) / 1e9, 1e-9)
        var entry =
            open[figures.start]
            ?? (
                TimePoint(
                    start: Double(figures.start - start) / 1e9,
                    end: Double(figures.end - min(start, figures.end)) / 1e9,
                    isWarmup: isWarmup, throughput: 0, client: .inNanoseconds(), failed: 0, toolCPU: 0), 0
            )
        entry.point.throughput += Double(figures.completed) / seconds
        entry.point.failed += failed
        entry.point.toolCPU += Double(spent) / 1e9 / seconds
        entry.point.client.add(client)
        entry.told += 1
        open[figures.start] = entry.told == threads ? nil : entry
        if entry.told == threads { finished.append(entry.point) }
    }

    /// The points that became complete since the last time.
    mutating func takePoints() -> [TimePoint] {
        defer { finished = [] }
        series += finished
        // The rest of a second at the end says nothing about a rate.
        return finished.filter { $0.end - $0.start >= ReportCollector.intervalMin }
    }

    func report(
        node: String, configuration: LoadConfiguration, shardCount: Int, wasStopped: Bool,
        warmup: Double
    ) -> LoadReport {
        var report = LoadReport()
        report.node = node
        report.mode = mode
        report.connections = configuration.connections
        report.threads = threads
        report.shardCount = shardCount
        report.seed = configuration.seed
        report.warmup = warmup
        report.duration = Double(max(measuredEnd, measureStart) - measureStart) / 1e9
        report.wasStopped = wasStopped
        report.throughput = report.duration > 0 ? Double(completed) / report.duration : 0
        report.succeeded = outcomes[0]
        report.errors = (1..<Outcome.count).compactMap { outcome in
            outcomes[outcome] == 0 ? nil : (Outcome.name(outcome), outcomes[outcome])
        }
        report.cached = counters.cached
        report.bytesReceived = counters.bytesReceived
        report.lateReplies = counters.lateReplies
        report.lostConnections = lostConnections
        report.toolCPU = report.duration > 0 ? Double(cpu) / 1e9 / report.duration : 0
        for (name, method) in MethodMix.names where !methods[Int(method.rawValue)].client.isEmpty {
            let figures = methods[Int(method.rawValue)]
            report.methods.append(.init(name: name, client: figures.client, server: figures.server))
            report.client.add(figures.client)
            report.server.add(figures.server)
        }
        // A thread that was held up for a whole interval leaves points that not every thread told of.
        report.series = (series + open.values.map(\.point))
            .filter { $0.end - $0.start >= ReportCollector.intervalMin }
            .sorted { $0.start < $1.start }
        return report
    }
}
