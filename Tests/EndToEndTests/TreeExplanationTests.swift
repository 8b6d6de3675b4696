import Artifacts
import CandidateRanking
import Foundation
import MartletClient
import RankingModels
import Retrieval
import TestSupport
import Testing

@testable import MartletServer

/// What a node tells of a ranker of trees, and of what it made of items.
@Suite("A node explains trees", .ownThreads)
struct TreeExplanationTests {
    @Test("says what each feature did: with the bias that is the score")
    func explained() async throws {
        let folder = try TemporaryFolder()
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            let items = (0..<UInt32(100)).map(model.items.name)
            for user in [model.users.name(4), "a stranger"] {
                var request = RankRequest(user: user, items: items)
                request.explain = true
                let reply = try await node.client.rank(request)
                #expect(reply.features == ["popularity", "product", FeatureContributions.biasName])
                #expect(reply.places.count == 100 && Set(reply.scores).count > 1)
                for (place, score) in reply.scores.enumerated() {
                    let parts = reply.contributions[place * 3..<place * 3 + 3]
                    #expect(abs(parts.reduce(0, +) - score) < 1e-6)
                    #expect(abs((parts.last ?? 0) - (-0.4 - 0.15 + 0.05 + 0.15)) < 1e-6)
                    // Whom nobody knows has no product: it is missing.
                    #expect(reply.values[place * 3 + 1].isNaN == (user == "a stranger"))
                }
                #expect(
                    Set(reply.contributions.indices.filter { $0 % 3 == 0 }.map { reply.contributions[$0] }).count > 1)
            }
        }
    }

    @Test("an explained slate tells what the trees made of the items that they ranked")
    func slate() async throws {
        let folder = try TemporaryFolder()
        let change: (inout ServerConfiguration) -> Void = {
            $0.scenarios["default"]?.rankCandidates = 6
            $0.scenarios["plain"] = $0.scenarios["default"]
            $0.scenarios["plain"]?.ranker = .none
        }
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder, change: change) { node in
            let model = try RetrievalModel(bundle: Bundle(opening: folder.file("trees")))
            for number in [4, 11, 30] as [UInt32] {
                var request = RecommendRequest(user: model.users.name(number), k: 9)
                let plain = try await node.client.recommend(request)
                #expect(plain.ranking == RankerFeatures())
                request.explain = true
                let reply = try await node.client.recommend(request)
                let ranking = reply.ranking
                #expect(reply.items == plain.items && reply.scores == plain.scores)
                #expect(ranking.features == ["popularity", "product", FeatureContributions.biasName])
                // The others come after those that are ranked.
                #expect(reply.items.count == 9 && ranking.items == Array(0..<6))
                try #require(ranking.values.count == 18 && ranking.contributions.count == 18)
                for place in 0..<6 {
                    let score = ranking.contributions[place * 3..<place * 3 + 3].reduce(0, +)
                    #expect(abs(score - reply.scores[place]) < 1e-6)
                    #expect(ranking.values[place * 3] > 0 && ranking.values[place * 3 + 2] == 0)
                }
                request.scenario = "plain"
                #expect(try await node.client.recommend(request).ranking.features.isEmpty)
            }
            var request = RecommendRequest(user: "a stranger", k: 9)
            request.explain = true
            #expect(try await node.client.recommend(request).ranking.features.isEmpty)
        }
    }

    @Test("the status tells of trees what they are")
    func status() async throws {
        let folder = try TemporaryFolder()
        try await SmallTrees.withNode(try SmallTrees.ranker(), in: folder) { node in
            let socket = try BlockingSocket(port: node.httpPort)
            try socket.send(Array("GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
            let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
            for word in [
                "\"kind\" : \"trees\"", "\"objective\" : \"lambdarank\"", "\"trees\" : 1", "\"leaves\" : 4",
                "\"cross\" : 1", "\"item\" : 1",
            ] { #expect(text.contains(word), "\(word)") }
            #expect(!text.contains("\"precision\"") && !text.contains("\"item_parts\""))
        }
    }

    @Test("trees are served as they are: nothing is measured but that scores are finite")
    func calibration() throws {
        let folder = try TemporaryFolder()
        let model = try RetrievalModel(bundle: Bundle(opening: SmallWorld.makeBundle(in: folder, name: "world")))
        var calibration = RankerCalibration(precision: .int8)
        calibration.forcesItemParts = true
        let (ranker, findings) = try calibration.ranker(.trees(SmallTrees.ranker()), model, path: "ranker")
        #expect(findings.isEmpty && ranker.split == nil && ranker.itemParts.kind == .none)
        #expect(ranker.itemParts.reason.contains("trees") && ranker.model.word == "trees")
        #expect(ranker.byteCount == ranker.plan.byteCount + ranker.model.byteCount)
    }
}
