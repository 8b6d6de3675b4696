import ArgumentParser
import Foundation
import MartletClient
import Training
import Vocabulary

/// `martlet ingest`: gives a node the events of a file, or those that come in.
struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Send events (clicks, purchases, ratings, ...) from a file or standard input to a running node.",
        discussion: """
            The file is JSON lines, or CSV or TSV with a header; gzip is unpacked. Keys and columns: user, item, type, \
            value, time, scenario, request_id, id, or names that mean the same (userId, movieId, rating, timestamp, ...). \
            Times are seconds or milliseconds since 1970 (told apart by their size), or RFC 3339 dates.
            Events without an ID get one from their content where they have a time, so that the same file can be sent \
            again: what is stored already is a duplicate and counts once. Two lines that agree in every field then count \
            once, too; --no-ids sends events as they are.
            Exit code 0: every event is stored, now or before; 1: not.
            """)

    @Argument(help: "The file; - for standard input.", completion: .file())
    var file: String
    @Option(help: "Format of the file: \(EventFileFormat.names) (default: told from its first line).")
    var format: EventFileFormat?
    @Option(help: ArgumentHelp("The type of events that name none, such as click or rating.", valueName: "type"))
    var type: String?
    @Option(parsing: .unconditional, help: "Send only so many events, the first ones.")
    var limit: Int?
    @Flag(help: "Check the file and send nothing; no node is needed.")
    var dryRun = false
    @Flag(help: "Send events without an ID as they are: sent again, they count again.")
    var noIds = false
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long to give the same events again while the node cannot store them (default: 30s).",
            valueName: "duration"))
    var retryFor = "30s"
    @Option(parsing: .unconditional, help: "Events of one call, 1 to \(RequestLimits.eventsMax).")
    var batch = RequestLimits.eventsMax
    @Option(parsing: .unconditional, help: "Calls in flight, 1 to 64.")
    var inFlight = 4
    @OptionGroup(title: "Node") var node: NodeArguments

    func validate() throws {
        try ArgumentCheck.path(file, "the file")
        if let type { try ArgumentCheck.id(type, "--type") }
        if let limit, limit < 1 { throw ValidationError("--limit is \(limit); allowed: 1 or more") }
        try ArgumentCheck.range(batch, "--batch", 1...RequestLimits.eventsMax)
        try ArgumentCheck.range(inFlight, "--in-flight", 1...64)
        _ = try NodeArguments.duration(retryFor, "time to retry for")
    }

    func run() async throws {
        let unfinished =
            "what the summary counts is stored"
            + (noIds ? "" : "; run the same again, and no event with an ID counts twice")
        try await LongCommand.wait(unfinished: unfinished) { cancellation in
            let reader = try EventFileReader(file, format: format, defaultType: type)
            let rules = EventBatches.Rules(eventsMax: batch, limit: limit, makesIDs: !noIds)
            let batches = EventBatches(reader, rules, cancellation)
            let began = ContinuousClock.now
            let tally: IngestTally
            if dryRun {
                tally = try await IngestRun.check(batches, progress(began))
            } else {
                tally = try await send(batches, progress(began))
            }
            report(tally, ContinuousClock.now - began)
            if cancellation.isCancelled { throw CancellationError() }
            if !tally.isComplete { throw ExitCode(1) }
        }
    }

    private func send(
        _ batches: EventBatches, _ progress: @escaping (IngestTally) -> Void
    ) async throws -> IngestTally {
        var tally = IngestTally()
        try await node.ask("ingest", timeout: .seconds(30)) { client in
            // Before the file: a node that is not there is found out now, and not retried for.
            _ = try await client.health()
            let run = IngestRun(
                callsInFlight: inFlight, retryFor: try NodeArguments.duration(retryFor, "time to retry for"),
                send: { events async throws(MartletClientError) in
                    try await client.recordEvents(RecordEventsRequest(events: events))
                })
            tally = try await run.run(batches, progress)
        }
        return tally
    }

    /// Shows how far it is; called by one task.
    private func progress(_ began: ContinuousClock.Instant) -> (IngestTally) -> Void {
        let line = ProgressLine(dryRun ? "check" : "ingest")
        return { tally in
            if tally.isOver { return line.clear() }
            let seconds = max((ContinuousClock.now - began) / .seconds(1), 0.001)
            line.update(
                tally.fraction,
                "\(tally.events.counted("event")), \(Int(Double(tally.events) / seconds)) events/s"
                    + (tally.refused > 0 ? ", \(tally.refused) refused" : ""))
        }
    }

    private func report(_ tally: IngestTally, _ took: Duration) {
        for sample in tally.samples { StandardError.write("\(tally.path), line \(sample.line): \(sample.message)\n") }
        if node.json {
            if let text = try? AnswerOutput.json(IngestSummary(tally, took, isDryRun: dryRun)) { print(text) }
        } else {
            print(tally.text(took, isDryRun: dryRun, makesIDs: !noIds))
        }
    }
}

extension EventFileFormat: ExpressibleByArgument {}
