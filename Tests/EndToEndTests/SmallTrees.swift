import Features
import RankingModels
import TestSupport

@testable import MartletServer

/// One tree that ranks the small world's items.
enum SmallTrees {
    /// Popular items first, those without a factor product (unknown users') by popularity alone.
    private static let model = """
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        max_feature_idx=1
        objective=lambdarank
        feature_names=popularity product

        Tree=0
        num_leaves=4
        num_cat=0
        split_feature=0 1 0
        threshold=30 0.1 60
        decision_type=8 8 8
        left_child=1 -1 -3
        right_child=2 -2 -4
        leaf_value=-1 -0.5 0.25 1.5
        leaf_count=40 30 20 10
        is_linear=0

        end of trees

        """

    static let schema = FeatureSchema(fields: [
        FeatureField("popularity", from: .itemPopularity, .dense(.none, missing: nil)),
        FeatureField("product", from: .factorProduct("als"), .dense(.none, missing: nil)),
    ])

    static func ranker(_ schema: FeatureSchema = schema) throws -> TreeRanker {
        try TreeRanker(schema: schema, file: Array(model.utf8), path: "model.txt")
    }

    static func withNode(
        _ trees: TreeRanker, in folder: TemporaryFolder, change: (inout ServerConfiguration) -> Void = { _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        let node = try await TestNode(
            bundle: SmallWorld.makeBundle(in: folder, name: "trees", trees: trees), change: change)
        do {
            try await body(node)
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }
}
