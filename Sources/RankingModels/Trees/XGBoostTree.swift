import Artifacts
import VectorMath

/// One tree of an XGBoost model. Nodes and leaves are numbered alike; a leaf has no left child (-1), and its value
/// stands among the thresholds. Numbers that the root does not lead to were pruned.
struct XGBoostTree {
    private let fields: ModelField

    init(_ fields: ModelField) { self.fields = fields }

    func tree(output: Int, featureCount: Int, sets: inout CategorySets) throws(ArtifactError) -> DecisionTree {
        let parameters = fields["tree_param"]
        if parameters["size_leaf_vector"].isThere {
            let size = try parameters["size_leaf_vector"].integer(0...Int(Int32.max))
            guard size <= 1 else {
                throw parameters["size_leaf_vector"].fail(
                    "leaves of \(size) values are not evaluated; train with multi_strategy=one_output_per_tree")
            }
        }
        let count = try parameters["num_nodes"].integer(1...2 * TreeLimits.leavesMax)
        let left = try fields["left_children"].integers(count: count, -1...count - 1)
        let right = try fields["right_children"].integers(count: count, -1...count - 1)
        let thresholds = try fields["split_conditions"].numbers(count: count)
        let features = try fields["split_indices"].integers(count: count, 0...Int(Int32.max))
        let defaultLeft = try fields["default_left"].integers(count: count, 0...1)
        let kinds = fields["split_type"].isThere ? try fields["split_type"].integers(0...1) : []
        guard kinds.isEmpty || kinds.count == count else {
            throw fields["split_type"].fail("\(kinds.count) values; \(count) are needed")
        }
        // Nothing that scores depends on them: what cannot be read is unknown.
        let hessians = (try? fields["sum_hessian"].numbers(count: count)) ?? []
        let categories = try kinds.contains(1) ? Categories(fields, nodeCount: count) : nil

        return try DecisionTree.build(
            output: output, count: count, fail: { fields["left_children"].fail($0) }
        ) { (at: Int) throws(ArtifactError) in
            let threshold = Float(thresholds[at])
            if left[at] < 0 {
                guard threshold.isFinite else {
                    throw fields["split_conditions"].fail("the value of leaf \(at) is not finite")
                }
                return .leaf(Double(threshold), cover: hessians.isEmpty ? 0 : hessians[at])
            }
            guard right[at] >= 0 else { throw fields["right_children"].fail("node \(at) has a left child only") }
            guard features[at] < featureCount else {
                throw fields["split_indices"].fail(
                    "node \(at) asks for feature \(features[at]); there are \(featureCount)")
            }
            let nanGoesRight = defaultLeft[at] == 0
            if let categories, kinds[at] == 1 {
                guard let test = sets.add(try categories.set(of: at), nan: nanGoesRight) else {
                    throw fields["categories"].fail("the sets have more than \(TreeLimits.categoryBytesMax) bytes")
                }
                return .node(
                    feature: features[at], kind: .category, test: test, left: left[at], right: right[at])
            }
            guard !threshold.isNaN else { throw fields["split_conditions"].fail("the threshold of node \(at) is NaN") }
            return .node(
                feature: features[at], kind: .plain, test: .threshold(threshold, nanGoesRight: nanGoesRight),
                left: left[at], right: right[at])
        }
    }

    /// The categories that go right: for each node named, a segment of one list.
    private struct Categories {
        private let fields: ModelField
        private let segments: [Int: Range<Int>]
        private let categories: [Int]

        init(_ fields: ModelField, nodeCount: Int) throws(ArtifactError) {
            self.fields = fields
            categories = try fields["categories"].integers(0...TreeLimits.categoryMax)
            let nodes = try fields["categories_nodes"].integers(0...nodeCount - 1)
            let starts = try fields["categories_segments"].integers(count: nodes.count, 0...categories.count)
            let sizes = try fields["categories_sizes"].integers(count: nodes.count, 0...categories.count)
            var segments: [Int: Range<Int>] = [:]
            for (index, node) in nodes.enumerated() {
                let end = starts[index] + sizes[index]
                guard end <= categories.count else {
                    throw fields["categories_sizes"].fail("segment \(index) ends at \(end) of \(categories.count)")
                }
                guard segments.updateValue(starts[index]..<end, forKey: node) == nil else {
                    throw fields["categories_nodes"].fail("node \(node) stands there twice")
                }
            }
            self.segments = segments
        }

        func set(of node: Int) throws(ArtifactError) -> ArraySlice<Int> {
            guard let segment = segments[node] else {
                throw fields["categories_nodes"].fail("node \(node) tests categories but is not there")
            }
            return categories[segment]
        }
    }
}
