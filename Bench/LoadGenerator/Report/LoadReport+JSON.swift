import Foundation

extension LoadReport {
    private struct Times: Encodable {
        var count: UInt64
        var microseconds: [String: Double]

        init(_ figures: LatencyFigures) {
            count = figures.count
            microseconds = [:]
            func put(_ name: String, _ value: Double?) {
                if let value { microseconds[name] = (value / 10).rounded() / 100 }
            }
            for percentile in LoadReport.percentiles {
                put("p\(percentile.formatted(.plain))", figures.valueAt(percentile))
            }
            put("max", figures.max)
            put("min", figures.min)
            put("mean", figures.mean)
        }
    }

    private struct Second: Encodable {
        var start: Double
        var end: Double
        var warmup: Bool
        var throughput: Double
        var failed: UInt64
        var client: Times
    }

    private struct Document: Encodable {
        var node: String
        var driver: String
        var mode: String
        var rate: Double?
        var inFlight: Int?
        var connections: Int
        var threads: Int
        var shards: Int
        var routed: Bool
        var seed: UInt64
        var warmupSeconds: Double
        var durationSeconds: Double
        var stoppedEarly: Bool
        var throughput: Double
        var succeeded: UInt64
        var failed: UInt64
        var errors: [String: UInt64]
        var unsent: UInt64
        var cachedShare: Double
        var bytesReceived: UInt64
        var lateReplies: UInt64
        var lostConnections: Int
        var toolCores: Double
        var client: Times
        var server: Times
        var methods: [String: [String: Times]]
        var series: [Second]
        var objective: [ServiceObjective.Verdict]
        var objectiveHeld: Bool?
        var users: Users?
        var search: SearchJournal.Document?
    }

    private struct Users: Encodable {
        var asked: Int
        var unknown: Int
        var withoutHistory: Int
        var warning: String?
    }

    /// The report as JSON with sorted keys; times in microseconds.
    ///
    /// - Parameter search: The search that the run belongs to.
    package func json(_ verdicts: [ServiceObjective.Verdict] = [], search: SearchJournal? = nil) throws -> Data {
        var document = Document(
            node: node, driver: driver, mode: "", rate: nil, inFlight: nil, connections: connections, threads: threads,
            shards: shardCount, routed: isRouted, seed: seed, warmupSeconds: warmup, durationSeconds: duration,
            stoppedEarly: wasStopped,
            throughput: (throughput * 10).rounded() / 10, succeeded: succeeded, failed: failed,
            errors: Dictionary(uniqueKeysWithValues: errors.map { ($0.name, $0.count) }), unsent: unsent,
            cachedShare: cachedShare, bytesReceived: bytesReceived, lateReplies: lateReplies,
            lostConnections: lostConnections, toolCores: toolCPU, client: Times(client), server: Times(server),
            methods: [:], series: [], objective: verdicts,
            objectiveHeld: verdicts.isEmpty ? nil : verdicts.allSatisfy(\.held),
            users: users.map {
                Users(asked: $0.asked, unknown: $0.unknown, withoutHistory: $0.withoutHistory, warning: $0.warning)
            }, search: search?.document)
        switch mode {
        case .open(let rate): (document.mode, document.rate) = ("open", rate)
        case .closed(let inFlight): (document.mode, document.inFlight) = ("closed", inFlight)
        }
        for method in methods {
            document.methods[method.name] = ["client": Times(method.client), "server": Times(method.server)]
        }
        document.series = series.map { point in
            Second(
                start: point.start, end: point.end, warmup: point.isWarmup,
                throughput: (point.throughput * 10).rounded() / 10, failed: point.failed, client: Times(point.client))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(document)
    }
}
