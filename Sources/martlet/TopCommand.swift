import ArgumentParser
import Foundation
import MartletClient
import NIOCore

/// `martlet top`: a cluster, live.
struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show the nodes of a cluster, live.",
        discussion: """
            Reads /metrics of each node's HTTP port (`http`, 7480 unless set) once a second. Rates, quantiles and ratios are of \
            the time since the last reading; in the first table, and with --once, of the time since the node's start. A node that \
            does not answer keeps its line. Ends with Ctrl-C.
            """)

    @Option(help: ArgumentHelp("The HTTP ports of the nodes: HOST[:PORT],HOST[:PORT] ...", valueName: "nodes"))
    var nodes = "127.0.0.1:7480"
    @Flag(help: "Print one table and end; exit code 1 where no node answers.")
    var once = false
    @Option(parsing: .unconditional, help: ArgumentHelp("Between two readings, such as 2s.", valueName: "duration"))
    var every = "1s"
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long a node may take to answer, such as 500ms.", valueName: "duration"))
    var timeout = "2s"

    func validate() throws {
        _ = try addresses()
        _ = try NodeArguments.duration(every, "time between readings")
        _ = try NodeArguments.duration(timeout, "timeout")
    }

    private func addresses() throws -> [ClusterNode] {
        let text = nodes.split(separator: ",", omittingEmptySubsequences: false).map { part in
            // Else the port would be that of calls.
            part.contains(":") && !part.hasSuffix("]") ? String(part) : "\(part):7480"
        }.joined(separator: ",")
        do { return try ClusterNode.list(parsing: text) } catch {
            throw ValidationError("--nodes: \(error.message)")
        }
    }

    func run() async throws {
        let nodes = try addresses()
        let pause = try NodeArguments.duration(every, "time between readings")
        let patience = TimeAmount(try NodeArguments.duration(timeout, "timeout"))
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var earlier: [String: NodeReading] = [:]
        while true {
            let readings = await Self.read(nodes, patience)
            let table = Self.table(nodes, readings, earlier)
            if isTerminal, !once { print("\u{1B}[H\u{1B}[2J", terminator: "") }
            print(table.text, terminator: isTerminal || once ? "" : "\n")
            fflush(nil)
            if once {
                if !readings.values.contains(where: { if case .success = $0 { true } else { false } }) {
                    throw ExitCode.failure
                }
                return
            }
            for (name, reading) in readings { if case .success(let reading) = reading { earlier[name] = reading } }
            try await Task.sleep(for: pause)
        }
    }

    /// All nodes at once.
    static func read(
        _ nodes: [ClusterNode], _ patience: TimeAmount
    ) async -> [String: Result<NodeReading, ScrapePage.Failure>] {
        await withTaskGroup(of: (String, Result<NodeReading, ScrapePage.Failure>).self) { group in
            for node in nodes {
                group.addTask {
                    do {
                        let text = try await ScrapePage.get(
                            "/metrics", host: node.host, port: node.port, timeout: patience)
                        let now = Double(NIODeadline.now().uptimeNanoseconds) / 1e9
                        return (node.name, .success(NodeReading(text, at: now)))
                    } catch {
                        return (node.name, .failure(error as? ScrapePage.Failure ?? .init(description: "\(error)")))
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    static func table(
        _ nodes: [ClusterNode], _ readings: [String: Result<NodeReading, ScrapePage.Failure>],
        _ earlier: [String: NodeReading]
    ) -> AnswerTable {
        var table = AnswerTable([
            ("node", .left), ("state", .left), ("calls/s", .right), ("p50", .right), ("p99", .right), ("cache", .right),
            ("queued", .right), ("clients", .right), ("degraded", .right), ("errors", .right), ("memory", .right),
            ("generation", .right), ("model", .left),
        ])
        for node in nodes {
            switch readings[node.name] {
            case .success(let reading):
                let change = reading.change(since: earlier[node.name])
                table.add([
                    node.name, reading.isReady ? "ready" : "not ready",
                    change.callsPerSecond.map { number($0) } ?? "-", time(change.p50), time(change.p99),
                    change.cacheHitRatio.map { "\(Int(($0 * 100).rounded())) %" } ?? "-", number(reading.inQueue),
                    number(reading.connections), number(change.degraded), number(change.errors),
                    "\(Int((reading.residentBytes / 1_048_576).rounded())) MiB", number(reading.generation),
                    reading.model,
                ])
            case .failure(let failure):
                table.add([node.name, "away"] + Array(repeating: "-", count: 10) + [failure.description])
            case nil: table.add([node.name, "away"] + Array(repeating: "-", count: 11))
            }
        }
        return table
    }

    private static func number(_ value: Double) -> String { "\(Int(value.rounded()))" }

    private static func time(_ seconds: Double?) -> String {
        guard let seconds else { return "-" }
        if seconds.isInfinite { return "> 10 s" }
        if seconds < 0.001 { return "\(Int((seconds * 1e6).rounded())) us" }
        return seconds < 1 ? String(format: "%.1f ms", seconds * 1e3) : String(format: "%.1f s", seconds)
    }
}
