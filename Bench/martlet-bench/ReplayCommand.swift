import ArgumentParser
import Foundation
import LoadGenerator
import ReplayBench

/// `martlet-bench replay`
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract:
            "Measures what live state is worth: replays later interactions to two nodes and counts the items foretold.",
        discussion: """
            Train a bundle on the first part of a data set by time and start two nodes with it, each with an event type that \
            is only seen (event_types: {mark: {weight: 0, flags: [seen, changes_slate]}}) and with events.age_max above the \
            age of the data. Before each later interaction both nodes are asked for the user's slate; then it is recorded, at \
            --live as --live-type, at --frozen as --frozen-type. Exit code 1 when a node fails.
            """)

    @Option(help: ArgumentHelp("The node whose users' tastes follow the events.", valueName: "host:port")) var live:
        String
    @Option(help: ArgumentHelp("The node that only learns what was seen.", valueName: "host:port")) var frozen: String
    @Option(help: "Later interactions, with times; any format of `martlet train`.") var input: String
    @Option(help: "Items of a slate, 1 to 1000.") var k = 20
    @Option(help: "The type of events at --live.") var liveType = "click"
    @Option(help: "The type of events at --frozen.") var frozenType = "mark"
    @Option(help: "Users replayed at the same time, 1 to 1024.") var lanes = 32
    @Option(help: "Stop after as many interactions.") var limit: Int?
    @Option(help: "Write the figures by week as JSON to this file; - is standard output.") var json: String?
    @Option(help: "Draw the hit rates by days since training into this SVG file.") var svg: String?

    func validate() throws {
        _ = try node(live, "--live")
        _ = try node(frozen, "--frozen")
        guard (1...1000).contains(k) else { throw ValidationError("-k is \(k); allowed: 1 to 1000") }
        guard (1...1024).contains(lanes) else { throw ValidationError("--lanes is \(lanes); allowed: 1 to 1024") }
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit); 1 or more is allowed") }
    }

    private func node(_ text: String, _ flag: String) throws -> (host: String, port: Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65535).contains(port), colon > text.startIndex
        else { throw ValidationError("\(flag): '\(text)' is no node; write HOST:PORT") }
        return (String(text[..<colon]), port)
    }

    func run() async throws {
        var configuration = ReplayConfiguration(
            live: try node(live, "--live"), frozen: try node(frozen, "--frozen"), input: input)
        configuration.k = k
        configuration.liveType = liveType
        configuration.frozenType = frozenType
        configuration.lanes = lanes
        configuration.limit = limit
        let report: ReplayReport
        do {
            report = try await ReplayBench(configuration).run()
        } catch {
            Terminal.complain("martlet-bench replay: \(error)")
            throw ExitCode.failure
        }
        let total = report.total
        if json != "-" {
            Terminal.say("days since training   events   live hit rate, ndcg   frozen hit rate, ndcg   live / frozen")
            for (week, live, frozen) in report.weeks() {
                Terminal.say(row("\(week * 7) to \(week * 7 + 6)", live, frozen))
            }
            Terminal.say(row("all", total.live, total.frozen))
        }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            let weeks = report.weeks().map { ["live": $0.live, "frozen": $0.frozen] }
            let text = String(
                decoding: try encoder.encode(["weeks": weeks, "all": [["live": total.live, "frozen": total.frozen]]]),
                as: UTF8.self)
            if json == "-" {
                Terminal.say(text)
            } else {
                try text.write(toFile: json, atomically: true, encoding: .utf8)
            }
        }
        if let svg { try report.svg.write(toFile: svg, atomically: true, encoding: .utf8) }
    }

    private func row(_ name: String, _ live: ReplayScore, _ frozen: ReplayScore) -> String {
        func cell(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        func score(_ score: ReplayScore) -> String { String(format: "%.4f, %.4f", score.hitRate, score.ndcg) }
        let ratio = frozen.hits == 0 ? "-" : String(format: "%.3f", live.hitRate / frozen.hitRate)
        return cell(name, 19) + cell("\(live.events)", 9) + cell(score(live), 22) + cell(score(frozen), 24)
            + cell(ratio, 16)
    }
}
