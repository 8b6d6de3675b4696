import Foundation
import Vocabulary

extension LoadReport {
    package static let percentiles: [Double] = [50, 75, 90, 95, 99, 99.9, 99.99]

    package var modeText: String {
        switch mode {
        case .open(let rate): "open loop, \(grouped(Int(rate.rounded()))) calls/s"
        case .closed(let inFlight): "closed loop, \(inFlight) in flight on each connection"
        }
    }

    /// The whole report for a terminal.
    package var text: String {
        var lines = [
            "node         \(node)",
            "load         \(modeText), \(connections.counted("connection")), "
                + "\(threads.counted("thread")), driver \(driver)",
            String(format: "measured     %.1f s after %.1f s of warm-up", duration, warmup)
                + (wasStopped ? ", stopped early" : ""),
            "throughput   \(grouped(Int(throughput.rounded()))) answers/s"
                + String(format: "  (%.1f MB/s received)", duration > 0 ? Double(bytesReceived) / duration / 1e6 : 0),
            "answers      \(grouped(succeeded)) good"
                + String(format: ", %.1f%% of them from the result cache", cachedShare * 100),
            "errors       \(errorText)",
        ]
        if let warning = users?.warning { lines.append("users        WARNING: \(warning)") }
        if shardCount > 1, !isRouted {
            lines.append("routing      none: too few connections for every thread to reach every shard")
        }
        if lostConnections > 0 {
            lines.append(
                "connections  \(lostConnections.counted("was", many: "were")) lost and could not be opened again")
        }
        if lateReplies > 0 {
            lines.append(
                "late         \(grouped(lateReplies)) answer\(lateReplies == 1 ? "" : "s") to calls that had been given up"
            )
        }
        lines.append(String(format: "load tool    %.2f cores", toolCPU) + toolWarning)
        lines += ["", latencyTable]
        return lines.joined(separator: "\n")
    }

    private var errorText: String {
        guard failed > 0 else { return "none" }
        let parts = errors.map { "\($0.name) \(grouped($0.count))" }.joined(separator: ", ")
        return String(format: "%@ (%.3f%%)", parts, failedShare * 100)
    }

    /// A tool that is out of CPU measures itself.
    private var toolWarning: String {
        if case .open = mode, unsent > 0 { return "; the load was not sent in full, see UNSENT" }
        return ""
    }

    private var latencyTable: String {
        var table = TextTable(
            ["latency", "count"] + LoadReport.percentiles.map { "p\($0.formatted(.plain))" } + ["max", "mean"])
        func row(_ name: String, _ figures: LatencyFigures) -> [String] {
            [name, grouped(figures.count)] + LoadReport.percentiles.map { figures.text(figures.valueAt($0)) }
                + [figures.text(figures.max), figures.text(figures.mean)]
        }
        table.add(row("client", client))
        table.add(row("server", server))
        if methods.count > 1 {
            for method in methods {
                table.add(row("\(method.name), client", method.client))
                table.add(row("\(method.name), server", method.server))
            }
        }
        return table.text
    }

    /// One line while the run goes on.
    package static func progressLine(_ point: TimePoint, total: Double) -> String {
        String(
            format: "%5.0f/%.0f s  %@ answers/s  p50 %@  p99 %@  max %@  errors %@  tool %.0f%%%@", point.end, total,
            grouped(Int(point.throughput.rounded())), TimeText.of(point.client.valueAt(50)),
            TimeText.of(point.client.valueAt(99)), TimeText.of(point.client.max), grouped(point.failed),
            point.toolCPU * 100, point.isWarmup ? "  (warm-up)" : "")
    }
}

extension Double {
    package enum PlainFormat { case plain }
    /// Without a fraction when it is whole.
    package func formatted(_ format: PlainFormat) -> String {
        self == rounded() && abs(self) < 1e15 ? String(Int(self)) : String(self)
    }
}
