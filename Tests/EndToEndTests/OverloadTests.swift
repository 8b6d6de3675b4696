import Artifacts
import MartletClient
import MartletServer
import Retrieval
import Serving
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

/// What a node does that has more to do than time: it makes slates with less, then turns the less important calls away.
@Suite("A node with too much to do", .ownThreads)
struct OverloadTests {
    private func metric(_ node: TestNode, _ name: String) throws -> Int {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
        let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + " ") }
        return line.flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }.map { Int($0) } ?? 0
    }

    /// All items of a user, page by page.
    private func pages(_ node: TestNode, _ user: String, scenario: String = "") async throws -> (
        items: [String], levels: Set<Int>
    ) {
        var (items, levels): ([String], Set<Int>) = ([], [])
        var request = RecommendRequest(user: user, k: 7, scenario: scenario)
        for _ in 0..<40 {
            let page = try await node.client.recommend(request)
            items += page.items
            levels.insert(page.qualityLevel)
            request.cursor = page.nextCursor
            if page.nextCursor.isEmpty { break }
        }
        return (items, levels)
    }

    @Test("each level leaves out what it says, names itself, and its pages go on in its own order", arguments: 0...4)
    func levels(level: Int) async throws {
        let folder = try TemporaryFolder()
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) { configuration in
            configuration.brownout.level = level
            var plain = configuration.scenarios["default"] ?? MartletServer.ScenarioConfiguration()
            plain.ranker = RankerUse.none
            configuration.scenarios["plain"] = plain
        } _: { node in
            var differs = 0
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            for number in stride(from: UInt32(0), to: UInt32(model.users.count), by: 29) {
                let user = model.users.name(number)
                let first = try await node.client.recommend(user: user, k: 7)
                #expect(first.qualityLevel == level && first.degraded.isEmpty)
                #expect(first.items.count == 7)
                // From the cache it says the same.
                #expect(try await node.client.recommend(user: user, k: 7) == first)
                let (items, levels) = try await pages(node, user)
                #expect(levels == [level])
                #expect(Set(items).count == items.count, "no item stands on two pages")
                let plain = try await pages(node, user, scenario: "plain").items
                #expect(Set(items) == Set(plain), "all eligible items come in the end")
                if items != plain { differs += 1 }
                let many = try await node.client.recommendMany(RecommendManyRequest(users: [user], k: 7))
                #expect(many.qualityLevel == level && many.items == first.items)
            }
            // Without the ranker the order is retrieval's.
            if level >= 3 { #expect(differs == 0) } else { #expect(differs > 0) }
            let counted = try (1...4).map { try metric(node, #"martlet_reduced_slates_total{level="\#($0)"}"#) }
            for other in 1...4 { #expect((counted[other - 1] > 0) == (other == level)) }
        }
    }

    /// What became of calls of one priority.
    private struct Tally: Sendable {
        var answered = 0
        var turnedAway = 0
    }

    @Test(
        "of a flood of calls the important ones are answered, others are told to come again, and all of it is counted")
    func flood() async throws {
        try await withNode(shards: 1) {
            $0.limits.queueWait = .milliseconds(1)
            $0.limits.callsInFlightMax = 65_536
        } _: { node, _ in
            let tallies = try await withThrowingTaskGroup(of: (CallPriority, Bool).self) { group in
                for number in 0..<3_000 {
                    let priority: CallPriority = [.critical, .normal, .sheddable, .background][number % 4]
                    group.addTask {
                        var options = CallOptions(bypassesCache: true)
                        options.priority = priority
                        do {
                            let reply = try await node.client.recommend(
                                RecommendRequest(user: SmallWorld.user(number % SmallWorld.userCount), k: 5),
                                options: options)
                            #expect(reply.items.count == 5)
                            return (priority, true)
                        } catch let error as MartletClientError {
                            #expect(error.code == .resourceExhausted && error.retryIsSafe, "\(error)")
                            #expect(error.retryAfter.map { $0 > .zero } == true)
                            return (priority, false)
                        }
                    }
                }
                var tallies: [CallPriority: Tally] = [:]
                for try await (priority, isAnswered) in group {
                    if isAnswered {
                        tallies[priority, default: Tally()].answered += 1
                    } else {
                        tallies[priority, default: Tally()].turnedAway += 1
                    }
                }
                return tallies
            }
            #expect(tallies[.critical]?.answered == 750)
            #expect((tallies[.background]?.turnedAway ?? 0) > 0, "\(tallies)")
            var all = 0
            for (priority, tally) in tallies {
                #expect(tally.answered + tally.turnedAway == 750)
                #expect(try metric(node, #"martlet_shed_total{priority="\#(priority)"}"#) == tally.turnedAway)
                all += tally.turnedAway
            }
            #expect(try metric(node, #"martlet_rejected_total{reason="overloaded"}"#) == all)
            // Afterwards nothing is left of it.
            let reply = try await node.client.recommend(user: SmallWorld.user(1), k: 5)
            #expect(reply.items.count == 5 && reply.qualityLevel == 0)
        }
    }

    @Test("a node that is too slow for its objective makes slates with less, and with all when it is not")
    func brownout() async throws {
        let folder = try TemporaryFolder()
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) {
            $0.shards = 1
            // What nothing can hold.
            $0.brownout.latency = .microseconds(1)
        } _: { node in
            let client = node.client
            func ask(_ number: Int) async throws -> Int {
                try await client.recommend(
                    RecommendRequest(user: SmallWorld.user(number % SmallWorld.userCount), k: 5),
                    options: CallOptions(bypassesCache: true)
                ).qualityLevel
            }
            var level = try await ask(0)
            #expect(level == 0)
            for number in 0..<1_000_000 where level < 4 { level = try await ask(number) }
            #expect(level == 4)
            // Nobody asks for a while.
            for _ in 0..<600 where level > 0 {
                try await Task.sleep(for: .milliseconds(200))
                level = try await ask(1)
                if level > 0 { try await Task.sleep(for: .seconds(2)) }
            }
            #expect(level == 0)
        }
    }
}
