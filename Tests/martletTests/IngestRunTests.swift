import MartletClient
import Synchronization
import TestSupport
import Testing
import Training
import Vocabulary

@testable import martlet

/// A node that stores events in memory, and that can be told to fail.
private final class InventedNode: Sendable {
    struct State {
        var stored: [String: Int] = [:]
        var calls = 0
        var underWay = 0
        var mostUnderWay = 0
        var slept: Duration = .zero
    }

    let state = Mutex(State())
    private let answer: @Sendable (Int, [UserEvent]) throws(MartletClientError) -> RecordEventsReply?

    /// - Parameter answer: What a call is answered with, by its number; nil: everything is stored.
    init(
        _ answer: @escaping @Sendable (Int, [UserEvent]) throws(MartletClientError) -> RecordEventsReply? = { _, _ in
            nil
        }
    ) {
        self.answer = answer
    }

    func run(retryFor: Duration = .seconds(30), callsInFlight: Int = 4) -> IngestRun {
        // Sleeping is what makes time pass here.
        let start = ContinuousClock.now
        return IngestRun(
            callsInFlight: callsInFlight, retryFor: retryFor,
            send: { events async throws(MartletClientError) in try await self.take(events) },
            sleep: { time in self.state.withLock { $0.slept += time } },
            now: { start + self.state.withLock { $0.slept } })
    }

    private func take(_ events: [UserEvent]) async throws(MartletClientError) -> RecordEventsReply {
        let call = state.withLock { state in
            state.calls += 1
            state.underWay += 1
            state.mostUnderWay = max(state.mostUnderWay, state.underWay)
            return state.calls
        }
        await Task.yield()
        state.withLock { $0.underWay -= 1 }
        let told = try answer(call, events)
        var reply = told ?? RecordEventsReply()
        let faulty = Set(reply.faults.map(\.event))
        state.withLock { state in
            for (place, event) in events.enumerated() where !faulty.contains(place) {
                let key = event.id.isEmpty ? "\(event.user) \(event.item)" : event.id
                if !event.id.isEmpty, state.stored[key] != nil { reply.duplicates += 1 } else { reply.stored += 1 }
                state.stored[key, default: 0] += 1
            }
        }
        return reply
    }
}

@Suite("Sending a file of events", .ownThreads) struct IngestRunTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func batches(
        _ count: Int, times: Bool = true, ids: Bool = true, of size: Int = 100, limit: Int? = nil, extra: String = "",
        _ cancellation: Cancellation = Cancellation()
    ) throws -> EventBatches {
        var text = "user,item,type,time\n"
        for number in 0..<count {
            text += "u\(number % 50),i\(number),click,\(times ? String(1_700_000_000 + number) : "")\n"
        }
        try folder.write(Array((text + extra).utf8), to: "events.csv")
        var rules = EventBatches.Rules(eventsMax: size, limit: limit)
        rules.makesIDs = ids
        return EventBatches(try EventFileReader(folder.file("events.csv")), rules, cancellation)
    }

    @Test("everything is sent once, at most so many calls at a time, and the same file again is all duplicates")
    func twice() async throws {
        let node = InventedNode()
        let first = try await node.run(callsInFlight: 3).run(batches(1234)) { _ in }
        #expect(first.stored == 1234 && first.events == 1234 && first.madeIDs == 1234 && first.isComplete)
        #expect(node.state.withLock { $0.calls == 13 && $0.mostUnderWay <= 3 })
        let second = try await node.run().run(batches(1234, of: 1000)) { _ in }
        #expect(second.stored == 0 && second.duplicates == 1234 && second.isComplete)
        let bare = try await node.run().run(batches(10, ids: false)) { _ in }
        #expect(bare.stored == 10 && bare.madeIDs == 0 && bare.withoutIDs == 10)
        let some = try await node.run().run(batches(1234, limit: 150)) { _ in }
        #expect(some.events == 150 && some.duplicates == 150)
    }

    @Test("what a node could not store is given again, and only that")
    func again() async throws {
        let node = InventedNode { call, events in
            guard call <= 3 else { return nil }
            var reply = RecordEventsReply()
            reply.faults = events.indices.filter { $0 % 2 == 0 }.map {
                EventFault(event: $0, status: .notStored, message: "full")
            }
            return reply
        }
        let tally = try await node.run(callsInFlight: 1).run(batches(100)) { _ in }
        #expect(tally.stored == 100 && tally.duplicates == 0 && tally.retries == 3 && tally.isComplete)
    }

    @Test("a node that is away for less than the patience costs nothing")
    func away() async throws {
        for isSafe in [true, false] {
            let node = InventedNode { call, _ throws(MartletClientError) in
                if call <= 7 {
                    throw MartletClientError(.unavailable, "away", retryIsSafe: isSafe, retryAfter: .seconds(1))
                }
                return nil
            }
            let tally = try await node.run().run(batches(300)) { _ in }
            #expect(tally.stored == 300 && tally.retries == 7 && tally.isComplete)
        }
    }

    @Test("what is not stored within the patience ends the run, with the line to go on from")
    func gone() async throws {
        let node = InventedNode { call, _ throws(MartletClientError) in
            if call > 2 { throw MartletClientError(.resourceExhausted, "the disk is full", retryIsSafe: true) }
            return nil
        }
        let tally = try await node.run(retryFor: .seconds(5), callsInFlight: 1).run(batches(1000)) { _ in }
        #expect(tally.stored == 200 && !tally.isComplete && tally.events < 1000)
        #expect(tally.stop?.line == 202 && tally.stop?.message.contains("the disk is full") == true)
        let seconds = node.state.withLock { $0.slept / .seconds(1) }
        #expect(seconds >= 5 && seconds < 5.5)
        let text = tally.text(.seconds(1), isDryRun: false, makesIDs: true)
        #expect(text.contains("from line 202 on could not be stored"))
    }

    @Test("an event whose outcome nobody knows is given again only under an ID")
    func unknown() async throws {
        let node = InventedNode { call, _ throws(MartletClientError) in
            if call == 1 { throw MartletClientError(.unavailable, "closed", retryIsSafe: false) }
            return nil
        }
        let tally = try await node.run().run(batches(50, ids: false)) { _ in }
        #expect(tally.stored == 0 && tally.refused == 50 && tally.reasons == ["outcome unknown": 50])
        #expect(tally.samples.count == 10 && tally.samples.map(\.line) == Array(2...11))
    }

    @Test("an error that does not pass ends the run at once")
    func wrong() async throws {
        let node = InventedNode { _, _ throws(MartletClientError) in
            throw MartletClientError(.unimplemented, "an old node")
        }
        let tally = try await node.run().run(batches(500)) { _ in }
        #expect(tally.stop?.line == 2 && tally.retries == 0 && tally.stored == 0)
    }

    @Test("refused events are counted by reason, and the first are shown by line")
    func refused() async throws {
        let node = InventedNode { _, events in
            var reply = RecordEventsReply()
            reply.faults = events.indices.filter { $0 % 10 == 3 }.map {
                EventFault(event: $0, status: .unknownType, message: "no such type")
            }
            return reply
        }
        let tally = try await node.run(callsInFlight: 4).run(batches(300, extra: "u,,click,1700000000\n\n,i,click\n")) {
            _ in
        }
        #expect(tally.refused == 32 && tally.reasons == ["unknown type": 30, "no item": 1, "no user": 1])
        #expect(tally.stored == 270 && !tally.isComplete)
        #expect(tally.samples.map(\.line) == (0..<10).map { 5 + $0 * 10 })
        let text = tally.text(.seconds(1), isDryRun: false, makesIDs: true)
        #expect(text.contains("32 refused: 30 unknown type, 1 no item, 1 no user"))
    }

    @Test("a file without an event is an error, and a cancelled run is none")
    func empty() async throws {
        let node = InventedNode()
        await #expect(throws: DatasetError.self) { try await node.run().run(batches(0)) { _ in } }
        let cancellation = Cancellation()
        cancellation.cancel()
        let tally = try await node.run().run(batches(100, cancellation)) { _ in }
        #expect(tally.events == 0)
        let checked = try await IngestRun.check(batches(20, times: false)) { _ in }
        #expect(checked.events == 20 && checked.withoutIDs == 20 && node.state.withLock { $0.calls } == 0)
        #expect(
            checked.text(.seconds(1), isDryRun: true, makesIDs: true).contains(
                "20 events with neither an ID nor a time"))
    }
}
