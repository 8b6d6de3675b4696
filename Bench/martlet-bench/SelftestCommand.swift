import ArgumentParser
import Foundation
import LoadGenerator

/// `martlet-bench selftest`
struct SelftestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest",
        abstract: "Measures what this tool can do at most, against a fake node that answers fixed bytes.",
        discussion: """
            The fake node is a thread of this process; give both a core. The last column is what one core of the load
            tool could do: the tool must be faster than the node that it measures.
            """)

    @Option(parsing: .unconditional, help: "Connections to open, 1 to 60000.")
    var connections = 64

    @Option(parsing: .unconditional, help: "Seconds for each line of the table, above 0 to 86400.")
    var duration = 3.0

    @Option(parsing: .unconditional, help: "Bytes in the body of each answer, 0 to 1000000.")
    var replyBytes = 400

    func validate() throws {
        guard (0...1_000_000).contains(replyBytes) else {
            throw ValidationError("--reply-bytes is \(replyBytes); allowed: 0 to 1000000")
        }
        var settings = LoadConfiguration()
        settings.connections = connections
        settings.duration = duration
        do throws(LoadError) { try settings.validate() } catch { throw ValidationError("\(error)") }
    }

    func run() async throws {
        do {
            try perform()
        } catch let error as LoadError {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
    }

    private func perform() throws {
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        var table = TextTable(["in flight", "answers/s", "p50", "p99", "tool's cores", "answers/s and core"])
        for inFlight in [1, 4, 16, 64] where !stop.wasSet {
            var behaviour = FakeNodeBehaviour()
            behaviour.replyBytes = replyBytes
            let node = try FakeNode(behaviour)
            defer { node.stop() }
            var settings = LoadConfiguration()
            settings.port = node.port
            settings.connections = connections
            settings.mode = .closed(inFlight: inFlight)
            let driver = try RawDriver(settings)
            let report = try driver.run(settings.mode, warmup: 0.5, duration: duration, stop: stop) { _ in }
            table.add([
                "\(inFlight)", grouped(Int(report.throughput)), TimeText.of(report.client.valueAt(50)),
                TimeText.of(report.client.valueAt(99)), String(format: "%.2f", report.toolCPU),
                grouped(Int(report.throughput / max(report.toolCPU, 0.01))),
            ])
        }
        Terminal.say(table.text)
        if stop.wasSet { throw ExitCode(interrupts.exitCode) }
    }
}
