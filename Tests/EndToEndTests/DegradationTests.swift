import Artifacts
import CandidateRanking
import FactorModels
import Features
import Foundation
import MartletClient
import NIOCore
import Serving
import Synchronization
import Telemetry
import TestSupport
import Testing
import VectorMath
import Vocabulary
import Wire

@testable import MartletServer
@testable import Retrieval

/// Every row of the degradation table: the failure is brought about, and what is served, said and counted is looked at.
@Suite("Degradation", .ownThreads, .timeLimit(.minutes(30)))
struct DegradationTests {
    typealias Told = DegradationRow.Told
    typealias Stage = DegradationStage

    /// What was seen of a row.
    private struct Evidence {
        /// How answers said so.
        var told: [Told]
        var scrape: String
    }

    /// Rows that need a Redis are in `SharedCacheChangesTests` and `SharedStateDegradationTests`.
    static let alone = DegradationRow.allCases.filter {
        $0.entry.stage != .sharedCache && $0.entry.stage != .sharedState
    }

    @Test("each row serves, says and counts what the table has of it", arguments: alone)
    func row(_ row: DegradationRow) async throws {
        let evidence = try await evidence(of: row)
        let entry = row.entry
        #expect(evidence.told.contains(entry.told), "\(evidence.told)")
        let count = DegradationTests.value(of: entry.counter, in: evidence.scrape)
        #expect(count > 0, "\(entry.counter)")
    }

    @Test("the page has the table, and every counter is a metric of the catalogue")
    func page() throws {
        #expect(try Repository.text(of: "docs/degradation.md").contains(DegradationRow.markdown))
        for row in DegradationRow.allCases {
            let name = row.entry.counter.prefix { $0 != "{" }
            #expect(MetricCatalogue.all.contains { $0.name == name }, "\(row)")
        }
    }

    @Test("degradations have one name and one number on the wire, in answers and in metrics")
    func names() throws {
        for degradation in Degradation.allCases {
            #expect(Wire.Degradations(rawValue: 1 << UInt32(degradation.rawValue)).names == [degradation.name])
            #expect(DegradedReason(degradation)?.label == degradation.name)
            // Each is a row of the table.
            #expect(DegradationRow.allCases.contains { $0.entry.told == .degraded(degradation) })
        }
        #expect(DegradedReason.allCases.count == Degradation.allCases.count)
        let schema = try Repository.text(of: "Protos/martlet/v1/martlet.proto")
        for degradation in Degradation.allCases {
            #expect(schema.contains("DEGRADATION_\(degradation.name.uppercased()) = \(degradation.rawValue);"))
        }
    }

    // MARK: Rows

    private func evidence(of row: DegradationRow) async throws -> Evidence {
        switch row {
        case .callsInFlight: try await crowded { $0.limits.callsInFlightMax = 1 }
        case .noModel: try await noModel()
        case .lineFullStale: try await lineFullStale()
        case .lineFull: try await crowded { $0.limits.queuedRequestsMax = 1 }
        case .lateStale: try await late(isKept: true)
        case .latePopular: try await late(isKept: false)
        case .tooLate:
            try await onStage { shard, stage, told in
                told(stage.ask(shard, Self.request(), within: 0).told)
            }
        case .lateUsers: try await lateUsers()
        case .oldAnswer: try await oldAnswer(isMadeAnew: true)
        case .refillDropped: try await oldAnswer(isMadeAnew: false)
        case .unknownUser:
            try await onStage { shard, stage, told in
                let outcome = stage.ask(shard, RecommendationRequest(user: "nobody", k: 10))
                #expect(outcome.slate?.items.count == 10)
                told(outcome.told)
            }
        case .noHistory:
            try await onStage { shard, stage, told in
                let outcome = stage.ask(
                    shard, RecommendationRequest(user: stage.generation.model.users.name(0), k: 10))
                #expect(outcome.slate?.items.count == 10)
                told(outcome.told)
            }
        case .usersForgotten: try await usersForgotten()
        case .foldInFailed: try await foldInFailed()
        case .sourceMissing:
            try await onStage(mix: [.spectral, .als]) { shard, stage, told in
                let outcome = stage.ask(shard, Self.request())
                #expect(outcome.slate?.candidates.map(\.source) == [.als] && outcome.slate?.items.count == 10)
                told(outcome.told)
            }
        case .trendingOld:
            try await onStage(mix: [.trending, .als]) { shard, stage, told in
                let outcome = stage.ask(shard, Self.request())
                #expect(outcome.slate?.candidates.map(\.source) == [.als] && outcome.slate?.items.count == 10)
                told(outcome.told)
            }
        case .sourceFailed: try await sourceFailed()
        case .sourcesLate: try await sourcesLate()
        case .nothingFound:
            try await onStage(mix: [.trending]) { shard, stage, told in
                let outcome = stage.ask(shard, Self.request())
                #expect(outcome.slate?.items.count == 10 && outcome.slate?.isCacheable == true)
                Self.expectPopular(outcome.slate, stage)
                told(outcome.told)
            }
        case .fewEligible:
            try await onStage { shard, stage, told in
                var request = Self.request()
                request.k = 1000
                let outcome = stage.ask(shard, request)
                #expect((300..<400).contains(outcome.slate?.items.count ?? 0))
                told(outcome.told)
            }
        case .featuresMissing: try await ranked([UntrainedRanker.score, UntrainedRanker.heat])
        case .liveFeaturesMissing: try await ranked([UntrainedRanker.score, UntrainedRanker.clicks])
        case .rankerMissing:
            try await onStage(change: { $0.scenarios[""]?.ranker = .required }) { shard, stage, told in
                told(stage.ask(shard, Self.request()).told)
            }
        case .rankerLate: try await rankerLate()
        case .rankerBroken: try await rankerBroken()
        case .capsTooTight:
            try await onStage(change: {
                $0.scenarios[""]?.reranking = RerankingConfiguration()
                $0.scenarios[""]?.reranking?.caps = [.init(attribute: "brand", most: 1)]
            }) { shard, stage, told in
                var request = Self.request()
                request.k = 60
                let outcome = stage.ask(shard, request)
                #expect(outcome.slate?.items.count == 60)
                told(outcome.told)
            }
        case .cursorGone:
            try await onStage { shard, stage, told in
                var request = Self.request()
                request.cursor = stage.ask(shard, request).slate?.nextCursor ?? []
                #expect(!request.cursor.isEmpty)
                for _ in 0..<3 { stage.swap(shard) }
                let outcome = stage.ask(shard, request)
                #expect(outcome.slate?.items.count == 10 && outcome.slate?.generation.number == 4)
                told(outcome.told)
            }
        case .explanationLate: try await explanationLate()
        case .slateLogFull: try await slateLog(isBroken: false)
        case .slateLogBroken: try await slateLog(isBroken: true)
        case .answerTooLarge: try await answerTooLarge()
        case .waitsTooLong: try await waitsTooLong()
        case .madeWithLess: try await madeWithLess()
        case .usersUnheard, .itemsUnheard, .sharedCacheAway, .sharedCachePoisoned, .sharedCacheFull, .invalidationLost:
            throw Unexpected(row: row)
        }
    }

    private struct Unexpected: Error { let row: DegradationRow }

    // MARK: On a shard with a clock of the test's

    private static let world = FilterWorld(userCount: 40, itemCount: 400, seed: 17)

    /// Of a user who has a history.
    private static func request() -> RecommendationRequest { RecommendationRequest(user: world.users[5], k: 10) }

    private static func model(_ folder: TemporaryFolder) throws -> RetrievalModel {
        try world.publish(at: folder.file("model"))
        return try RetrievalModel(
            bundle: Bundle(opening: folder.file("model")), options: RetrievalModel.Options(index: .scan))
    }

    private func onStage(
        _ model: RetrievalModel? = nil, ranker: CandidateRanker? = nil, mix: [RetrievalSource]? = nil,
        change: @escaping @Sendable (inout ServingConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (isolated Shard, Stage, ([Told]) -> Void) throws -> Void
    ) async throws -> Evidence {
        let told = Mutex<[Told]>([])
        let folder = try TemporaryFolder()
        let scrape = try await DegradationStage.play(
            model ?? Self.model(folder), ranker: ranker,
            change: { configuration in
                if let mix {
                    configuration.scenarios[""]?.mix = RetrievalMix(
                        sources: mix.map { .init(source: $0, limit: 50, weight: 1) })
                }
                change(&configuration)
            }
        ) { shard, stage in
            try body(shard, stage) { more in told.withLock { $0 += more } }
        }
        return Evidence(told: told.withLock { $0 }, scrape: scrape)
    }

    /// What is popular among what the user has not seen: rows stand by popularity.
    private static func expectPopular(_ slate: Slate?, _ stage: Stage) {
        let had = Set(world.histories[5])
        let expected = (0..<UInt32(world.itemCount)).filter { !had.contains($0) }.prefix(10)
        #expect(slate?.items.map(\.row) == Array(expected))
    }

    private func late(isKept: Bool) async throws -> Evidence {
        try await onStage(change: { $0.cache.timeToLive = .seconds(1) }) { shard, stage, told in
            stage.tick = 50_000
            // The shard learns what a step takes.
            for _ in 0..<30 {
                let outcome = stage.ask(shard, Self.request(), within: 1_000_000_000)
                #expect(outcome.told == [.whole])
            }
            let whole = stage.ask(shard, Self.request())
            if isKept, let slate = whole.slate { stage.keep(shard, slate, for: "key") }
            stage.wait(2_000_000_000)
            let outcome = stage.ask(shard, Self.request(), key: "key", within: 60_000)
            if isKept {
                #expect(outcome.kept?.bytes == [1, 2, 3] && outcome.kept?.isLastResort == true)
                // Not past its bound, and not over an epoch or a generation.
                stage.wait(700_000_000_000)
                #expect(stage.ask(shard, Self.request(), key: "key", within: 60_000).kept == nil)
                if let slate = whole.slate { stage.keep(shard, slate, for: "key") }
                stage.wait(2_000_000_000)
                stage.swap(shard)
                #expect(stage.ask(shard, Self.request(), key: "key", within: 60_000).kept == nil)
            } else {
                Self.expectPopular(outcome.slate, stage)
                #expect(outcome.slate?.isCacheable == false && outcome.told == [.degraded(.popularOnly)])
            }
            told(outcome.told)
        }
    }

    /// Asks with less and less time, until some answer tells of the row.
    private static func shrink(
        _ shard: isolated Shard, _ stage: Stage, _ request: RecommendationRequest, until wanted: Told,
        _ told: ([Told]) -> Void
    ) -> Slate? {
        for time in (1...400).reversed() {
            let outcome = stage.ask(shard, request, within: UInt64(time) * stage.tick)
            if outcome.told.contains(wanted) {
                told(outcome.told)
                return outcome.slate
            }
        }
        return nil
    }

    private func sourcesLate() async throws -> Evidence {
        try await onStage(mix: [.popular, .als, .recent]) { shard, stage, told in
            let slate = Self.shrink(shard, stage, Self.request(), until: .degraded(.deadlineTruncated), told)
            #expect(slate?.items.count == 10 && slate?.isCacheable == false)
            #expect(slate?.candidates.isEmpty == false)
        }
    }

    private func rankerLate() async throws -> Evidence {
        let folder = try TemporaryFolder()
        let model = try Self.model(folder)
        let ranker = try UntrainedRanker.make(model, fields: [UntrainedRanker.score, UntrainedRanker.item])
        return try await onStage(model, ranker: ranker) { shard, stage, told in
            let whole = stage.ask(shard, Self.request())
            #expect(whole.told == [.whole])
            let slate = Self.shrink(shard, stage, Self.request(), until: .degraded(.rankerSkipped), told)
            // Retrieval's order: of the factors.
            let had = Set(Self.world.histories[5].map(Int.init))
            let best = Self.world.best(10, of: 5, among: (0..<Self.world.itemCount).filter { !had.contains($0) })
            #expect(slate?.items.map { model.items.name($0.row) } == best && slate?.isCacheable == false)
            #expect(whole.slate?.items.map(\.row) != slate?.items.map(\.row))
        }
    }

    private func rankerBroken() async throws -> Evidence {
        let folder = try TemporaryFolder()
        let model = try Self.model(folder)
        let ranker = try UntrainedRanker.make(
            model, fields: [UntrainedRanker.score, UntrainedRanker.item], outputScale: 3e38)
        return try await onStage(model, ranker: ranker) { shard, stage, told in
            let outcome = stage.ask(shard, Self.request())
            #expect(outcome.slate?.items.count == 10 && outcome.slate?.isCacheable == false)
            told(outcome.told)
        }
    }

    private func ranked(_ fields: [FeatureField]) async throws -> Evidence {
        let folder = try TemporaryFolder()
        let model = try Self.model(folder)
        let ranker = try UntrainedRanker.make(model, fields: fields)
        return try await onStage(model, ranker: ranker) { shard, stage, told in
            let outcome = stage.ask(shard, Self.request())
            #expect(outcome.slate?.items.count == 10)
            told(outcome.told)
        }
    }

    private func explanationLate() async throws -> Evidence {
        let folder = try TemporaryFolder()
        let model = try Self.model(folder)
        let ranker = try UntrainedRanker.make(model, fields: [UntrainedRanker.score, UntrainedRanker.item])
        return try await onStage(model, ranker: ranker) { shard, stage, told in
            var request = Self.request()
            request.explain = true
            #expect(stage.ask(shard, request).slate?.explanation?.features != nil)
            let slate = Self.shrink(shard, stage, request, until: .degraded(.explanationCut), told)
            #expect(slate?.items.count == 10 && slate?.explanation != nil && slate?.explanation?.features == nil)
        }
    }

    private func lateUsers() async throws -> Evidence {
        try await onStage { shard, stage, told in
            let users = Self.world.users.enumerated().map { (position: $0, user: $1) }
            let request = ManyRequest(users: users, template: RecommendationRequest(user: "", k: 5))
            let outcome = stage.ask(shard, .recommendMany(request), within: 150 * stage.tick)
            let slates = outcome.many?.slates ?? []
            #expect(slates.count == users.count && slates.contains { $0.status == .ok && $0.items.count == 5 })
            #expect(outcome.answeredAt <= outcome.deadline)
            told(outcome.told)
        }
    }

    private func foldInFailed() async throws -> Evidence {
        let folder = try TemporaryFolder()
        let whole = try Self.model(folder)
        var options = RetrievalModel.Options(index: .scan)
        options.foldsIn = true
        let model = try RetrievalModel(
            users: whole.users, items: whole.items, als: whole.als, spectral: nil, neighbors: nil, mix: whole.mix,
            options: options
        ) { _ in
            // More than single precision holds.
            (FoldInParameters(unobservedWeight: 0, regularization: 1e300, regularizationExponent: 1), .factors)
        }
        return try await onStage(model) { shard, stage, told in
            var request = Self.request()
            request.recentItems = [Self.world.item(3)]
            let outcome = stage.ask(shard, request)
            #expect(outcome.slate?.items.count == 10)
            told(outcome.told)
        }
    }

    private func sourceFailed() async throws -> Evidence {
        let folder = try TemporaryFolder()
        let whole = try Self.model(folder)
        guard let als = whole.als else { throw Unexpected(row: .sourceFailed) }
        let users = DenseMatrix(rowCount: whole.users.count, columnCount: als.model.rank)
        for user in 0..<whole.users.count { users.row(user).update(repeating: .nan) }
        let broken = RetrievalModel.Factors(
            model: FactorModel(
                kind: .als, users: users,
                items: DenseMatrix(rowCount: whole.items.count, columnCount: als.model.rank)),
            rows: als.rows, index: als.index, similar: als.similar)
        let model = try RetrievalModel(
            users: whole.users, items: whole.items, als: broken, spectral: nil, neighbors: nil, mix: whole.mix,
            options: RetrievalModel.Options(index: .scan))
        return try await onStage(model, mix: [.als, .recent]) { shard, stage, told in
            let outcome = stage.ask(shard, Self.request())
            #expect(outcome.slate?.candidates.map(\.source) == [.recent] && outcome.slate?.items.count == 10)
            #expect(outcome.slate?.isCacheable == false)
            told(outcome.told)
        }
    }

    @Test("whatever time a call brings, its slate is there before it is over", arguments: [1, 2, 3])
    func inTime(seed: UInt64) async throws {
        let folder = try TemporaryFolder()
        let model = try Self.model(folder)
        let ranker = try UntrainedRanker.make(model, fields: [UntrainedRanker.score, UntrainedRanker.item])
        let seen = Mutex<[DegradationSet]>([])
        _ = try await onStage(model, ranker: ranker, mix: [.popular, .als, .recent]) { shard, stage, _ in
            var random = SeededGenerator(seed: seed)
            stage.tick = 10_000
            for _ in 0..<40 { _ = stage.ask(shard, Self.request(), within: 100_000_000) }
            // A slate of one look at the clock after the other takes more than a dozen of them: below, nothing is promised.
            var numbers: [(call: Int, isPromised: Bool)] = []
            for _ in 0..<400 {
                var request = Self.request()
                request.user = Self.world.users[Int.random(in: 1..<40, using: &random)]
                // Alone with little time, or one of several with more of it.
                let isAlone = Int.random(in: 0..<2, using: &random) == 0
                if isAlone { stage.run(shard) }
                let ticks = UInt64.random(in: isAlone ? 12...60 : 400...3_000, using: &random)
                let call = stage.put(shard, .recommend(request), within: ticks * stage.tick)
                numbers.append((call, ticks >= 25))
                if isAlone || Int.random(in: 0..<3, using: &random) == 0 { stage.run(shard) }
            }
            stage.run(shard)
            var late = 0
            for (call, isPromised) in numbers {
                let outcome = stage.outcome(call)
                if isPromised, outcome.rejection != nil || outcome.answeredAt > outcome.deadline { late += 1 }
                if let slate = outcome.slate {
                    #expect(slate.items.count == 10)
                    seen.withLock { $0.append(slate.degraded) }
                }
            }
            #expect(late == 0, "seed \(seed): \(late) of \(numbers.count)")
        }
        let kinds = Set(seen.withLock { $0 })
        #expect(kinds.contains([]), "seed \(seed)")
        #expect(kinds.count > 1, "seed \(seed)")
    }

    // MARK: On a node

    private static func told(_ reply: RecommendReply) -> [Told] {
        var told = reply.degraded.names.compactMap { name in
            Degradation.allCases.first { $0.name == name }.map { Told.degraded($0) }
        }
        if told.isEmpty { told.append(.whole) }
        return told
    }

    /// How an error says so.
    private static func told(_ error: any Error) -> [Told] {
        (error as? MartletClientError).map { told($0.code) } ?? []
    }

    private static func told(_ code: StatusCode) -> [Told] {
        Serving.Rejection.Reason.allCases.filter { $0.code == code }.map { .rejected($0) } + [.statuses(code)]
    }

    static func scrape(_ node: TestNode) throws -> String {
        let socket = try BlockingSocket(port: node.httpPort)
        try socket.send(Array("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        return String(decoding: try socket.receiveAll(), as: UTF8.self)
    }

    /// The sum of the series whose name, or name and labels, begin with `counter`.
    static func value(of counter: String, in scrape: String) -> Double {
        let isWhole = counter.hasSuffix("}")
        return scrape.split(whereSeparator: \.isNewline).reduce(0) { sum, line in
            guard line.hasPrefix(counter), let end = line.dropFirst(counter.count).first,
                isWhole ? end == " " : end == "{" || end == " "
            else { return sum }
            return sum + (Double(line.split(separator: " ").last ?? "") ?? 0)
        }
    }

    private func onNode(
        change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (TestNode) async throws -> [Told]
    ) async throws -> Evidence {
        var evidence = Evidence(told: [], scrape: "")
        try await withNode(shards: 1, change: change) { node, _ in
            evidence.told = try await body(node)
            // Counts of users and the cache are published once a second.
            evidence.scrape = try Self.scrape(node)
        }
        return evidence
    }

    /// Many calls at once, on one connection, until some say what they are to say.
    private func burst(_ node: TestNode, until isEnough: ([Told]) -> Bool) async throws -> [Told] {
        var all: [Told] = []
        for round in 0..<100 where !isEnough(all) {
            all += await withTaskGroup(of: [Told].self) { group in
                for number in 0..<100 {
                    group.addTask {
                        do {
                            let user = SmallWorld.user((number + round) % SmallWorld.userCount)
                            let reply = try await node.client.recommend(user: user, k: 10)
                            return reply.items.count == 10 ? Self.told(reply) : []
                        } catch { return Self.told(error) }
                    }
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
        }
        return all
    }

    private func crowded(_ change: (inout ServerConfiguration) -> Void) async throws -> Evidence {
        try await onNode(change: {
            $0.cache.bytes = 0
            change(&$0)
        }) { node in
            let connection = try RawConnection(port: node.port)
            var told: [Told] = []
            for _ in 0..<1000 where !told.contains(.whole) || !told.contains(.statuses(.resourceExhausted)) {
                let calls = (0..<50).map { RawFrame.recommend(SmallWorld.user($0), id: UInt32($0 + 1)) }
                try connection.send(Array(calls.joined()))
                for _ in calls {
                    guard let frame = try connection.next(), let code = StatusCode(rawValue: frame.code) else { break }
                    told += code == .ok ? [.whole] : Self.told(code)
                }
            }
            return told
        }
    }

    /// Calls that nobody waits for, more than are served in a quarter of a millisecond.
    private func waitsTooLong() async throws -> Evidence {
        try await onNode(change: {
            $0.cache.bytes = 0
            $0.limits.queueWait = .milliseconds(1)
        }) { node in
            try await withThrowingTaskGroup(of: [Told].self) { group in
                for number in 0..<2_000 {
                    group.addTask {
                        var options = CallOptions()
                        options.priority = .background
                        do throws(MartletClientError) {
                            _ = try await node.client.recommend(
                                user: SmallWorld.user(number % SmallWorld.userCount), k: 10, options: options)
                            return []
                        } catch {
                            #expect(error.code == .resourceExhausted && error.retryIsSafe)
                            return error.message.contains("would wait") ? [.rejected(.overloaded)] : []
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
        }
    }

    private func madeWithLess() async throws -> Evidence {
        try await onNode(change: { $0.brownout.level = 4 }) { node in
            let reply = try await node.client.recommend(user: SmallWorld.user(1), k: 10)
            #expect(reply.items.count == 10)
            return reply.qualityLevel == 4 ? [.qualityLevel] : []
        }
    }

    private func lineFullStale() async throws -> Evidence {
        try await onNode(change: {
            $0.limits.queuedRequestsMax = 1
            $0.cache.ttl = .milliseconds(20)
            $0.cache.ttlMin = .milliseconds(20)
        }) { node in
            // One after the other, all are kept, and old in no time.
            for number in 0..<SmallWorld.userCount {
                _ = try await node.client.recommend(user: SmallWorld.user(number), k: 10)
            }
            try await Task.sleep(for: .milliseconds(200))
            let told = try await burst(node) { $0.contains(.degraded(.staleSlate)) }
            #expect(!told.contains(.statuses(.resourceExhausted)))
            return told
        }
    }

    private func noModel() async throws -> Evidence {
        let node = try await TestNode(bundle: nil, shards: 1)
        var evidence = Evidence(told: [], scrape: "")
        do {
            _ = try await node.client.recommend(user: "u", k: 10)
        } catch { evidence.told = Self.told(error) }
        evidence.scrape = try Self.scrape(node)
        await node.stop()
        return evidence
    }

    private func oldAnswer(isMadeAnew: Bool) async throws -> Evidence {
        try await onNode(change: {
            $0.cache.ttl = .milliseconds(20)
            $0.cache.ttlMin = .milliseconds(20)
            $0.cache.staleFor = .seconds(3600)
            $0.cache.backgroundShare = isMadeAnew ? 0.1 : 0
        }) { node in
            let isStale = Mutex(false)
            var options = CallOptions()
            options.onReply = { info in if info.isStale { isStale.withLock { $0 = true } } }
            for _ in 0..<10_000 where !isStale.withLock({ $0 }) {
                let reply = try await node.client.recommend(
                    RecommendRequest(user: SmallWorld.user(3), k: 10), options: options)
                #expect(reply.items.count == 10)
                try await Task.sleep(for: .milliseconds(20))
            }
            return isStale.withLock { $0 } ? [.staleFlag] : []
        }
    }

    private func usersForgotten() async throws -> Evidence {
        let counter = DegradationRow.usersForgotten.entry.counter
        return try await onNode(change: { $0.events.stateBytesMax = 128 << 10 }) { node in
            // Until some go, whatever room users take; the count is published once a second.
            for page in 0..<600 where try Self.value(of: counter, in: Self.scrape(node)) == 0 {
                if page < 60 {
                    let events = (0..<500).map { UserEvent(user: "new-\(page)-\($0)", item: "i", type: "click") }
                    _ = try await node.client.recordEvents(RecordEventsRequest(events: events))
                }
                try await Task.sleep(for: .milliseconds(100))
            }
            return Self.told(try await node.client.recommend(user: SmallWorld.user(3), k: 10))
        }
    }

    private func answerTooLarge() async throws -> Evidence {
        try await onNode(change: { $0.limits.frameBytesMax = 4 << 10 }) { node in
            do {
                _ = try await node.client.recommendMany(
                    RecommendManyRequest(users: (0..<60).map(SmallWorld.user), k: 20))
                return []
            } catch { return Self.told(error) }
        }
    }

    private func slateLog(isBroken: Bool) async throws -> Evidence {
        let folder = try TemporaryFolder()
        let storage = try StubbornStorage(folder.path)
        let log = try SlateLog(
            SlatesConfiguration(), storage: storage, shardCount: 1, logger: .init(label: "test"),
            wallClock: { 1000 })
        let desk = SlateDesk(log, shard: 0, shares: [1], seed: 1, wallClock: { 1000 })
        let request = Array(Wire.RecommendRequest(user: "u", k: 1).encodedBody.readableBytesView)
        let reply = Array(Wire.RecommendReply().encodedBody.readableBytesView)
        func offer(_ id: String) -> Bool {
            request.withUnsafeBytes { desk.log(repeated: $0, Array(reply), as: id) }
        }
        var told: [Told] = []
        if isBroken {
            storage.isFull.withLock { $0 = true }
            #expect(offer("a"))
            told = [.whole]
            for _ in 0..<60_000 where log.reading.lost == 0 { try await Task.sleep(for: .milliseconds(10)) }
        } else {
            storage.gate.withLock {
                // What is not taken is not named in the answer.
                for number in 0..<1_000_000 where told.isEmpty && !offer("\(number)") { told = [.noRequestID] }
            }
        }
        let metrics = NodeMetrics(
            shards: [ShardMetrics(shard: 0, scenarios: [""])], build: BuildInfo(kernels: "none"))
        metrics.setSlateLog(log.reading)
        log.close()
        return Evidence(told: told, scrape: String(decoding: metrics.scrape(.prometheusText), as: UTF8.self))
    }
}
