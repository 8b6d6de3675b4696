/// What `TreeTables` is made of, in plain arrays. See `tree_ensemble.h` for the meaning of each.
package struct TreeParts: Sendable {
    /// What a column does to the values of its feature.
    package enum ColumnKind: UInt8, Sendable, Comparable {
        case plain = 0
        /// Values within 1e-35 of zero are missing.
        case zeroIsMissing = 1
        /// Categories by LightGBM's rule: the integer part, and -0.5 is category 0.
        case truncatedCategory = 2
        /// Categories by XGBoost's rule: what is below 0 is none.
        case category = 3

        package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
    }

    package enum NodeTest: Sendable, Equatable {
        /// Right when the value is not below; NaN as it says.
        case threshold(Float, nanGoesRight: Bool)
        /// Right when the code's bit is set: bit 0 is NaN, bit 1 + c is category c.
        case categories(firstWord: UInt32, bitCount: UInt32)
    }

    package struct Node: Sendable {
        package var column: UInt32
        package var test: NodeTest
        /// Later nodes, or -1 - leaf.
        package var left: Int32
        package var right: Int32

        package init(column: UInt32, test: NodeTest, left: Int32, right: Int32) {
            (self.column, self.test, self.left, self.right) = (column, test, left, right)
        }
    }

    package struct Walk: Sendable {
        package var nodes: [Node] = []
        /// Of each tree: its first node, or -1 - leaf.
        package var roots: [Int32] = []
        package var outputs: [UInt32] = []
        package var leaves: [Double] = []
        /// Nodes that a row passes in all trees together, on average.
        package var stepsPerRow = 0.0

        package init() {}
    }

    /// Up to 32 leaves of a tree.
    package struct Piece: Sendable {
        package var entries: UInt32 = 0
        package var nanLeftEntries: UInt32 = 0
        package var categoryFirst: UInt32 = 0
        package var categoryCount: UInt32 = 0
        package var output: UInt32 = 0
        package var continues = false

        package init() {}
    }

    package struct CategoryTest: Sendable {
        package var column: UInt32
        package var mask: UInt32
        package var firstWord: UInt32
        package var bitCount: UInt32

        package init(column: UInt32, mask: UInt32, firstWord: UInt32, bitCount: UInt32) {
            (self.column, self.mask, self.firstWord, self.bitCount) = (column, mask, firstWord, bitCount)
        }
    }

    package struct Bitvectors: Sendable {
        package var pieces: [Piece] = []
        package var groupSlots: [UInt32] = [0]
        /// `[slot][16]` each.
        package var columns: [UInt32] = []
        package var thresholds: [Float] = []
        package var masks: [UInt32] = []
        /// `[slot]`.
        package var nanRight: [UInt16] = []
        package var categories: [CategoryTest] = []
        /// `[piece][32]`, zeros where a piece has fewer.
        package var leaves: [Double] = []

        package init() {}
    }

    /// Of each column; plain ones first, each kind in the order of its features.
    package var features: [UInt32]
    package var kinds: [ColumnKind]
    /// What each output begins with.
    package var base: [Double]
    /// Whether sums are taken in Float32.
    package var isSingle: Bool
    /// Sets of categories.
    package var words: [UInt32]
    package var walk: Walk
    /// nil where they would be too many.
    package var bitvectors: Bitvectors?

    package init(
        features: [UInt32], kinds: [ColumnKind], base: [Double], isSingle: Bool, words: [UInt32], walk: Walk,
        bitvectors: Bitvectors?
    ) {
        self.features = features
        self.kinds = kinds
        self.base = base
        self.isSingle = isSingle
        self.words = words
        self.walk = walk
        self.bitvectors = bitvectors
    }

    static let lanes = 16
    static let pieceLeaves = 32

    /// Stops at what a kernel would follow out of its memory; whoever lays trees out has refused bad files before.
    func check() {
        precondition(features.count == kinds.count, "\(features.count) columns of \(kinds.count) kinds")
        precondition(!base.isEmpty, "no output")
        func checkSet(_ first: UInt32, _ bits: UInt32) {
            precondition(Int(first) + (Int(bits) + 31) / 32 <= words.count, "a set ends at \(first) + \(bits) bits")
        }
        precondition(walk.roots.count == walk.outputs.count, "\(walk.roots.count) trees")
        precondition(walk.outputs.allSatisfy { Int($0) < base.count }, "an output of \(base.count)")
        for (at, node) in walk.nodes.enumerated() {
            precondition(Int(node.column) < features.count, "column \(node.column) of \(features.count)")
            for child in [node.left, node.right] {
                // Children stand behind their parents: no walk goes round.
                precondition(
                    child < 0 ? Int(~child) < walk.leaves.count : Int(child) > at, "child \(child) of node \(at)")
                precondition(Int(child) < walk.nodes.count, "child \(child) of \(walk.nodes.count)")
            }
            if case .categories(let first, let bits) = node.test { checkSet(first, bits) }
        }
        for root in walk.roots {
            precondition(root < 0 ? Int(~root) < walk.leaves.count : Int(root) < walk.nodes.count, "root \(root)")
        }
        guard let bitvectors else { return }
        let slots = bitvectors.nanRight.count
        let groups = (bitvectors.pieces.count + Self.lanes - 1) / Self.lanes
        precondition(bitvectors.groupSlots.count == groups + 1 && Int(bitvectors.groupSlots[groups]) == slots, "groups")
        precondition(
            bitvectors.columns.count == slots * Self.lanes && bitvectors.thresholds.count == slots * Self.lanes
                && bitvectors.masks.count == slots * Self.lanes, "\(slots) slots")
        precondition(bitvectors.leaves.count == bitvectors.pieces.count * Self.pieceLeaves, "leaves")
        precondition(
            bitvectors.columns.allSatisfy { Int($0) < max(1, features.count) }, "a column of \(features.count)")
        for (index, piece) in bitvectors.pieces.enumerated() {
            let group = index / Self.lanes
            let room = bitvectors.groupSlots[group + 1] - bitvectors.groupSlots[group]
            precondition(piece.nanLeftEntries <= piece.entries && piece.entries <= room, "piece \(index)")
            precondition(Int(piece.output) < base.count, "output \(piece.output) of \(base.count)")
            precondition(
                Int(piece.categoryFirst) + Int(piece.categoryCount) <= bitvectors.categories.count, "piece \(index)")
        }
        for test in bitvectors.categories {
            precondition(Int(test.column) < features.count, "column \(test.column) of \(features.count)")
            checkSet(test.firstWord, test.bitCount)
        }
    }
}
