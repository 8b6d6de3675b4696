import CKernels

/// How an ensemble of trees is gone through; the answers are the same, bit for bit.
package enum TreeForm: String, Sendable, CaseIterable {
    /// Sixty-four rows (or sixteen, where there are no more) meet one tree at a time.
    case rowsTogether = "rows"
    /// One row meets sixteen trees at a time.
    case rowAlone = "row"
    /// One row walks one tree from the root to a leaf.
    case walk
}

/// An ensemble of decision trees as the kernels take it. See `tree_ensemble.h` for the layout and where it comes from.
///
/// `@unchecked Sendable`: nothing is written after `init`. What the kernels follow without looking is checked there, once.
package final class TreeTables: @unchecked Sendable {
    package let outputCount: Int
    /// Features that a row must have.
    package let featureCount: Int
    package let byteCount: Int
    private let trees: UnsafeMutablePointer<ck_trees>
    private let kernels: UnsafePointer<ck_tree_kernels>
    private let costs: TreeCosts
    private var blocks: [UnsafeMutableRawPointer]

    /// - Parameter isa: "scalar", "avx2", "avx512" or "neon"; nil for the one in use. For tests and comparisons.
    /// - Returns: nil where this machine lacks that instruction set.
    package init?(_ parts: TreeParts, isa: String? = nil) {
        var kind = ck_isa()
        if let isa {
            guard let found = (CK_SCALAR...CK_NEON).first(where: { Self.name(Int32($0)) == isa })
            else { return nil }
            kind = Int32(found)
        }
        guard let kernels = ck_tree_kernels_of(kind) else { return nil }
        parts.check()
        self.kernels = kernels
        costs = TreeCosts(parts, isa: Self.name(kind))
        outputCount = parts.base.count
        featureCount = Int(parts.features.max().map { $0 + 1 } ?? 0)
        var memory = SealedArrays()
        let bitvectors = parts.bitvectors ?? TreeParts.Bitvectors()
        trees = .allocate(capacity: 1)
        trees.initialize(
            to: ck_trees(
                column_count: parts.features.count, output_count: parts.base.count,
                piece_count: bitvectors.pieces.count, tree_count: parts.walk.roots.count,
                category_count: bitvectors.categories.count,
                features: memory.add(parts.features), kinds: memory.add(parts.kinds.map(\.rawValue)),
                // Adding 0 makes a 0 of a -0, so that adding nothing changes no sum.
                base: memory.add(parts.base.map { $0 + 0 }), single: parts.isSingle ? 1 : 0,
                cut: bitvectors.pieces.contains(where: \.continues) ? 1 : 0,
                pieces: memory.add(
                    bitvectors.pieces.map {
                        ck_tree_piece(
                            entries: $0.entries, nan_left_entries: $0.nanLeftEntries, category_first: $0.categoryFirst,
                            category_count: $0.categoryCount, output: $0.output, continues: $0.continues ? 1 : 0)
                    }),
                group_slots: memory.add(bitvectors.groupSlots), columns: memory.add(bitvectors.columns),
                thresholds: memory.add(bitvectors.thresholds), masks: memory.add(bitvectors.masks),
                nan_right: memory.add(bitvectors.nanRight),
                categories: memory.add(
                    bitvectors.categories.map {
                        ck_category_test(
                            column: $0.column, mask: $0.mask, first_word: $0.firstWord, bit_count: $0.bitCount)
                    }),
                words: memory.add(parts.words), leaves: memory.add(bitvectors.leaves),
                single_leaves: memory.add(bitvectors.leaves.map { Float($0) }),
                leaf_halves: memory.add(Self.halves(bitvectors.leaves)),
                nodes: memory.add(parts.walk.nodes.map(Self.node)), roots: memory.add(parts.walk.roots),
                tree_outputs: memory.add(parts.walk.outputs), node_leaves: memory.add(parts.walk.leaves)))
        blocks = memory.blocks
        byteCount = memory.byteCount
    }

    deinit {
        for block in blocks { block.deallocate() }
        trees.deallocate()
    }

    private static func name(_ isa: Int32) -> String { String(cString: ck_isa_name(isa)) }

    /// Low words of 32 leaves, then their high words, and so on.
    private static func halves(_ leaves: [Double]) -> [UInt32] {
        let piece = Int(CK_PIECE_LEAVES)
        return stride(from: 0, to: leaves.count, by: piece).flatMap { first in
            let bits = leaves[first..<first + piece].map(\.bitPattern)
            return bits.map { UInt32(truncatingIfNeeded: $0) } + bits.map { UInt32(truncatingIfNeeded: $0 >> 32) }
        }
    }

    private static func node(_ node: TreeParts.Node) -> ck_tree_node {
        var raw = ck_tree_node()
        raw.column = node.column
        raw.left = node.left
        raw.right = node.right
        switch node.test {
        case .threshold(let threshold, let nanGoesRight):
            raw.test.threshold = threshold
            if nanGoesRight { raw.column |= CK_NODE_NAN_RIGHT }
        case .categories(let firstWord, let bitCount):
            raw.test.first_word = firstWord
            raw.bit_count = bitCount
            raw.column |= CK_NODE_CATEGORY
        }
        return raw
    }

    /// The sums of the leaves of `rowCount` rows.
    ///
    /// - Parameters:
    ///   - rows: `rowCount` rows of `stride` features, NaN where one is missing.
    ///   - stride: At least `featureCount`.
    ///   - form: nil takes the cheapest; a bitvector form that was not built is the walk.
    ///   - sums: Shape `[rowCount, outputCount]`.
    /// - Complexity: By `TreeCosts`; 256 bytes of scratch for each column and 768 for each output.
    package func evaluate(
        _ rows: UnsafePointer<Float>, stride: Int, rowCount: Int, form: TreeForm? = nil,
        into sums: UnsafeMutablePointer<Double>
    ) {
        precondition(stride >= featureCount, "rows of \(stride) features; the trees want \(featureCount)")
        let columnCount = max(64, trees.pointee.column_count)
        let block = Int(CK_TREE_ROWS)
        let isBatch = rowCount > 1
        let columnBytes = (isBatch ? columnCount * block : columnCount + 64) * 4
        // Scratch for one row is small enough for the stack.
        let sumBytes = outputCount * (isBatch ? block : 1) * 8
        withUnsafeTemporaryAllocation(byteCount: columnBytes + sumBytes + sumBytes / 2, alignment: 64) { scratch in
            guard let start = scratch.baseAddress else { return }
            let columns = start.bindMemory(to: Float.self, capacity: columnBytes / 4)
            let many = (start + columnBytes).bindMemory(to: Double.self, capacity: sumBytes / 8)
            let singles = (start + columnBytes + sumBytes).bindMemory(to: Float.self, capacity: sumBytes / 8)
            var row = 0
            while row < rowCount {
                let count = min(block, rowCount - row)
                let values = rows + row * stride
                let target = sums + row * outputCount
                switch usable(form) ?? costs.cheapest(rows: count) {
                case .rowsTogether where isBatch:
                    kernels.pointee.prepare(trees, values, stride, count, columns)
                    kernels.pointee.rows(trees, columns, count, many, singles)
                    for output in 0..<outputCount {
                        for i in 0..<count { target[i * outputCount + output] = many[output * block + i] }
                    }
                case .rowsTogether, .rowAlone:
                    for i in 0..<count {
                        ck_trees_prepare_row(trees, values + i * stride, columns)
                        kernels.pointee.row(trees, columns, target + i * outputCount, singles)
                    }
                case .walk where isBatch:
                    kernels.pointee.prepare(trees, values, stride, count, columns)
                    ck_trees_walk(trees, columns, block, count, many, block)
                    for output in 0..<outputCount {
                        for i in 0..<count { target[i * outputCount + output] = many[output * block + i] }
                    }
                case .walk:
                    ck_trees_prepare_row(trees, values, columns)
                    ck_trees_walk(trees, columns, 1, 1, target, 1)
                }
                row += count
            }
        }
    }

    /// The form asked for, as far as it was built.
    private func usable(_ form: TreeForm?) -> TreeForm? {
        guard let form else { return nil }
        return trees.pointee.piece_count > 0 || trees.pointee.tree_count == 0 ? form : .walk
    }
}

/// Blocks of memory that a sealed object frees in the end.
private struct SealedArrays {
    var blocks: [UnsafeMutableRawPointer] = []
    var byteCount = 0

    /// A copy of `values` on a cache line of its own, with a line of zeros behind it.
    mutating func add<Element>(_ values: [Element]) -> UnsafePointer<Element> {
        let bytes = values.count * MemoryLayout<Element>.stride
        let memory = AlignedMemory.allocate(byteCount: bytes + 64)
        (memory + bytes).initializeMemory(as: UInt8.self, repeating: 0, count: 64)
        blocks.append(memory)
        byteCount += bytes + 64
        let typed = memory.bindMemory(to: Element.self, capacity: values.count)
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { typed.initialize(from: base, count: values.count) }
        }
        return UnsafePointer(typed)
    }
}
