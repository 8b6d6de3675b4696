import ArgumentParser
import CacheBench
import Foundation
import LoadGenerator
import Serving

/// `martlet-bench cache`
struct CacheCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Measures hit ratios of the result cache and of eviction policies on a trace, and what a hit costs.",
        discussion: """
            A trace is made (Zipf draws, or users who come in sessions), or read: a line for each request with the user's ID, or
            `-` and the ID for an event that voids what is kept of the user. The first half warms the cache, the second counts.
            Policies are compared with entries of one size; `martlet` is the result cache itself, in bytes.
            """)

    @Option(help: "A recorded trace.") var trace: String?
    @Flag(help: "Users come in sessions of 8 requests on average, 3000 at a time.") var sessions = false
    @Option(parsing: .unconditional, help: "Users of a made trace, 1 to 100000000.") var users = 1_000_000
    @Option(parsing: .unconditional, help: "Zipf's exponent.") var exponent = 1.0
    @Option(parsing: .unconditional, help: "Share of the steps that are events, 0 to 0.9.") var events = 0.05
    @Option(parsing: .unconditional, help: "Steps of a made trace, 1000 to 1000000000.") var steps = 20_000_000
    @Option(parsing: .unconditional, help: "Seed of a made trace.") var seed: UInt64 = 1
    @Option(help: "Sizes of the cache in MiB, separated by commas.") var mebibytes = "40,256"
    @Option(parsing: .unconditional, help: "Bytes of an answer, 1 to 65536.") var answerBytes = 300
    @Option(help: "Entries to compare policies at, separated by commas; default: what the cache held.") var entries:
        String?
    @Option(help: "Writes the trace to a file and ends.") var write: String?
    @Flag(help: "Measures only what a hit costs.") var hitCost = false

    func validate() throws {
        guard (1...100_000_000).contains(users), (1000...1_000_000_000).contains(steps),
            (1...65_536).contains(answerBytes), (0...0.9).contains(events), exponent >= 0, exponent.isFinite
        else { throw ValidationError("a value is out of its range; see --help") }
        _ = try numbers(mebibytes, 1...65_536)
        if let entries { _ = try numbers(entries, 1...100_000_000) }
    }

    private func numbers(_ text: String, _ range: ClosedRange<Int>) throws -> [Int] {
        try text.split(separator: ",").map {
            guard let number = Int($0), range.contains(number) else {
                throw ValidationError("'\($0)' is no number of \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
    }

    private func made() throws -> CacheTrace {
        if let trace { return try CacheTrace.read(trace) }
        if sessions {
            return .sessions(
                users: users, exponent: exponent, eventShare: events, count: steps, together: 3000, length: 8,
                seed: seed)
        }
        return .zipf(users: users, exponent: exponent, eventShare: events, count: steps, seed: seed)
    }

    func run() throws {
        if let note = MachineLoad.note() { Terminal.complain(note) }
        if hitCost { return measureHits() }
        let trace = try made()
        if let write {
            try trace.write(write)
            return
        }
        Terminal.say("\(trace.name): \(trace.steps.count) steps of \(trace.userCount) users")
        Terminal.say("a cache without an end: \(percent(PolicySimulation.unbounded(trace)))")
        var capacities = try entries.map { try numbers($0, 1...100_000_000) } ?? []
        if trace.userCount > 0, entries == nil || mebibytes != "40,256" {
            for size in try numbers(mebibytes, 1...65_536) {
                let result = CacheSimulation.run(trace, bytesMax: size << 20, answerBytes: answerBytes)
                let used = Double(result.usedBytes) / Double(max(1, result.bytes))
                Terminal.say(
                    "martlet, \(size) MiB: \(percent(result.hitRatio)), \(result.entries) entries,"
                        + " \(Int(result.bytesPerEntry)) bytes each with all tables, \(percent(used)) in use")
                if entries == nil { capacities.append(result.entries) }
            }
        }
        for capacity in capacities where capacity > 0 {
            let figures: [(String, Double)] = [
                ("ideal (knows the future)", PolicySimulation.ideal(trace, capacity: capacity)),
                ("best fixed set", PolicySimulation.fixedSet(trace, capacity: capacity)),
                ("martlet's policy", simulate(trace, capacity) { FrequencyFIFO(capacity: $0, entriesMax: $1) }),
                ("W-TinyLFU", simulate(trace, capacity) { WTinyLFU(capacity: $0, entriesMax: $1) }),
                ("S3-FIFO", simulate(trace, capacity) { S3FIFO(capacity: $0, entriesMax: $1) }),
                ("LRU", simulate(trace, capacity) { LRU(capacity: $0, entriesMax: $1) }),
            ]
            Terminal.say("\(capacity) entries:")
            for (name, ratio) in figures {
                Terminal.say("  \(name.padding(toLength: 26, withPad: " ", startingAt: 0))\(percent(ratio))")
            }
        }
    }

    private func simulate(
        _ trace: CacheTrace, _ capacity: Int, _ make: (Int, Int) -> some EvictionPolicy
    ) -> Double {
        PolicySimulation.hitRatio(trace, capacity: capacity, make(capacity, capacity + 1))
    }

    private func measureHits() {
        for count in [1000, 100_000, 500_000] {
            let draws = CacheTrace.zipf(users: count, exponent: exponent, eventShare: 0, count: 2_000_000, seed: seed)
            let rounds = (0..<5).map { _ in
                CacheSimulation.hitCost(entries: count, answerBytes: answerBytes, draws: draws.steps)
            }.sorted()
            Terminal.say("\(count) entries: a hit of \(answerBytes) bytes takes \(Int(rounds[2])) ns")
        }
    }

    private func percent(_ share: Double) -> String { String(format: "%.2f %%", share * 100) }
}
