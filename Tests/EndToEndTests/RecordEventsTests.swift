import EventLog
import MartletClient
import MartletServer
import Serving
import TestSupport
import Testing
import Vocabulary
import Wire

@Suite("Events over the wire", .timeLimit(.minutes(30)), .ownThreads)
struct RecordEventsTests {
    /// What the log of a folder holds, by its records' order.
    static func logged(_ path: String) throws -> [UserEvent] {
        var events: [UserEvent] = []
        let report = try LogReader(FileStorage(path: path, creates: false)).read { record in
            events += try EventRecord.decode(record.payload)
        }
        #expect(report.damages.isEmpty)
        return events
    }

    @Test("events are stored once, over shards, calls and restarts, and each says what became of it")
    func stored() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("events")
        func node() async throws -> TestNode {
            try await TestNode(bundle: nil) { configuration in
                configuration.modelsRoot = folder.path
                configuration.events.directory = path
            }
        }
        let first = try await node()
        let types = ["view", "click", "rating"]
        let events = (0..<300).map { number -> UserEvent in
            var event = UserEvent(user: "user \(number % 40)", item: "item \(number % 7)", type: types[number % 3])
            if number % 3 == 2 { event.value = Float(number % 6) }
            event.timeMilliseconds = 1_700_000_000_000 + UInt64(number)
            if number % 2 == 0 { event.scenario = "home" }
            event.requestID = "r\(number)"
            if number % 4 != 0 { event.id = "e\(number)" }
            return event
        }
        let reply = try await first.client.recordEvents(RecordEventsRequest(events: events))
        #expect(reply.stored == 300 && reply.duplicates == 0 && reply.faults.isEmpty && reply.durability == .synced)
        #expect(Set(try Self.logged(path)) == Set(events))
        await first.stop()
        let second = try await node()
        _ = try await second.client.recordEvents(
            RecordEventsRequest(events: [UserEvent(user: "u", item: "i", type: "view")]))
        await second.stop()
        let all = try Self.logged(path)
        #expect(all.count == 301 && (all.last?.timeMilliseconds ?? 0) > 1_700_000_001_000)
    }

    @Test("what is wrong with an event costs that event alone")
    func faults() async throws {
        let folder = try TemporaryFolder()
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.path
            configuration.events.directory = folder.file("events")
        }
        let now = UInt64(WallClock.system()) * 1000
        let good = UserEvent(user: "u", item: "i", type: "click")
        func changed(_ change: (inout UserEvent) -> Void) -> UserEvent {
            var event = good
            change(&event)
            return event
        }
        let long = String(repeating: "x", count: 500_000)
        let events = [
            good, changed { $0.user = "" }, changed { $0.item = long }, changed { $0.type = "clik" },
            changed { $0.value = .nan }, changed { $0.timeMilliseconds = now + 3_600_000 },
            changed { $0.timeMilliseconds = 1_700_000_000 }, changed { $0.id = String(repeating: "i", count: 65) },
            changed { $0.user = "v" },
        ]
        let reply = try await node.client.recordEvents(RecordEventsRequest(events: events))
        #expect(reply.stored == 2)
        #expect(reply.faults.map(\.event) == [1, 2, 3, 4, 5, 6, 7])
        #expect(
            reply.faults.map(\.status) == [.invalid, .invalid, .unknownType, .invalid, .time, .time, .invalid])
        #expect(reply.faults[2].message.contains("'clik'") && reply.faults[2].message.contains("click"))
        #expect(reply.faults.allSatisfy { $0.message.utf8.count < 300 })
        let none = try await node.client.recordEvents(RecordEventsRequest(events: [events[1]]))
        #expect(none.stored == 0 && none.faults.count == 1)
        await #expect(throws: MartletClientError.self) {
            try await node.client.recordEvents(RecordEventsRequest(events: []))
        }
        await #expect(throws: MartletClientError.self) {
            try await node.client.recordEvents(
                RecordEventsRequest(events: Array(repeating: good, count: 1001)))
        }
        await node.stop()
        #expect(try Self.logged(folder.file("events")).count == 2)
    }

    @Test("a node without a log takes events and says that they live in memory")
    func memory() async throws {
        let folder = try TemporaryFolder()
        let node = try await TestNode(bundle: nil) { $0.modelsRoot = folder.path }
        let reply = try await node.client.recordEvents(
            RecordEventsRequest(events: [UserEvent(user: "u", item: "i", type: "click")]))
        #expect(reply.stored == 1 && reply.durability == .memory)
        await node.stop()
    }

    @Test("a log that another node holds is refused by name")
    func taken() async throws {
        let folder = try TemporaryFolder()
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.path
            configuration.events.directory = folder.file("events")
        }
        await #expect(throws: LogError.self) {
            _ = try await TestNode(bundle: nil) { configuration in
                configuration.modelsRoot = folder.path
                configuration.events.directory = folder.file("events")
            }
        }
        await node.stop()
    }
}
