import Features
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

/// Trees with a schema: what fits, what is refused, and how encoded rows reach the trees.
@Suite(.ownThreads) struct TreeRankerTests {
    /// Tests price in two trees, and that shop is 2 or 5.
    static let model = """
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        max_feature_idx=2
        objective=binary sigmoid:1
        feature_names=price the_age shop

        Tree=0
        num_leaves=3
        num_cat=1
        split_feature=0 2
        threshold=0.5 0
        decision_type=8 1
        left_child=1 -1
        right_child=-3 -2
        leaf_value=1 2 4
        leaf_count=10 20 30
        cat_boundaries=0 1
        cat_threshold=36
        is_linear=0

        Tree=1
        num_leaves=2
        num_cat=0
        split_feature=1
        threshold=3
        decision_type=10
        left_child=-1
        right_child=-2
        leaf_value=-2 -1
        is_linear=0

        end of trees

        """

    /// Not in the model's order, and with a name that LightGBM writes otherwise.
    static let schema = FeatureSchema(fields: [
        FeatureField(
            "shop", from: .context("shop"),
            .categorical(.dictionary(["a", "b", "c", "d", "e"]), isMultivalued: false)),
        FeatureField("price", from: .context("price"), .dense(.none, missing: nil)),
        FeatureField("the age", from: .context("age"), .dense(.none, missing: nil)),
    ])

    private func ranker(_ schema: FeatureSchema = schema, _ model: String = model) throws(ArtifactError) -> TreeRanker {
        try TreeRanker(schema: schema, file: Array(model.utf8), path: "model.txt")
    }

    @Test func `features are found by name, and values reach the trees`() throws {
        let ranker = try ranker()
        #expect(ranker.fields == [1, 2, 0] && ranker.library == .lightGBM)
        let scorer = TreeScorer(ranker)
        let rows = FeatureRows(scorer.layout)
        let shops = FieldEncoder(Self.schema.fields[0], tableOffset: 0)
        // Shop, price, age, and the sum of the leaves: the set is {2, 5}, whose rows in the table are "b" and "e".
        let cases: [(String, Double?, Double?, Double)] = [
            ("b", 0.1, 2, 1 - 2), ("e", 0.5, nil, 1 - 2), ("a", 0, 4, 2 - 1), ("", 0, 4, 2 - 1), ("?", 0.2, 3, 2 - 2),
            ("b", 0.6, 9, 4 - 1), ("b", nil, 1, 4 - 2),
        ]
        for (shop, price, age, _) in cases {
            let row = rows.append()
            rows.set(row, categorical: 0, to: shops.row(of: shop))
            for (place, value) in [price, age].enumerated() {
                rows.set(
                    row, dense: place, to: FieldEncoder(Self.schema.fields[place + 1], tableOffset: 0).number(value))
            }
        }
        var scores = [Float](repeating: 0, count: cases.count)
        scores.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { scorer.score(rows, 0..<cases.count, TreeScratch(scorer), into: base) }
        }
        for (score, one) in zip(scores, cases) {
            #expect(abs(score - Float(1 / (1 + exponential(-one.3)))) < 1e-6, "\(one)")
            #expect(abs(scorer.logit(of: score) - Float(one.3)) < 1e-5)
        }
        #expect(scorer.givesProbabilities)
    }

    private func exponential(_ x: Double) -> Double {
        // A few squarings are enough for small numbers.
        (0..<20).reduce(1 + x / 1_048_576) { value, _ in value * value }
    }

    @Test func `a file and back`() throws {
        let folder = try TemporaryFolder()
        var ranker = try ranker()
        ranker.candidates = FittedCandidates(count: 90, sources: ["als", "recent"])
        try ranker.write(to: TensorFileWriter(path: folder.file("r.safetensors"), metadata: ranker.metadata))
        let file = try TensorFile(path: folder.file("r.safetensors"))
        guard case .trees(let back) = try RankerArtifact(file) else {
            Issue.record("another kind")
            return
        }
        #expect(back.candidates == ranker.candidates)
        #expect(back.schema == ranker.schema && back.file == ranker.file && back.fields == ranker.fields)
        #expect(file.metadata["objective"] == "binary" && file.metadata["library"] == "LightGBM")
        let error = #expect(throws: ArtifactError.self) { try NetworkRanker(file) }
        #expect(error?.description.contains("says kind trees") == true)
        var metadata = ranker.metadata
        metadata["candidates"] = "{\"count\": 0, \"sources\": []}"
        try ranker.write(to: TensorFileWriter(path: folder.file("none.safetensors"), metadata: metadata))
        let none = #expect(throws: ArtifactError.self) {
            try RankerArtifact(TensorFile(path: folder.file("none.safetensors")))
        }
        #expect(none?.description.contains("needs a \"count\" of 1 or more") == true)
        // Another schema under the same trees.
        metadata = ranker.metadata
        metadata["features_sha256"] = String(repeating: "0", count: 64)
        try ranker.write(to: TensorFileWriter(path: folder.file("other.safetensors"), metadata: metadata))
        let other = #expect(throws: ArtifactError.self) {
            try RankerArtifact(TensorFile(path: folder.file("other.safetensors")))
        }
        #expect(other?.description.contains("the weights were made for 0000") == true)
        metadata = ranker.metadata
        metadata["weights_sha256"] = String(repeating: "0", count: 64)
        try ranker.write(to: TensorFileWriter(path: folder.file("worn.safetensors"), metadata: metadata))
        let worn = #expect(throws: ArtifactError.self) {
            try RankerArtifact(TensorFile(path: folder.file("worn.safetensors")))
        }
        #expect(worn?.description.contains("were written with 0000") == true)
        // Files of other tools carry no hash.
        metadata["weights_sha256"] = nil
        try ranker.write(to: TensorFileWriter(path: folder.file("foreign.safetensors"), metadata: metadata))
        #expect(try TreeRanker(TensorFile(path: folder.file("foreign.safetensors"))).file == ranker.file)
        metadata["kind"] = "forest"
        try ranker.write(to: TensorFileWriter(path: folder.file("kind.safetensors"), metadata: metadata))
        let kind = #expect(throws: ArtifactError.self) {
            try RankerArtifact(TensorFile(path: folder.file("kind.safetensors")))
        }
        #expect(kind?.description.contains("kind forest; a ranker's says network or trees") == true)
    }

    @Test func `names that the library made up count by place`() throws {
        let anonymous = Self.model.replacing("price the_age shop", with: "Column_0 Column_1 Column_2")
        var schema = Self.schema
        schema.fields = [schema.fields[1], schema.fields[2], schema.fields[0]]
        #expect(try ranker(schema, anonymous).fields == [0, 1, 2])
        let error = #expect(throws: ArtifactError.self) { try ranker(Self.schema, anonymous) }
        #expect(error?.description.contains("tests categories of \"the age\", which is a number") == true)
    }

    @Test func `what does not fit is refused with its name`() throws {
        func fault(_ change: (inout FeatureSchema) -> Void = { _ in }, _ old: String = "", _ new: String = "") -> String
        {
            var schema = Self.schema
            change(&schema)
            do throws(ArtifactError) {
                _ = try ranker(schema, old.isEmpty ? Self.model : Self.model.replacing(old, with: new))
                return "accepted"
            } catch {
                #expect(error.path == "model.txt")
                return error.description
            }
        }
        #expect(fault() == "accepted")
        #expect(fault({ $0.fields.removeLast() }).contains("takes the feature \"the_age\", which the schema lacks"))
        #expect(
            fault({ $0.fields.append(FeatureField("more", from: .retrievalRank, .dense(.none, missing: nil))) })
                .contains("the schema has the feature \"more\", which the model does not take; it takes 3"))
        #expect(fault({ _ in }, "price the_age shop", "price price shop").contains("feature \"price\" twice"))
        #expect(fault({ _ in }, "price the_age shop", "price the_age").contains("feature_names has 2 names"))
        #expect(fault({ _ in }, "objective=binary", "objective=magic").contains("objective 'magic' is not known"))
        #expect(
            fault({ _ in }, "num_tree_per_iteration=1\n", "num_tree_per_iteration=2\n").contains("gives 2 outputs"))
        #expect(
            fault({
                $0.fields[0].kind = .categorical(.hashed(buckets: 9), isMultivalued: true)
            }).contains("\"shop\" takes several values, a tree tests one"))
        #expect(
            fault({ $0.fields[0].kind = .categorical(.hashed(buckets: 1 << 25), isMultivalued: false) })
                .contains("hash it into fewer"))
        #expect(
            fault({ $0.fields[0].kind = .dense(.none, missing: nil) }).contains("tests categories of \"shop\""))
        #expect(
            fault({
                $0.fields[2].name = "the_age"; $0.fields[1].name = "the age"
            }).contains("one name to LightGBM"))
        #expect(fault({ _ in }, "end of trees", "").contains("it was cut short"))
    }

    @Test func `models of XGBoost come in by their names`() throws {
        let names = ["price", "shop"]
        let fields = names.map { FeatureField($0, from: .context($0), .dense(.none, missing: nil)) }
        var schema = FeatureSchema(fields: fields)
        let file = Array(TreeEnsembleTests.xgboost.utf8)
        let refused = #expect(throws: ArtifactError.self) {
            try TreeRanker(schema: schema, file: file, path: "model.json")
        }
        #expect(refused?.description.contains("tests categories of \"shop\"") == true)
        schema.fields[1].kind = .categorical(.hashed(buckets: 9), isMultivalued: false)
        let ranker = try TreeRanker(schema: schema, file: file, path: "model.json")
        #expect(ranker.library == .xgboost && ranker.fields == [0, 1])
        #expect(!TreeScorer(ranker).givesProbabilities)
    }

    @Test func `no mutated file stops the process`() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let ranker = try ranker()
        // Without a hash, so that what is mutated is read.
        var metadata = ranker.metadata
        metadata["weights_sha256"] = nil
        try ranker.write(to: TensorFileWriter(path: folder.file("r.safetensors"), metadata: metadata))
        let good = try folder.read("r.safetensors")
        var random = SeededGenerator(seed: 12)
        for _ in 0..<300 {
            var bad = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bad[Int.random(in: 0..<bad.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            try folder.write(bad, to: "bad")
            if let file = try? TensorFile(path: folder.file("bad")),
                case .trees(let ranker)? = try? RankerArtifact(file)
            {
                _ = TreeScorer(ranker)
            }
        }
    }
}
