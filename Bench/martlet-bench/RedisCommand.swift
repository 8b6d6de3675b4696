import ArgumentParser
import LoadGenerator
import RedisBench

/// `martlet-bench redis`
struct RedisCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redis",
        abstract: "Measures the node's client of Redis: GET and MGET a second, beside redis-benchmark.",
        discussion: """
            Needs a Redis that may be written to; it keeps keys that begin with martlet-bench: for an hour. One event loop, so give
            the tool a core and the server another one.
            """)

    @Option(help: "Where Redis is.") var host = "127.0.0.1"
    @Option(parsing: .unconditional, help: "Its port.") var port = 6379
    @Option(parsing: .unconditional, help: "Bytes of a value, 1 to 1048576.") var valueBytes = 256
    @Option(parsing: .unconditional, help: "Connections, 1 to 16.") var connections = 1
    @Option(parsing: .unconditionalSingleValue, help: "Commands in flight on each, 1 to 4096; can be repeated.")
    var inFlight: [Int] = []
    @Option(parsing: .unconditional, help: "Keys of a command, 1 to 512; more than 1 is MGET.") var keys = 1
    @Option(parsing: .unconditional, help: "Commands of a round, 1 to 100000000.") var commands = 200_000
    @Option(parsing: .unconditional, help: "Rounds, 1 to 99; the median counts.") var rounds = 5
    @Flag(help: "Without redis-benchmark.") var alone = false

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("\(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("--port", port, 1...65_535)
        try check("--value-bytes", valueBytes, 1...1_048_576)
        try check("--connections", connections, 1...16)
        for count in inFlight { try check("--in-flight", count, 1...4096) }
        try check("--keys", keys, 1...512)
        try check("--commands", commands, 1...100_000_000)
        try check("--rounds", rounds, 1...99)
    }

    func run() async throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        for count in inFlight.isEmpty ? [1, 16, 64] : inFlight {
            var options = RedisBench.Options()
            options.host = host
            options.port = port
            options.valueBytes = valueBytes
            options.connections = connections
            options.inFlight = count
            options.keys = keys
            options.commands = commands
            options.rounds = rounds
            let figure = try await RedisBench(options).run(withRival: !alone)
            let name = keys == 1 ? "GET" : "MGET of \(keys)"
            var text = "\(name), \(connections) x \(count) in flight: \(Int(figure.commandsPerSecond)) commands/s"
            if let rival = figure.rival, let ratio = figure.ratio {
                text += ", redis-benchmark \(Int(rival)), ratio \((ratio * 100).rounded() / 100)"
            }
            Terminal.say(text)
        }
    }
}
