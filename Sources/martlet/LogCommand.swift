import ArgumentParser
import EventLog
import Foundation
import Training
import Vocabulary

/// `martlet log`: looks into the event log of a node, beside it or without it.
struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Look into the folder of an event log: what it holds, whether it is sound, its events as a file.",
        discussion: "Nothing is written to the folder, and a node may go on using it meanwhile.",
        subcommands: [LogInfoCommand.self, LogVerifyCommand.self, LogExportCommand.self])

    /// Ends a command that found damage.
    static let damagedCode: Int32 = 2

    /// Says on standard error what is lost.
    static func tell(_ report: ArchiveReport) {
        for damage in report.log.damages { StandardError.write("damage: \(damage)\n") }
        if report.undecodableCount > 0 {
            let shown = report.undecodable.map(String.init).joined(separator: ", ")
            let more = report.undecodableCount > report.undecodable.count ? ", ..." : ""
            StandardError.write(
                "damage: \(report.undecodableCount.counted("record")) whole and yet without sense, lost: \(shown)\(more)\n"
            )
        }
        if report.removedMeanwhile > 0 {
            StandardError.write(
                "note: \(report.removedMeanwhile.counted("record")) went for their age while the log was read\n")
        }
    }
}

/// A span of time: `since` belongs to it, `until` does not.
struct TimeWindow: Sendable {
    /// Milliseconds since 1970; nil: open.
    var since: UInt64?
    var until: UInt64?

    func contains(_ milliseconds: UInt64) -> Bool {
        milliseconds >= since ?? 0 && milliseconds < until ?? .max
    }

    /// "since 2026-11-20T00:00:00Z until ..."; empty when it is open.
    var words: String {
        [since.map { "since \(EventTime.text($0))" }, until.map { "until \(EventTime.text($0))" }]
            .compactMap { $0 }.joined(separator: " ")
    }
}

/// A window of time by flags.
struct WindowArguments: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Take events from then on: a time (2026-11-20, 2026-11-20T08:00:00Z, seconds since 1970), or so long ago (90s, 30m, 12h, 7d).",
            valueName: "time"))
    var since: String?
    @Option(
        parsing: .unconditional, help: ArgumentHelp("Take events before then; written like --since.", valueName: "time")
    )
    var until: String?

    func validate() throws { _ = try window() }

    func window() throws -> TimeWindow {
        let now = UInt64(Date().timeIntervalSince1970 * 1000)
        func point(_ text: String?, _ flag: String) throws -> UInt64? {
            guard let text else { return nil }
            guard let point = EventTime.point(text, now: now) else {
                throw ValidationError(
                    "\(flag) '\(text)' is no time: write a date (2026-11-20 or 2026-11-20T08:00:00Z), seconds or milliseconds "
                        + "since 1970, or how long ago (90s, 30m, 12h, 7d)")
            }
            return point
        }
        let window = TimeWindow(since: try point(since, "--since"), until: try point(until, "--until"))
        if let since = window.since, let until = window.until, since >= until {
            throw ValidationError("--since is not before --until: no event could lie between")
        }
        return window
    }
}

/// What the events of a log are about, in memory that does not grow with it.
struct EventSurvey {
    /// Names of types that are counted; more count together.
    static let typesMax = 100

    private(set) var types: [String: Int] = [:]
    private(set) var first: UInt64?
    private(set) var last: UInt64?

    mutating func add(_ event: UserEvent) {
        let name = types[event.type] != nil || types.count < Self.typesMax ? event.type : "(others)"
        types[name, default: 0] += 1
        first = min(first ?? .max, event.timeMilliseconds)
        last = max(last ?? 0, event.timeMilliseconds)
    }
}
