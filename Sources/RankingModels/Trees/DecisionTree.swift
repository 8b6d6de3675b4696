import Artifacts
import VectorMath

/// One tree as read from a file and checked: every node and leaf is reached exactly once.
struct DecisionTree: Sendable {
    struct Node: Sendable {
        var feature: UInt32
        var kind: TreeParts.ColumnKind
        var test: TreeParts.NodeTest
        /// A later node of `nodes`, or -1 - leaf.
        var left: Int32
        var right: Int32
        /// The leaves under `left` begin here; those under `right` follow.
        var firstLeaf: Int32
        /// Where the leaves under `right` begin.
        var firstRightLeaf: Int32
    }

    /// Parents before children.
    var nodes: [Node] = []
    /// From left to right.
    var leaves: [Double] = []
    /// Of each leaf how much of the training data came to it, in no unit; 1 where the file does not say it of all. For explaining.
    var covers: [Double] = []
    /// The output that the leaves are added to.
    var output = 0
    /// The sum of all leaves' depths.
    var depthSum = 0

    /// What a file says of the node or leaf with a number.
    enum Record {
        /// - Parameter cover: 0 or less: unknown.
        case leaf(Double, cover: Double)
        case node(feature: Int, kind: TreeParts.ColumnKind, test: TreeParts.NodeTest, left: Int, right: Int)
    }

    /// Builds a tree from numbered records, from the root (0) on, left before right.
    ///
    /// - Parameters:
    ///   - count: Records are numbered `0..<count`.
    ///   - fail: Makes the error for a fault in the numbering.
    ///   - record: Reads a record; called at most once for each number.
    /// - Throws: What `record` throws, and `fail` for a child out of range or reached twice (a cycle, or two parents).
    /// - Complexity: O(count); no recursion, so depth has no bound but the count.
    static func build(
        output: Int, count: Int, fail: (String) -> ArtifactError, record: (Int) throws(ArtifactError) -> Record
    ) throws(ArtifactError) -> DecisionTree {
        var tree = DecisionTree()
        tree.output = output
        tree.nodes.reserveCapacity(count / 2)
        tree.leaves.reserveCapacity(count / 2 + 1)
        var seen = [Bool](repeating: false, count: count)
        var waiting: [(number: Int, parent: Int, isRight: Bool, depth: Int)] = [(0, -1, false, 0)]
        while let next = waiting.popLast() {
            guard seen.indices.contains(next.number) else {
                throw fail("child \(next.number) does not exist; there are \(count)")
            }
            guard !seen[next.number] else { throw fail("node \(next.number) is reached twice") }
            seen[next.number] = true
            let place: Int32
            switch try record(next.number) {
            case .leaf(let value, let cover):
                place = Int32(-1 - tree.leaves.count)
                if next.isRight { tree.nodes[next.parent].firstRightLeaf = Int32(tree.leaves.count) }
                tree.leaves.append(value)
                tree.covers.append(cover)
                tree.depthSum += next.depth
            case .node(let feature, let kind, let test, let left, let right):
                place = Int32(tree.nodes.count)
                if next.isRight { tree.nodes[next.parent].firstRightLeaf = Int32(tree.leaves.count) }
                tree.nodes.append(
                    Node(
                        feature: UInt32(feature), kind: kind, test: test, left: 0, right: 0,
                        firstLeaf: Int32(tree.leaves.count), firstRightLeaf: 0))
                waiting.append((right, Int(place), true, next.depth + 1))
                waiting.append((left, Int(place), false, next.depth + 1))
            }
            guard next.parent >= 0 else { continue }
            if next.isRight {
                tree.nodes[next.parent].right = place
            } else {
                tree.nodes[next.parent].left = place
            }
        }
        if !tree.covers.allSatisfy({ $0.isFinite && $0 > 0 }) {
            tree.covers = [Double](repeating: 1, count: tree.leaves.count)
        }
        return tree
    }
}

/// Sets of categories of all trees, bounded.
struct CategorySets {
    private(set) var words: [UInt32] = []

    /// Appends a set and gives the test for it.
    ///
    /// - Parameter categories: Each at most `TreeLimits.categoryMax`.
    /// - Returns: nil when there is no room left.
    mutating func add(_ categories: some Collection<Int>, nan: Bool) -> TreeParts.NodeTest? {
        let bitCount = (categories.max() ?? -1) + 2
        guard let first = room(bits: bitCount) else { return nil }
        if nan { words[first] |= 1 }
        for category in categories { words[first + (category + 1) / 32] |= 1 << UInt32((category + 1) % 32) }
        return .categories(firstWord: UInt32(first), bitCount: UInt32(bitCount))
    }

    /// The same for a set that has a bit for each category; NaN is not in it.
    mutating func add(bits: ArraySlice<UInt32>) -> TreeParts.NodeTest? {
        let bitCount = bits.count * 32 + 1
        guard let first = room(bits: bitCount) else { return nil }
        // Bit 0 is NaN's, so all move up by one.
        for (at, word) in bits.enumerated() {
            words[first + at] |= word << 1
            words[first + at + 1] |= word >> 31
        }
        return .categories(firstWord: UInt32(first), bitCount: UInt32(bitCount))
    }

    private mutating func room(bits: Int) -> Int? {
        let count = (bits + 31) / 32
        guard (words.count + count) * 4 <= TreeLimits.categoryBytesMax else { return nil }
        words.append(contentsOf: repeatElement(0, count: count))
        return words.count - count
    }
}
