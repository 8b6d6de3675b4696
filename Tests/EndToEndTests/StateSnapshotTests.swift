import Foundation
import MartletClient
import Retrieval
import Synchronization
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import Artifacts
@testable import MartletServer

@Suite("A node goes on where it was", .timeLimit(.minutes(30)), .ownThreads)
struct StateSnapshotTests {
    private struct World {
        let folder: TemporaryFolder
        let bundle: String
        let items: [String]

        init() throws {
            folder = try TemporaryFolder()
            bundle = try SmallWorld.makeBundle(in: folder, name: "world")
            let model = try RetrievalModel(bundle: Bundle(opening: bundle))
            items = (0..<UInt32(model.items.count)).map { model.items.name($0) }
        }

        func start(_ events: String, shards: Int = 2) async throws -> TestNode {
            try await TestNode(bundle: bundle, shards: shards) { configuration in
                configuration.events.directory = folder.file(events)
                configuration.events.snapshotInterval = .zero
                configuration.events.segmentBytes = 64 << 10
            }
        }

        /// What the disk holds at this moment, as a killed process leaves it.
        func copy(_ events: String, to other: String) throws {
            try FileManager.default.copyItem(atPath: folder.file(events), toPath: folder.file(other))
        }

        func snapshots(_ events: String) throws -> [String] {
            try folder.entries(events).filter { $0.hasSuffix(".state") }.sorted()
        }

        func record(_ node: TestNode, _ random: inout SeededGenerator, calls: Int) async throws {
            try await Self.record(node, items, &random, calls: calls)
        }

        static func record(
            _ node: TestNode, _ items: [String], _ random: inout SeededGenerator, calls: Int
        ) async throws {
            for _ in 0..<calls {
                let events = (0..<50).map { _ in
                    UserEvent(
                        user: SmallWorld.user(Int.random(in: 0..<300, using: &random)),
                        item: items.randomElement(using: &random) ?? "",
                        type: ["view", "click", "hide", "purchase"].randomElement(using: &random) ?? "view",
                        id: "\(Int.random(in: 0..<1_000_000_000, using: &random))")
                }
                let reply = try await node.client.recordEvents(RecordEventsRequest(events: events))
                #expect(reply.stored + reply.duplicates == 50)
            }
        }

        func slates(_ node: TestNode) async throws -> [[String]] {
            var slates: [[String]] = []
            for number in 0..<300 {
                slates.append(try await node.client.recommend(user: SmallWorld.user(number), k: 20).items)
            }
            return slates
        }
    }

    @Test("after a kill: from a snapshot and the log's tail, with as many shards or others")
    func afterKill() async throws {
        let world = try World()
        var random = SeededGenerator(seed: 8)
        let node = try await world.start("events")
        try await world.record(node, &random, calls: 20)
        await node.node.takeSnapshot()
        try await world.record(node, &random, calls: 5)
        let expected = try await world.slates(node)
        for (number, shards) in [2, 1, 5].enumerated() { try world.copy("events", to: "copy\(number)-\(shards)") }
        await node.stop()
        for (number, shards) in [2, 1, 5].enumerated() {
            let again = try await world.start("copy\(number)-\(shards)", shards: shards)
            #expect(again.node.restored?.events ?? 0 > 0 && again.node.restored?.events ?? 0 <= 250)
            #expect(again.node.restored?.snapshot != nil)
            #expect(try await world.slates(again) == expected, "\(shards) shards")
            await again.stop()
        }
        // After an orderly stop there is nothing to replay: after the killed node's last one that stopped, too, which took
        // no events itself.
        for name in ["events", "copy0-2"] {
            let last = try await world.start(name)
            #expect(last.node.restored?.events == 0)
            #expect(try await world.slates(last) == expected)
            await last.stop()
        }
    }

    @Test("a snapshot taken while events come loses none and counts none twice")
    func beside() async throws {
        let world = try World()
        let node = try await world.start("events")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in 0..<3 {
                group.addTask { [items = world.items] in
                    var random = SeededGenerator(seed: UInt64(seed))
                    try await World.record(node, items, &random, calls: 30)
                }
            }
            for _ in 0..<10 { await node.node.takeSnapshot() }
            try await group.waitForAll()
        }
        let expected = try await world.slates(node)
        try world.copy("events", to: "killed")
        await node.stop()
        for name in ["killed", "events"] {
            let again = try await world.start(name)
            #expect(try await world.slates(again) == expected)
            await again.stop()
        }
    }

    private final class Flag: Sendable {
        let value = Atomic<Bool>(false)
    }

    @Test("an event that counts in a snapshot is known by its ID after a kill", arguments: 0..<2)
    func repeats(seed: UInt64) async throws {
        let world = try World()
        let node = try await world.start("events", shards: 1)
        let items = world.items
        @Sendable func call(_ number: Int, _ events: Int) -> RecordEventsRequest {
            RecordEventsRequest(
                events: (0..<events).map { place in
                    UserEvent(
                        user: "someone-\((number * events + place) % 20_000)", item: items[place % items.count],
                        type: "click", id: "\(seed)-\(number)-\(place)")
                })
        }
        // So many users that a snapshot takes many turns.
        for number in 0..<20 { _ = try await node.client.recordEvents(call(number, 1000)) }
        let isTaken = Flag()
        let recorded = try await withThrowingTaskGroup(of: Array<RecordEventsRequest>.self) { group in
            for part in 1...4 {
                group.addTask {
                    var calls: [RecordEventsRequest] = []
                    while !isTaken.value.load(ordering: .relaxed), calls.count < 2000 {
                        let next = call(part * 1_000_000 + calls.count, 50)
                        _ = try await node.client.recordEvents(next)
                        calls.append(next)
                    }
                    return calls
                }
            }
            group.addTask {
                try await Task.sleep(for: .milliseconds(10))
                await node.node.takeSnapshot()
                isTaken.value.store(true, ordering: .relaxed)
                return []
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try world.copy("events", to: "killed")
        await node.stop()
        let again = try await world.start("killed", shards: 1)
        #expect(again.node.restored?.snapshot != nil && recorded.count > 1)
        var stored = 0
        for call in recorded { stored += try await again.client.recordEvents(call).stored }
        #expect(stored == 0)
        await again.stop()
    }

    @Test("a damaged snapshot is passed over: the one before, or the whole log, takes its place", arguments: 0..<6)
    func damaged(seed: UInt64) async throws {
        let world = try World()
        var random = SeededGenerator(seed: seed)
        let node = try await world.start("events")
        try await world.record(node, &random, calls: 4)
        await node.node.takeSnapshot()
        try await world.record(node, &random, calls: 4)
        await node.node.takeSnapshot()
        try await world.record(node, &random, calls: 1)
        let expected = try await world.slates(node)
        try world.copy("events", to: "killed")
        await node.stop()
        let names = try world.snapshots("killed")
        #expect(names.count == 2)
        let damaged = seed % 3 == 2 ? names : [names[1]]
        for name in damaged {
            let path = world.folder.file("killed/\(name)")
            var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            switch seed % 3 {
            case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 4
            case 1: bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random))
            default: bytes = random.mutated(bytes)
            }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        }
        let again = try await world.start("killed", shards: 1 + Int(seed % 3))
        #expect(again.node.restored?.snapshot == (damaged.count == 2 ? nil : names[0]))
        #expect(try await world.slates(again) == expected)
        await again.stop()
    }
}
