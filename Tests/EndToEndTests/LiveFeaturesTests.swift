import Artifacts
import CandidateRanking
import Features
import LiveState
import MartletClient
import RankingModels
import Retrieval
import Serving
import TestSupport
import Testing
import VectorMath
import Vocabulary
import Wire

@testable import MartletServer
@testable import Training

@Suite("Live features of a ranker", .ownThreads, .timeLimit(.minutes(10)))
struct LiveFeaturesTests {
    private static let sources: [LiveSource] =
        LiveWindow.allCases.flatMap { window in
            [EventClass.any, .positive, .negative, .shown, .type("like"), .type("nobody has it")].flatMap {
                [LiveSource.events($0, window), .pair($0, window)]
            }
        } + [.sessionEvents, .sessionItems, .sessionSeconds, .idle]

    private static func schema(timeToLive: Int? = nil) -> FeatureSchema {
        FeatureSchema(
            fields: sources.enumerated().map { number, source in
                FeatureField(
                    "f\(number)", from: .live(source), timeToLive: timeToLive,
                    .dense(.none, missing: -1 - Double(number)))
            })
    }

    private struct Event {
        var user: String
        var item: String
        var type: String
        /// Milliseconds.
        var time: Int64
    }

    /// Streams with pauses of seconds, minutes and days, some longer than a history, in the order of their times.
    private func stream(_ model: RetrievalModel, count: Int, _ random: inout SeededGenerator) -> [Event] {
        let types = ["impression", "impression", "view", "click", "like", "purchase", "dislike", "hide"]
        var time: Int64 = 1_700_000_000_000
        return (0..<count).map { _ in
            let scale: Int64 = [500, 20_000, 900_000, 20_000_000][Int.random(in: 0..<4, using: &random)]
            time += Int64.random(in: 0...scale, using: &random)
            let item = Int.random(in: 0...model.items.count, using: &random)
            return Event(
                user: model.users.name(UInt32.random(in: 0..<6, using: &random)),
                item: item < 20 || item == model.items.count
                    ? "unknown-\(item)" : model.items.name(UInt32(item % 12)),
                type: types[Int.random(in: 0..<types.count, using: &random)], time: time)
        }
    }

    private func timeline(_ events: some Sequence<Event>) throws -> EventTimeline {
        var builder = EventTimelineBuilder(try EventTypes())
        for event in events { builder.add(user: event.user, item: event.item, type: event.type, time: event.time) }
        return builder.finish()
    }

    private func model(_ folder: TemporaryFolder) throws -> RetrievalModel {
        try RetrievalModel(bundle: Bundle(opening: SmallWorld.makeBundle(in: folder, name: "world")))
    }

    /// The numbers of all features, and what was missing.
    private func values(_ features: CandidateFeatures, _ model: RetrievalModel, user: UInt32, _ live: LiveReadings)
        -> (numbers: [Float], missing: [Int])
    {
        var request = RankingRequest(
            user: user, history: model.users.history(of: user),
            candidates: (0..<16).map { ScoredRow(row: UInt32($0), score: 0) })
        request.live = live
        features.fill(request)
        let width = features.plan.layout.dense.count
        return (
            (0..<features.rows.count).flatMap { row in (0..<width).map { features.rows.number(row, $0) } },
            features.missing
        )
    }

    @Test("are in training what a node computes that was told the same events, and know nothing of later ones")
    func trainingIsServing() throws {
        let folder = try TemporaryFolder()
        let model = try model(folder)
        let plan = try FeaturePlan(Self.schema(), model, path: "test")
        #expect(plan.live.user && plan.live.pairs && plan.live.shown && plan.live.timeToLive == 60)
        var fresh = 0
        for seed in UInt64(1)...6 {
            var random = SeededGenerator(seed: seed)
            let events = stream(model, count: seed % 2 == 0 ? 3_000 : 150, &random)
            let types = try EventTypes()
            let numbers = try ItemNumbers()
            // Numbers of a node are in no order of the model's.
            for row in (0..<UInt32(model.items.count)).reversed() { _ = numbers.numberAdding(model.items.name(row)) }
            var rows = [UInt32](repeating: .max, count: model.items.count)
            for row in 0..<UInt32(model.items.count) {
                if let number = numbers.numberAdding(model.items.name(row)) { rows[Int(number)] = row }
            }
            let live = LiveUsers(
                states: try UserStates(types: types), recent: try RecentEvents(capacity: 1000, seed: 1),
                numbers: numbers, shown: try UserStates(UserStatesConfiguration(seenMax: 0), types: types))
            let whole = try timeline(events.shuffled(using: &random))
            let reader = try MomentReader(whole, TimelineRows(whole, model), model, plan.live)
            let features = CandidateFeatures(plan)
            var activity = UserActivity()
            var next = 0
            for step in 0..<40 {
                let moment = events[events.count * step / 40].time + [0, 1, 40_000][step % 3]
                while next < events.count, events[next].time < moment {
                    let event = events[next]
                    live.apply(
                        UserEvent(
                            user: event.user, item: event.item, type: event.type,
                            timeMilliseconds: UInt64(event.time)), now: event.time / 1000)
                    next += 1
                }
                let past = try timeline(events[..<next])
                let blind = try MomentReader(past, TimelineRows(past, model), model, plan.live)
                for number in 0..<6 {
                    let user = UInt32(number)
                    let name = model.users.name(user)
                    live.read(name, rows: rows, now: moment / 1000, into: &activity)
                    let served = values(features, model, user: user, LiveReadings(user: activity))
                    let now = reader.read(user, at: moment)
                    let trained = values(features, model, user: user, now.live)
                    let before = blind.read(user, at: moment)
                    #expect(trained.numbers == served.numbers, "seed \(seed), step \(step), user \(number)")
                    #expect(trained.missing == served.missing, "seed \(seed), step \(step), user \(number)")
                    #expect(values(features, model, user: user, before.live).numbers == trained.numbers, "seed \(seed)")
                    #expect(before.history == now.history && before.factor == now.factor, "seed \(seed)")
                    var knowledge = LiveUsers.Knowledge()
                    live.read(name, rows: rows, now: moment / 1000, into: &knowledge)
                    #expect(now.history.suffix(knowledge.liked.count) == ArraySlice(knowledge.liked), "seed \(seed)")
                    if trained.numbers.contains(where: { $0 > 0 }) { fresh += 1 }
                }
            }
        }
        #expect(fresh > 200)
    }

    @Test("of items are in training what a node's view says that counted the same events, none of them later")
    func items() throws {
        let folder = try TemporaryFolder()
        let model = try model(folder)
        let schema = FeatureSchema(
            fields: ItemSignal.allCases.map {
                FeatureField($0.rawValue, from: .live(.item($0)), timeToLive: 30, .dense(.none, missing: -9))
            })
        let plan = try FeaturePlan(schema, model, path: "test")
        #expect(plan.live.items && !plan.live.user && plan.live.timeToLive == 30)
        let features = CandidateFeatures(plan)
        for seed in UInt64(1)...3 {
            var random = SeededGenerator(seed: seed)
            let events = stream(model, count: 2_000, &random)
            let types = try EventTypes()
            let whole = try timeline(events.shuffled(using: &random))
            let rows = TimelineRows(whole, model)
            let replay = try ItemReplay(whole, TimelineOrder(whole), rows, itemCount: model.items.count)
            let reader = try MomentReader(whole, rows, model, plan.live, items: replay)
            // Numbers of the node: rows backwards, then what the model does not know.
            let numbers = (0..<UInt32(model.items.count)).map { UInt32(model.items.count) - 1 - $0 }
            var counted = try ItemActivity(ItemActivityConfiguration(), scenarios: ["home"])
            var delta = counted.makeDelta()
            var next = 0
            for step in 0..<30 {
                let moment = events[events.count * step / 30].time + Int64(step % 3)
                while next < events.count, events[next].time < moment {
                    let event = events[next]
                    let number = model.items.row(of: event.item).map { numbers[Int($0)] } ?? 1_000_000
                    if let code = types.code(named: event.type), let kind = types.itemEventKind(code) {
                        delta.count(
                            kind, item: number, scenario: next % 2, seconds: UInt32(event.time / 1000),
                            now: UInt32(event.time / 1000))
                        // Merged now and then, as a node does.
                        if next % 7 == 0 {
                            counted.merge([delta], now: UInt32(event.time / 1000))
                            delta = counted.makeDelta()
                        }
                    }
                    next += 1
                }
                let now = UInt32(moment / 1000)
                counted.merge([delta], now: now)
                delta = counted.makeDelta()
                let view = counted.makeView(now: now, uptime: 0)
                let trained = values(features, model, user: 0, reader.read(0, at: moment).live)
                let served = values(
                    features, model, user: 0,
                    LiveReadings(items: LiveItems(view, numbers: numbers, now: Int64(now) + 29)))
                #expect(trained.missing == [0, 0, 0, 0] && served.missing == [0, 0, 0, 0])
                for (one, other) in zip(trained.numbers, served.numbers) {
                    // Counts are Float32, decayed in other steps.
                    #expect(abs(one - other) <= 2e-3 * max(1, abs(other)), "seed \(seed), step \(step)")
                }
                let late = values(
                    features, model, user: 0,
                    LiveReadings(items: LiveItems(view, numbers: numbers, now: Int64(now) + 30)))
                #expect(late.missing == [16, 16, 16, 16] && late.numbers.allSatisfy { $0 == -9 })
                let past = try timeline(events[..<next])
                let pastRows = TimelineRows(past, model)
                let blind = try ItemReplay(past, TimelineOrder(past), pastRows, itemCount: model.items.count)
                blind.advance(to: moment)
                replay.advance(to: moment)
                for row in 0..<UInt32(16) {
                    // Sums of events of one moment may be added up in another order.
                    let (one, other) = (replay.activity(of: row), blind.activity(of: row))
                    #expect(abs((one?.clicks ?? -1) - (other?.clicks ?? -1)) < 1e-3, "seed \(seed), step \(step)")
                }
            }
        }
    }

    @Test("that are too old, or of nobody, become the declared default and are counted")
    func late() throws {
        let folder = try TemporaryFolder()
        let model = try model(folder)
        let plan = try FeaturePlan(Self.schema(timeToLive: 100), model, path: "test")
        let features = CandidateFeatures(plan)
        let (user, name) = (UInt32(1), model.users.name(1))
        let click = Event(user: name, item: model.items.name(3), type: "click", time: 1_700_000_000_000)
        let shown = Event(
            user: name, item: model.items.name(4), type: "impression", time: 1_700_000_050_000)
        let whole = try timeline([click, shown])
        let reader = try MomentReader(whole, TimelineRows(whole, model), model, plan.live)
        let width = Self.sources.count
        for seconds in [Int64(0), 40, 99, 100, 149, 150, 5000] {
            let found = values(
                features, model, user: user, reader.read(user, at: 1_700_000_000_001 + seconds * 1000).live)
            for (number, source) in Self.sources.enumerated() {
                let age = source.isOfShown ? seconds - 50 : seconds
                var isKnown = (0..<100).contains(age)
                switch source {
                case .events(.type("nobody has it"), _), .pair(.type("nobody has it"), _): isKnown = false
                default: break
                }
                let values = (0..<16).map { found.numbers[$0 * width + number] }
                #expect(values.contains(Float(-1 - number)) == !isKnown, "\(source.text) after \(seconds) s")
                #expect(found.missing[number] == (isKnown ? 0 : source.isPerCandidate ? 16 : 1), "\(source.text)")
                if !isKnown { #expect(Set(values).count == 1) }
            }
        }
        var counted: [FeatureGroup: Int] = [:]
        features.forEachMissing { counted[$0, default: 0] += $1 }
        #expect(counted.keys.sorted { $0.rawValue < $1.rawValue } == [.live])
        // Without any state everything is missing.
        let nobody = values(features, model, user: user, LiveReadings())
        #expect(nobody.missing.allSatisfy { $0 > 0 })
    }

    @Test("of a served bundle change the order after an event, are told and counted, and kept answers end with them")
    func served() async throws {
        let folder = try TemporaryFolder()
        let schema = FeatureSchema(fields: [
            FeatureField("score", from: .retrievalScore, .dense(.none, missing: 0)),
            FeatureField("shown", from: .live(.pair(.shown, .hour)), timeToLive: 600, .dense(.none, missing: 0)),
            FeatureField("clicks", from: .live(.events(.type("click"), .hour)), .dense(.none, missing: -1)),
        ])
        let bundle = try SmallWorld.makeBundle(in: folder, name: "world") { _, _ in
            try NetworkRanker(
                schema: schema,
                weights: NetworkWeights(
                    shape: NetworkShape(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false), table: [],
                    linear: [], denseLinear: [1, -100, 0], layers: [], output: [], bias: 0),
                path: "ranker")
        }
        let began = WallClock.system()
        let clock = HandClock(began)
        let node = try await TestNode(bundle: bundle, wallClock: clock.read)
        do {
            let client = node.client
            let user = try RetrievalModel(bundle: Bundle(opening: bundle)).users.name(5)
            func record(_ type: String, _ items: String...) async throws {
                let reply = try await client.recordEvents(
                    RecordEventsRequest(
                        events: items.map {
                            UserEvent(user: user, item: $0, type: type, timeMilliseconds: UInt64(clock.read()) * 1000)
                        }))
                #expect(reply.faults.isEmpty && reply.stored == items.count)
            }
            func missing() throws -> Double {
                let socket = try BlockingSocket(port: node.httpPort)
                try socket.send(Array("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".utf8))
                let text = String(decoding: try socket.receiveAll(), as: UTF8.self)
                let line = text.split(separator: "\n").first {
                    $0.hasPrefix("martlet_ranker_missing_features_total{group=\"live\"}")
                }
                return try #require(line?.split(separator: " ").last.flatMap { Double($0) })
            }
            let before = try await client.recommend(user: user, k: 10)
            // Nothing is known of the user: one value a request and one a candidate.
            #expect(try missing() > 50)
            try await record("impression", before.items[0], before.items[0], before.items[2])
            // What was only shown voids no kept answer.
            #expect(try await client.recommend(user: user, k: 10).items == before.items)
            clock.set(began + 60)
            var explained = RecommendRequest(user: user, k: 10)
            explained.explain = true
            let after = try await client.recommend(explained)
            #expect(!after.items.contains(before.items[0]) && !after.items.contains(before.items[2]))
            #expect(Array(after.items.prefix(2)) == [before.items[1], before.items[3]])
            let ranked = try await client.rank(
                RankRequest(user: user, items: [before.items[0], before.items[1]]))
            #expect(ranked.places == [1, 0] && ranked.scores[0] - ranked.scores[1] > 150)
            #expect(after.ranking.features == ["score", "shown", "clicks"])
            #expect(after.ranking.values.count == 30)
            // Kept for no longer than the least time-to-live.
            let kept = try await client.recommend(user: user, k: 9)
            #expect(Array(kept.items.prefix(2)) == [before.items[1], before.items[3]])
            clock.set(began + 661)
            #expect(Array(try await client.recommend(user: user, k: 9).items) == Array(before.items.prefix(9)))
            await node.stop()
        } catch {
            await node.stop()
            throw error
        }
    }
}
