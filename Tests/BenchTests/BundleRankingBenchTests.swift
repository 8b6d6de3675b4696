import Artifacts
import CandidateRanking
import FactorModels
import Features
import RankingModels
import TestSupport
import Testing
import Training

@testable import RankerBench

@Suite(.ownThreads) struct BundleRankingBenchTests {
    @Test func `a bundle's trees are timed, and a bundle without a ranker says so`() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("data")
        _ = try SampleData(SampleConfiguration(users: 60, items: 60, interactions: 800, seed: 2)).write(
            to: folder.file("data"))
        let (interactions, _) = try InteractionImporter().read(folder.file("data"))
        var plan = TrainingPlan()
        plan.als?.rank = 4
        plan.als?.iterations = 1
        plan.neighbors.lowPassRank = 4
        let schema = FeatureSchema(fields: [
            FeatureField("popularity", from: .itemPopularity, .dense(.none, missing: nil))
        ])
        let model = """
            tree
            num_tree_per_iteration=1
            max_feature_idx=0
            objective=lambdarank
            feature_names=popularity

            Tree=0
            num_leaves=2
            num_cat=0
            split_feature=0
            threshold=9
            decision_type=8
            left_child=-1
            right_child=-2
            leaf_value=1 2

            end of trees

            """
        let trees = try TreeRanker(schema: schema, file: Array(model.utf8), path: "model")
        for (name, ranker) in [("with", RankerArtifact.trees(trees)), ("without", nil)] {
            try Trainer(plan).train(
                interactions, attributes: ItemAttributes(), ranker: ranker,
                into: BundleWriter(destination: folder.file(name)))
        }
        let bench = try BundleRankingBench(bundle: folder.file("with"), precision: .auto)
        #expect(bench.heading.hasPrefix("trees, 1 features, 60 items"))
        let point = try bench.measure(candidates: 20, users: 10, rounds: 1)
        #expect(point.scores > 0 && point.features > 0 && point.explanation > 0)
        #expect(throws: ArtifactError.self) {
            try BundleRankingBench(bundle: folder.file("without"), precision: .auto)
        }
    }
}
