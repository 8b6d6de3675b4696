import VectorMath

/// What each feature did to the score that trees give a row: Shapley values by TreeSHAP (Lundberg et al. 2018,
/// arXiv:1802.03888, algorithm 2, "path dependent"), as `pred_contrib` of LightGBM and `pred_contribs` of XGBoost give them.
///
/// `bias` and a row's contributions add up to the sum of its leaves, before the objective's transform. Trees deeper than
/// `depthMax`, or very large ones, are attributed along the row's path instead (Saabas 2014), which adds up to the same. Immutable.
package final class TreeAttributions: Sendable {
    /// Levels of a tree that Shapley values are computed of.
    package static let depthMax = 64
    /// Multiplications that Shapley values of a tree may take, some milliseconds; a larger one is attributed along the path.
    private static let costMax = 1_000_000

    fileprivate struct Tree {
        var tree: DecisionTree
        /// Of each node: how much of the training data came to it, and the mean of the leaves they came to.
        var covers: [Double]
        var means: [Double]
        var followsPath: Bool
    }

    /// Room for the ways through a tree: 70 KiB.
    package struct Scratch {
        fileprivate var walk = ShapleyWalk(depthMax: depthMax)

        package init() {}
    }

    private let trees: [Tree]
    private let words: [UInt32]
    private let divisor: Double
    /// What a row scores of which nothing is known.
    package let bias: Double
    /// Of each tree: about how many multiplications its Shapley values take.
    package let costs: [Int]

    init(_ model: TreeModel) {
        precondition(model.outputCount == 1, "\(model.outputCount) outputs")
        words = model.words
        divisor = model.divisor
        var bias = model.base[0]
        var trees: [Tree] = []
        var costs: [Int] = []
        for tree in model.trees {
            var one = Tree(tree: tree, covers: [], means: [], followsPath: false)
            one.covers = [Double](repeating: 0, count: tree.nodes.count)
            one.means = one.covers
            var heights = [Int](repeating: 0, count: tree.nodes.count)
            // Children stand behind their parents.
            for place in tree.nodes.indices.reversed() {
                let (left, right) = (tree.nodes[place].left, tree.nodes[place].right)
                let (a, b) = (one.cover(left), one.cover(right))
                one.covers[place] = a + b
                one.means[place] = (a * one.mean(left) + b * one.mean(right)) / (a + b)
                heights[place] = 1 + max(left < 0 ? 0 : heights[Int(left)], right < 0 ? 0 : heights[Int(right)])
            }
            let height = heights.first ?? 0
            let cost = height > Self.depthMax ? Int.max : tree.leaves.count * (height + 1) * (height + 1)
            one.followsPath = cost > Self.costMax
            bias += one.mean(tree.nodes.isEmpty ? -1 : 0)
            costs.append(one.followsPath ? height : cost)
            trees.append(one)
        }
        self.trees = trees
        self.costs = costs
        self.bias = bias / divisor
    }

    package var treeCount: Int { trees.count }

    package var byteCount: Int {
        trees.reduce(words.count * 4) {
            $0 + $1.tree.nodes.count * (MemoryLayout<DecisionTree.Node>.stride + 16) + $1.tree.leaves.count * 16
        }
    }

    /// Adds what one tree did to a row.
    ///
    /// - Parameters:
    ///   - row: A value for each feature of the model, NaN where it is missing.
    ///   - scratch: Used again from call to call.
    ///   - contributions: One for each feature.
    /// - Complexity: O(leaves * depth²).
    package func add(
        _ row: [Float], tree number: Int, _ scratch: inout Scratch, to contributions: inout [Double]
    ) {
        let one = trees[number]
        guard !one.tree.nodes.isEmpty else { return }
        if one.followsPath {
            addPath(one, row, to: &contributions)
        } else {
            descend(
                one, 0, row, &scratch.walk, before: 0, at: 0, depth: 0, zero: 1, one: 1, feature: -1, to: &contributions
            )
        }
    }

    private func addPath(_ one: Tree, _ row: [Float], to contributions: inout [Double]) {
        var place: Int32 = 0
        while place >= 0 {
            let node = one.tree.nodes[Int(place)]
            let next = goesRight(node, row) ? node.right : node.left
            contributions[Int(node.feature)] += (one.mean(next) - one.mean(place)) / divisor
            place = next
        }
    }

    /// - Parameters:
    ///   - before: Where the way to the parent lies in `walk`, of `depth` elements.
    ///   - at: Where the way to this node goes.
    private func descend(
        _ tree: Tree, _ place: Int32, _ row: [Float], _ walk: inout ShapleyWalk, before: Int, at: Int, depth: Int,
        zero: Double, one: Double, feature: Int32, to contributions: inout [Double]
    ) {
        var depth = depth
        walk.extend(from: before, to: at, depth, zero: zero, one: one, feature: feature)
        guard place >= 0 else {
            let value = tree.mean(place) / divisor
            if depth > 0 {
                for index in 1...depth {
                    let (feature, weight) = walk.weight(at, depth, index)
                    contributions[Int(feature)] += weight * value
                }
            }
            return
        }
        let node = tree.tree.nodes[Int(place)]
        let (hot, cold) = goesRight(node, row) ? (node.right, node.left) : (node.left, node.right)
        let whole = tree.covers[Int(place)]
        let own = Int32(node.feature)
        // A feature that was tested above counts once.
        let (zeroBefore, oneBefore) = walk.unwind(at, &depth, feature: own)
        descend(
            tree, hot, row, &walk, before: at, at: at + depth + 1, depth: depth + 1,
            zero: tree.cover(hot) / whole * zeroBefore, one: oneBefore,
            feature: own, to: &contributions)
        descend(
            tree, cold, row, &walk, before: at, at: at + depth + 1, depth: depth + 1,
            zero: tree.cover(cold) / whole * zeroBefore, one: 0, feature: own,
            to: &contributions)
    }

    /// As the kernels decide it (`ck_column_value` and its users).
    private func goesRight(_ node: DecisionTree.Node, _ row: [Float]) -> Bool {
        let value = row[Int(node.feature)]
        switch node.test {
        case .threshold(let threshold, let nanGoesRight):
            let isMissing = value.isNaN || node.kind == .zeroIsMissing && abs(value) <= 1e-35
            return isMissing ? nanGoesRight : value >= threshold
        case .categories(let firstWord, let bitCount):
            var code: UInt32 = 0
            if !value.isNaN {
                let isBelow = node.kind == .category ? value < 0 : value <= -1
                guard !isBelow, value < 2_147_483_648 else { return false }
                code = UInt32(max(value, 0)) + 1
            }
            return code < bitCount && words[Int(firstWord + code / 32)] >> (code % 32) & 1 == 1
        }
    }
}

extension TreeAttributions.Tree {
    fileprivate func cover(_ place: Int32) -> Double { place < 0 ? tree.covers[Int(-1 - place)] : covers[Int(place)] }
    /// The value of a leaf, or the mean of those below a node.
    fileprivate func mean(_ place: Int32) -> Double { place < 0 ? tree.leaves[Int(-1 - place)] : means[Int(place)] }
}

/// The features on the way to a node, with the share of all subsets of them by size; the ways to all nodes above stay.
private struct ShapleyWalk {
    private struct Element {
        var feature: Int32 = -1
        /// Share of the ways through the tests of this feature that are open without knowing it, and with it.
        var zero = 0.0
        var one = 0.0
        var weight = 0.0
    }

    private var elements: [Element]

    init(depthMax: Int) {
        elements = [Element](repeating: Element(), count: (depthMax + 2) * (depthMax + 3) / 2)
    }

    /// Copies a way of `depth` elements and adds one.
    mutating func extend(from before: Int, to at: Int, _ depth: Int, zero: Double, one: Double, feature: Int32) {
        for index in 0..<depth { elements[at + index] = elements[before + index] }
        elements[at + depth] = Element(feature: feature, zero: zero, one: one, weight: depth == 0 ? 1 : 0)
        let size = Double(depth + 1)
        for index in (0..<depth).reversed() {
            let weight = elements[at + index].weight
            elements[at + index + 1].weight += one * weight * Double(index + 1) / size
            elements[at + index].weight = zero * weight * Double(depth - index) / size
        }
    }

    /// Takes a feature out of a way, which becomes shorter by one; its shares, 1 where it is not on it.
    mutating func unwind(_ at: Int, _ depth: inout Int, feature: Int32) -> (zero: Double, one: Double) {
        guard let index = (0...depth).first(where: { elements[at + $0].feature == feature }) else { return (1, 1) }
        let (zero, one) = (elements[at + index].zero, elements[at + index].one)
        let size = Double(depth + 1)
        var next = elements[at + depth].weight
        for place in (0..<depth).reversed() {
            let weight = elements[at + place].weight
            if one != 0 {
                elements[at + place].weight = next * size / (Double(place + 1) * one)
                next = weight - elements[at + place].weight * zero * Double(depth - place) / size
            } else {
                elements[at + place].weight = weight * size / (zero * Double(depth - place))
            }
        }
        for place in index..<depth {
            let weight = elements[at + place].weight
            elements[at + place] = elements[at + place + 1]
            elements[at + place].weight = weight
        }
        depth -= 1
        return (zero, one)
    }

    /// The feature of an element, and its share of what the way leads to.
    func weight(_ at: Int, _ depth: Int, _ index: Int) -> (feature: Int32, weight: Double) {
        let element = elements[at + index]
        let size = Double(depth + 1)
        var next = elements[at + depth].weight
        var total = 0.0
        for place in (0..<depth).reversed() {
            if element.one != 0 {
                let part = next * size / (Double(place + 1) * element.one)
                total += part
                next = elements[at + place].weight - part * element.zero * Double(depth - place) / size
            } else if element.zero != 0 {
                total += elements[at + place].weight / (element.zero * Double(depth - place) / size)
            }
        }
        return (element.feature, total * (element.one - element.zero))
    }
}
