import ArgumentParser
import Foundation
import LoadGenerator

/// `martlet-bench client`
struct ClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "Measures what a call through MartletClient costs, one by one and in batches.",
        discussion: """
            Against a fake node in a thread of this process that answers the smallest question; its processor time is taken \
            off. "Calls a core" is calls for each second of processor time of the client and of the tasks that call. \
            With MALLOC_CONF=tcache:false the allocations are exact, and the times too long.
            """)

    @Option(parsing: .unconditional, help: "Calls in flight, one task each, 1 to 4096.") var inFlight = 64
    @Option(parsing: .unconditional, help: "Calls of a batch, 1 to 4096.") var batch = 64
    @Option(parsing: .unconditional, help: "Batches in flight, 1 to 64.") var batches = 4
    @Option(parsing: .unconditional, help: "Seconds for each measurement, above 0 to 3600.") var duration = 3.0
    @Option(parsing: .unconditional, help: "Rounds, 1 to 99; the median counts.") var rounds = 3
    @Flag(help: "Print JSON instead of a table.") var json = false

    private var settings: ClientCostBench.Configuration {
        var settings = ClientCostBench.Configuration()
        settings.inFlight = inFlight
        settings.batch = batch
        settings.batches = batches
        settings.duration = duration
        settings.rounds = rounds
        return settings
    }

    func validate() throws {
        do throws(LoadError) { try settings.validate() } catch { throw ValidationError("\(error)") }
    }

    func run() async throws {
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        MachineLoad.tell()
        let lines: [ClientCostBench.Line]
        do throws(LoadError) { lines = try await ClientCostBench(settings).run(stop: stop) } catch {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
        if json {
            Terminal.put(try JSONEncoder().encode(lines) + Data("\n".utf8))
        } else {
            var table = TextTable([
                "client of", "calls", "calls/s", "us of CPU", "calls a core", "allocations", "failed",
            ])
            for line in lines {
                table.add([
                    line.path.rawValue, line.isBatched ? "\(batches) batches of \(batch)" : "\(inFlight) in flight",
                    grouped(Int(line.callsPerSecond)), String(format: "%.2f", line.secondsPerCall * 1e6),
                    grouped(Int(line.callsPerCoreSecond)),
                    line.allocationsPerCall.map { String(format: "%.2f", $0) } ?? "", "\(line.failures)",
                ])
            }
            Terminal.say(table.text)
        }
        if stop.wasSet { throw ExitCode(interrupts.exitCode) }
    }
}
