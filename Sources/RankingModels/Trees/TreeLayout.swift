import VectorMath

/// Lays trees out for the kernels.
enum TreeLayout {
    static func parts(_ model: TreeModel) -> TreeParts {
        let columns = Columns(model.trees)
        let walk = walk(model.trees, columns)
        var bitvectors: TreeParts.Bitvectors?
        let entries = entryCount(model.trees)
        // Beyond that a walk is faster even where 64 rows go together.
        if entries <= TreeLimits.entriesMax, Double(entries) <= 320 * walk.stepsPerRow {
            bitvectors = Self.bitvectors(model.trees, columns)
        }
        return TreeParts(
            features: columns.features, kinds: columns.kinds, base: model.base, isSingle: model.isSingle,
            words: model.words, walk: walk, bitvectors: bitvectors)
    }

    /// The columns that the trees look at: plain ones first, each kind in the order of its features.
    struct Columns {
        private struct Key: Hashable, Comparable {
            let kind: TreeParts.ColumnKind
            let feature: UInt32
            static func < (a: Key, b: Key) -> Bool { (a.kind, a.feature) < (b.kind, b.feature) }
        }

        let features: [UInt32]
        let kinds: [TreeParts.ColumnKind]
        private let places: [Key: UInt32]

        init(_ trees: [DecisionTree]) {
            var keys: Set<Key> = []
            for tree in trees {
                for node in tree.nodes { keys.insert(Key(kind: node.kind, feature: node.feature)) }
            }
            let sorted = keys.sorted()
            features = sorted.map(\.feature)
            kinds = sorted.map(\.kind)
            places = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1, UInt32($0)) })
        }

        func place(_ node: DecisionTree.Node) -> UInt32 {
            guard let place = places[Key(kind: node.kind, feature: node.feature)] else {
                preconditionFailure("no column of feature \(node.feature)")
            }
            return place
        }
    }

    private static func walk(_ trees: [DecisionTree], _ columns: Columns) -> TreeParts.Walk {
        var walk = TreeParts.Walk()
        walk.nodes.reserveCapacity(trees.reduce(0) { $0 + $1.nodes.count })
        for tree in trees {
            let firstNode = Int32(walk.nodes.count)
            let firstLeaf = Int32(walk.leaves.count)
            func moved(_ child: Int32) -> Int32 { child < 0 ? child - firstLeaf : child + firstNode }
            for node in tree.nodes {
                walk.nodes.append(
                    TreeParts.Node(
                        column: columns.place(node), test: node.test, left: moved(node.left), right: moved(node.right)))
            }
            walk.roots.append(tree.nodes.isEmpty ? -1 - firstLeaf : firstNode)
            walk.outputs.append(UInt32(tree.output))
            walk.leaves += tree.leaves
            walk.stepsPerRow += 1 + Double(tree.depthSum) / Double(tree.leaves.count)
        }
        return walk
    }
}
