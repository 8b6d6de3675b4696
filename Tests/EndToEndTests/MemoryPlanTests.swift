import Artifacts
import Foundation
import Retrieval
import Synchronization
import Telemetry
import TestSupport
import Testing
import Training

@testable import MartletServer

@Suite("Memory planned and counted", .ownThreads, .timeLimit(.minutes(30)))
struct MemoryPlanTests {
    private func status(_ node: TestNode) throws -> [String: Any] {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
        let body = text.components(separatedBy: "\r\n\r\n").dropFirst().joined(separator: "\r\n\r\n")
        return try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
    }

    /// Parts that are of the model alone, and known before it is loaded.
    private static let ofModels = [
        "user_factors", "item_factors", "index", "item_neighbors", "user_directory", "item_catalogue", "row_numbers",
        "ranker",
    ]

    private func compare(_ bundle: String, change: @escaping (inout ServerConfiguration) -> Void = { _ in })
        async throws
    {
        // Whether a graph is kept is measured at load.
        let change: (inout ServerConfiguration) -> Void = {
            $0.index = .scan
            change(&$0)
        }
        let node = try await TestNode(bundle: bundle, change: change)
        do {
            var configuration = ServerConfiguration()
            configuration.shards = 2
            change(&configuration)
            let plan = MemoryPlan(try MemoryShape(bundle: bundle, configuration), configuration)
            let memory = try #require(try status(node)["memory"] as? [String: Any])
            let parts = try #require(memory["parts"] as? [[String: Any]])
            var counted: [String: Double] = [:]
            for part in parts {
                counted[try #require(part["part"] as? String)] = try #require(part["bytes"] as? NSNumber).doubleValue
            }
            for (part, bytes) in plan.atStart where Self.ofModels.contains(part.label) {
                let taken = counted[part.label] ?? 0
                let slack = max(0.05 * taken, 4096)
                #expect(abs(Double(bytes) - taken) <= slack, "\(part.label): planned \(bytes), taken \(taken)")
            }
            #expect(counted.values.reduce(0, +) == (memory["accounted_bytes"] as? NSNumber)?.doubleValue)
            #expect((memory["resident_bytes"] as? NSNumber)?.doubleValue ?? 0 > 0)
            #expect(memory["budget"] == nil)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    @Test(
        "each part of a model takes what is planned from the headers of its files",
        arguments: [(3_000, 700, 32), (1_000, 5_000, 64), (500, 200, 100)])
    func synthetic(users: Int, items: Int, rank: Int) async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("made")
        try SyntheticBundle(users: users, items: items, rank: rank).write(into: BundleWriter(destination: path))
        try await compare(path)
        try await compare(path) { $0.itemRows = .f16 }
    }

    @Test("the same of a model with attributes, neighbours and two kinds of factors")
    func trained() async throws {
        let folder = try TemporaryFolder()
        try await compare(SmallWorld.makeBundle(in: folder, name: "world"))
    }

    @Test("more of anything never takes less", arguments: Seeds.chosen(100))
    func grows(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var shape = MemoryShape()
        shape.users = .random(in: 1...1_000_000, using: &random)
        shape.items = .random(in: 1...200_000, using: &random)
        shape.rank = .random(in: 1...200, using: &random)
        shape.historyEntries = .random(in: 0...10_000_000, using: &random)
        var load = MemoryPlan.Load()
        load.activeUsers = .random(in: 0...shape.users, using: &random)
        load.eventsPerUser = Double.random(in: 0...200, using: &random)
        load.answers = .random(in: 0...100_000, using: &random)
        let configuration = ServerConfiguration()
        let plan = MemoryPlan(shape, configuration, load: load)
        #expect(plan.steadyBytes >= plan.startBytes)
        #expect(plan.peakBytes >= plan.steadyAfterLoadBytes)
        var more = shape
        more.users *= 2
        more.items *= 2
        more.historyEntries += 1000
        var moreLoad = load
        moreLoad.activeUsers *= 2
        moreLoad.answers = (load.answers ?? 0) * 2
        let larger = MemoryPlan(more, configuration, load: moreLoad)
        for (one, other) in zip(plan.steady, larger.steady) { #expect(other.bytes >= one.bytes, "\(one.part)") }
        #expect(plan.steady.reduce(0) { $0 + $1.bytes } == plan.steadyBytes)
    }
}
