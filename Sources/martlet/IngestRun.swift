import MartletClient
import Training
import Vocabulary

/// Sends batches of events, several at a time, and gives again what could not be stored.
struct IngestRun: Sendable {
    typealias Send = @Sendable ([UserEvent]) async throws(MartletClientError) -> RecordEventsReply

    var callsInFlight = 4
    /// How long the same events are given again, from their first failure on.
    var retryFor: Duration
    var send: Send
    var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    var now: @Sendable () -> ContinuousClock.Instant = { .now }

    private static let firstPause: Duration = .milliseconds(100)
    private static let longestPause: Duration = .seconds(2)

    /// What became of one batch.
    private struct Outcome: Sendable {
        var stored = 0
        var duplicates = 0
        var unknownItems = 0
        var retries = 0
        var durability: Durability?
        var faults: [(line: Int, reason: String, message: String)] = []
        var stop: (line: Int, message: String)?
    }

    /// Sends everything that `batches` gives.
    ///
    /// At most `callsInFlight` calls are under way, and one batch is read ahead: memory does not grow with the file.
    /// - Parameter progress: Called after each call, by one task.
    /// - Throws: `DatasetError` when the file holds nothing, or nothing that can be read.
    func run(_ batches: EventBatches, _ progress: (IngestTally) -> Void) async throws -> IngestTally {
        var tally = IngestTally()
        tally.path = batches.path
        var unreadable: (any Error)?
        await withTaskGroup(of: Outcome.self) { group in
            var underWay = 0
            while !batches.isStopped {
                let batch: EventBatch
                do {
                    guard let next = try await batches.next() else { break }
                    batch = next
                } catch {
                    unreadable = error
                    break
                }
                tally.read(batch)
                if underWay == callsInFlight, let outcome = await group.next() {
                    underWay -= 1
                    Self.add(outcome, to: &tally)
                }
                progress(tally)
                guard !batch.events.isEmpty else { continue }
                group.addTask { await deliver(batch.events, batches) }
                underWay += 1
            }
            for await outcome in group {
                Self.add(outcome, to: &tally)
                progress(tally)
            }
        }
        if let unreadable {
            // What was sent before is worth telling.
            guard tally.events > 0 else { throw unreadable }
            tally.stop = tally.stop ?? (0, "\(unreadable)")
        }
        return try Self.finish(tally, batches, progress)
    }

    /// Reads everything and sends nothing.
    static func check(_ batches: EventBatches, _ progress: (IngestTally) -> Void) async throws -> IngestTally {
        var tally = IngestTally()
        tally.path = batches.path
        while let batch = try await batches.next() {
            tally.read(batch)
            progress(tally)
        }
        return try finish(tally, batches, progress)
    }

    private static func finish(
        _ tally: IngestTally, _ batches: EventBatches, _ progress: (IngestTally) -> Void
    ) throws -> IngestTally {
        var tally = tally
        tally.passedOver = batches.passedOver
        tally.isOver = true
        progress(tally)
        if tally.events == 0, tally.refused == 0, !batches.isStopped {
            throw DatasetError(.empty, "\(tally.path): there is no event in it")
        }
        return tally
    }

    private static func add(_ outcome: Outcome, to tally: inout IngestTally) {
        tally.stored += outcome.stored
        tally.duplicates += outcome.duplicates
        tally.unknownItems += outcome.unknownItems
        tally.retries += outcome.retries
        tally.durability = outcome.durability ?? tally.durability
        for (line, reason, message) in outcome.faults { tally.refuse(line: line, reason: reason, message: message) }
        if let stop = outcome.stop, stop.line < tally.stop?.line ?? .max { tally.stop = stop }
    }

    private func deliver(_ events: [(line: Int, event: UserEvent)], _ batches: EventBatches) async -> Outcome {
        var outcome = Outcome()
        var rest = events
        var deadline: ContinuousClock.Instant?
        var pause = Self.firstPause
        while true {
            var why = ""
            do throws(MartletClientError) {
                let reply = try await send(rest.map(\.event))
                rest = Self.take(reply, of: rest, &outcome, &why)
                if rest.isEmpty { return outcome }
            } catch {
                why = error.message
                guard Self.isPassing(error) else { return stopped(outcome, rest, why, batches) }
                if !error.retryIsSafe {
                    // The node may have stored them: only those with an ID can be given again without counting twice.
                    for (line, event) in rest where event.id.isEmpty {
                        outcome.faults.append(
                            (
                                line, "outcome unknown",
                                "may be stored or not, and has no ID to be given again by: \(why)"
                            ))
                    }
                    rest.removeAll { $0.event.id.isEmpty }
                    if rest.isEmpty { return outcome }
                }
                pause = max(pause, error.retryAfter ?? .zero)
            }
            let end = deadline ?? now() + retryFor
            deadline = end
            // Nor are the others waited for once one batch could not be stored in time.
            guard now() < end, !batches.isStopped else { return stopped(outcome, rest, why, batches) }
            // Half of it by chance, so that calls that failed together do not come back together.
            try? await sleep(min(pause * Double.random(in: 0.5...1), end - now()))
            pause = min(pause * 2, Self.longestPause)
            outcome.retries += 1
        }
    }

    /// Counts what a reply says of `events`.
    ///
    /// - Returns: Those to give again.
    private static func take(
        _ reply: RecordEventsReply, of events: [(line: Int, event: UserEvent)], _ outcome: inout Outcome,
        _ why: inout String
    ) -> [(line: Int, event: UserEvent)] {
        outcome.stored += reply.stored
        outcome.duplicates += reply.duplicates
        outcome.unknownItems += reply.unknownItems
        outcome.durability = reply.durability
        var again: [(line: Int, event: UserEvent)] = []
        for fault in reply.faults where events.indices.contains(fault.event) {
            if fault.status == .notStored {
                again.append(events[fault.event])
                why = fault.message
            } else {
                outcome.faults.append((events[fault.event].line, fault.status.words, fault.message))
            }
        }
        return again
    }

    private func stopped(
        _ outcome: Outcome, _ rest: [(line: Int, event: UserEvent)], _ why: String, _ batches: EventBatches
    ) -> Outcome {
        batches.stop()
        var outcome = outcome
        let line = rest.first?.line ?? 0
        outcome.stop = (
            line,
            "\(rest.count.counted("event")) from line \(line) on could not be stored, and what follows was not sent: \(why)"
        )
        return outcome
    }

    /// Whether another attempt may bring what this one did not.
    private static func isPassing(_ error: MartletClientError) -> Bool {
        switch error.code {
        case .unavailable, .resourceExhausted, .deadlineExceeded: true
        default: false
        }
    }
}
