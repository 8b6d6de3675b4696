import Artifacts
import VectorMath

/// One tree of a LightGBM file.
///
/// Inner nodes are numbered from 0, leaves are children -1 - leaf. A node's `decision_type` holds in bit 0 whether it
/// tests categories, in bit 1 whether missing values go left, in bits 2 and 3 what is missing: nothing (NaN counts as
/// 0), zeros, or NaN.
struct LightGBMTree {
    private let fields: LightGBMFields

    init(_ fields: LightGBMFields) { self.fields = fields }

    private enum Missing: Int {
        case none = 0
        case zero = 1
        case nan = 2
    }

    func tree(output: Int, featureCount: Int, sets: inout CategorySets) throws(ArtifactError) -> DecisionTree {
        if let linear = fields.optional("is_linear"), linear != "0" {
            throw fields.fail("is_linear", "linear trees are not evaluated; train with linear_tree=false")
        }
        let leafCount = try fields.integer("num_leaves", 1...TreeLimits.leavesMax)
        let leaves = try fields.doubles("leaf_value", count: leafCount, finite: true)
        let nodeCount = leafCount - 1
        let features = try fields.integers("split_feature", count: nodeCount, 0...featureCount - 1)
        let thresholds = try fields.doubles("threshold", count: nodeCount, finite: false)
        let decisions = try fields.integers("decision_type", count: nodeCount, 0...15)
        let left = try fields.integers("left_child", count: nodeCount, -leafCount...max(0, nodeCount - 1))
        let right = try fields.integers("right_child", count: nodeCount, -leafCount...max(0, nodeCount - 1))
        let covers =
            nodeCount > 0 && fields.optional("leaf_count") != nil
            ? try fields.doubles("leaf_count", count: leafCount, finite: false) : []
        let categoryCount = try fields.integer("num_cat", 0...nodeCount)
        let categories = categoryCount == 0 ? nil : try Categories(fields, count: categoryCount)

        // Leaves are numbered after the nodes here.
        func number(_ child: Int) -> Int { child < 0 ? nodeCount - 1 - child : child }
        let tree = try DecisionTree.build(
            output: output, count: nodeCount + leafCount, fail: { fields.fail("left_child and right_child", $0) }
        ) { (at: Int) throws(ArtifactError) in
            guard at < nodeCount else {
                return .leaf(leaves[at - nodeCount], cover: covers.isEmpty ? 0 : covers[at - nodeCount])
            }
            let decision = decisions[at]
            guard let missing = Missing(rawValue: decision >> 2) else {
                throw fields.fail("decision_type", "node \(at) has \(decision), which is none that LightGBM writes")
            }
            if decision & 1 == 1 {
                guard let categories else { throw fields.fail("num_cat", "node \(at) tests categories, but it is 0") }
                let set = try categories.set(thresholds[at], of: at)
                guard let test = sets.add(bits: set) else {
                    throw fields.fail("cat_threshold", "the sets have more than \(TreeLimits.categoryBytesMax) bytes")
                }
                // The set goes left there and right here.
                return .node(
                    feature: features[at], kind: .truncatedCategory, test: test, left: number(right[at]),
                    right: number(left[at]))
            }
            let kind: TreeParts.ColumnKind = missing == .zero ? .zeroIsMissing : .plain
            // Where nothing is missing NaN counts as 0.
            let nanGoesRight = missing == .none ? !(0 <= thresholds[at]) : decision & 2 == 0
            if thresholds[at] == .infinity, nanGoesRight {
                // All values go left, also an infinite one, and NaN right: the same with the sides changed.
                return .node(
                    feature: features[at], kind: kind, test: .threshold(-.infinity, nanGoesRight: false),
                    left: number(right[at]), right: number(left[at]))
            }
            return .node(
                feature: features[at], kind: kind,
                test: .threshold(Self.least(above: thresholds[at]), nanGoesRight: nanGoesRight),
                left: number(left[at]), right: number(right[at]))
        }
        guard tree.leaves.count == leafCount else {
            throw fields.fail("left_child and right_child", "\(tree.leaves.count) of \(leafCount) leaves are reached")
        }
        return tree
    }

    /// The least Float32 that is not `<= threshold`, which is compared in doubles; NaN, which no value reaches, when
    /// all are.
    private static func least(above threshold: Double) -> Float {
        if threshold == .infinity { return .nan }
        let nearest = Float(threshold)
        return (Double(nearest) > threshold ? nearest.nextDown : nearest).nextUp
    }

    /// Bitsets of categories: `cat_boundaries` says which words of `cat_threshold` belong to each.
    private struct Categories {
        private let fields: LightGBMFields
        private let boundaries: [Int]
        private let words: [UInt32]

        init(_ fields: LightGBMFields, count: Int) throws(ArtifactError) {
            self.fields = fields
            boundaries = try fields.integers("cat_boundaries", count: count + 1, 0...TreeLimits.categoryBytesMax / 4)
            guard boundaries[0] == 0, zip(boundaries, boundaries.dropFirst()).allSatisfy({ $0 <= $1 }) else {
                throw fields.fail("cat_boundaries", "they do not ascend from 0")
            }
            words = try fields.words32("cat_threshold", count: boundaries[count])
        }

        /// The bits of the set that a node's threshold names.
        func set(_ threshold: Double, of node: Int) throws(ArtifactError) -> ArraySlice<UInt32> {
            guard let index = Int(exactly: threshold), (0..<boundaries.count - 1).contains(index) else {
                throw fields.fail(
                    "threshold", "node \(node) names the set \(threshold); there are \(boundaries.count - 1)")
            }
            return words[boundaries[index]..<boundaries[index + 1]]
        }
    }
}
