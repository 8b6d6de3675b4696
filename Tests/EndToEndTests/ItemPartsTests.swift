import Artifacts
import CandidateRanking
import Features
import LiveState
import RankingModels
import Retrieval
import TestSupport
import Testing
import VectorMath
import Vocabulary

/// Candidates scored with items' parts of the first layer get the scores of whole rows.
@Suite(.ownThreads) struct ItemPartsTests {
    /// A network nobody trained, with features of every side.
    private func ranker(hidden: [Int] = [24, 16], sides: [String: FeatureSide] = [:]) throws -> NetworkRanker {
        func categorical(_ name: String, _ source: FeatureSource, bag: Bool = false) -> FeatureField {
            FeatureField(name, from: source, .categorical(.hashed(buckets: 40), isMultivalued: bag))
        }
        var fields = [
            categorical("item", .itemID), categorical("hour", .context("hour")),
            categorical("moods", .context("moods"), bag: true), categorical("user", .userID),
            categorical("tags", .itemTags, bag: true),
            FeatureField("score", from: .retrievalScore, .dense(.none, missing: 0)),
            FeatureField("product", from: .factorProduct("als"), .dense(.none, missing: 0)),
            FeatureField("popularity", from: .itemPopularity, .dense(.log(mean: 2, deviation: 1), missing: 0)),
            FeatureField("heat", from: .context("heat"), .dense(.standard(mean: 10, deviation: 5), missing: 12)),
            FeatureField("clicks", from: .live(.events(.any, .hour)), .dense(.log(mean: 1, deviation: 1), missing: 0)),
            FeatureField("shown", from: .live(.pair(.shown, .day)), .dense(.none, missing: 0)),
        ]
        for number in fields.indices { fields[number].side = sides[fields[number].name] ?? fields[number].side }
        let schema = FeatureSchema(fields: fields)
        var random = SeededGenerator(seed: 5)
        func values(_ count: Int, _ size: Float) -> [Float] {
            (0..<count).map { _ in Float.random(in: -size...size, using: &random) }
        }
        let layout = FeatureLayout(schema)
        let shape = NetworkShape(embeddingWidth: 4, hidden: hidden, hasLinear: true, hasPairs: true)
        var (layers, inputs) = ([NetworkWeights.Layer](), shape.inputs(layout))
        for outputs in hidden {
            layers.append(.init(weights: values(inputs * outputs, 0.5), bias: values(outputs, 0.5)))
            inputs = outputs
        }
        return try NetworkRanker(
            schema: schema,
            weights: NetworkWeights(
                shape: shape, table: values(layout.tableRows * 4, 0.5), linear: values(layout.tableRows, 0.5),
                denseLinear: values(layout.dense.count, 0.2), layers: layers,
                output: values(hidden.last ?? 0, 0.5), bias: 0.1),
            path: "test")
    }

    private func model(_ folder: TemporaryFolder) throws -> RetrievalModel {
        try RetrievalModel(bundle: Bundle(opening: SmallWorld.makeBundle(in: folder, name: "world")))
    }

    private func calibrated(
        _ file: NetworkRanker, _ model: RetrievalModel, _ precision: RankerPrecision, bytes: Int = 1 << 30,
        forced: Bool = true
    ) throws -> CandidateRanker {
        var calibration = RankerCalibration(precision: precision, itemBytesMax: bytes)
        calibration.forcesItemParts = forced
        return try calibration.ranker(file, model, path: "test").ranker
    }

    @Test("scores are those of whole rows, in every precision", arguments: [RankerPrecision.f32, .bf16, .int8])
    func equal(precision: RankerPrecision) throws {
        let folder = try TemporaryFolder()
        let model = try model(folder)
        let file = try ranker()
        let parts = try calibrated(file, model, precision)
        let whole = try calibrated(file, model, .f32, bytes: 0)
        #expect(parts.split != nil && parts.itemParts.kind == (precision == .f32 ? .f32 : .f16))
        #expect(whole.split == nil && whole.itemParts.reason.contains("ranker_item_bytes is 0"))
        let scorers = [CandidateScorer(parts), CandidateScorer(whole)]
        var random = SeededGenerator(seed: 3)
        let states = try UserStates(types: EventTypes())
        let shown = try UserStates(types: EventTypes())
        for second in UInt32(0)..<40 {
            let event = HistoryEvent(item: second % 9, type: second % 2 == 0 ? 0 : 2, seconds: 1_000_000 + second)
            Array("somebody".utf8).withUnsafeBytes { user in
                _ = (second % 2 == 0 ? shown : states).apply(event, user: user, now: 1_000_100)
            }
        }
        var activity = UserActivity()
        Array("somebody".utf8).withUnsafeBytes {
            activity.fill($0, states, shown: shown, now: 1_000_100, row: { $0 })
        }
        for round in 0..<12 {
            let user = round % 4 == 3 ? nil : UInt32.random(in: 0..<UInt32(model.users.count), using: &random)
            var request = RankingRequest(
                user: user,
                history: user.map { model.users.history(of: $0) } ?? UnsafeBufferPointer(start: nil, count: 0),
                candidates: (0..<Int.random(in: 1...300, using: &random)).map { _ in
                    ScoredRow(
                        row: UInt32.random(in: 0..<UInt32(model.items.count), using: &random),
                        score: Float.random(in: 0...3, using: &random))
                })
            if round % 2 == 0 { request.context = ["hour": "\(round)", "moods": "glad|calm|late", "heat": "8"] }
            if round % 3 == 1 { request.live = LiveReadings(user: activity) }
            for scorer in scorers {
                // Rows beside the parts change nothing.
                scorer.begin(request, keepsRows: round % 3 == 0)
                while !scorer.step() {}
            }
            let expected = request.candidates.indices.map(scorers[1].logit)
            let spread = expected.reduce(1) { max($0, abs($1)) }
            for place in expected.indices {
                let difference = abs(scorers[0].logit(place) - expected[place])
                #expect(difference <= (precision == .f32 ? 1e-5 : 0.05) * spread, "\(difference) of \(spread)")
            }
            let missing = scorers.map { scorer in
                var missing: [FeatureGroup: Int] = [:]
                scorer.features.forEachMissing { missing[$0, default: 0] += $1 }
                return missing
            }
            #expect(missing[0] == missing[1])
            #expect(missing[0][.context] == (round % 2 == 0 ? nil : 3))
            #expect(missing[0][.live] == (round % 3 == 1 ? nil : 1 + request.candidates.count))
            #expect(missing[0][.user] == (user == nil ? 1 : nil))
            #expect(missing[0][.product] == (user == nil ? request.candidates.count : nil))
            #expect(scorers[0].features.rows.count == (round % 3 == 0 ? request.candidates.count : 0))
        }
    }

    @Test("what does not fit or cannot be cut is computed in whole rows, and the reason is told")
    func refused() throws {
        let folder = try TemporaryFolder()
        let model = try model(folder)
        let file = try ranker()
        let bytes = { SplitNetwork.byteCount(file.weights.shape, itemCount: model.items.count, isHalf: $0) }
        // Halves where floats take too much.
        let halves = try calibrated(file, model, .f32, bytes: bytes(false) - 1)
        #expect(halves.itemParts.kind == .f16 && halves.itemParts.bytes == bytes(true))
        #expect(halves.byteCount == halves.plan.byteCount + halves.model.byteCount + bytes(true))
        let none = try calibrated(file, model, .f32, bytes: bytes(true) - 1)
        #expect(none.split == nil && none.itemParts.kind == .none && none.itemParts.bytes == 0)
        #expect(none.itemParts.reason.contains("would take \(bytes(true)) bytes"))
        let shallow = try calibrated(ranker(hidden: []), model, .f32)
        #expect(shallow.split == nil && shallow.itemParts.reason.contains("no first layer"))
        // A schema may say that an item's feature is computed for each request; then it is not the item's part.
        let moved = try calibrated(ranker(sides: ["popularity": .user]), model, .f32)
        #expect(moved.split == nil && moved.itemParts.reason.contains("no first layer"))
        // Measured, and told either way.
        let measured = try calibrated(file, model, .f32, forced: false)
        #expect(measured.itemParts.gain.map { $0 > 0 } == true && measured.itemParts.orderLoss == 0)
        #expect((measured.split != nil) == (measured.itemParts.kind != .none))
    }
}
