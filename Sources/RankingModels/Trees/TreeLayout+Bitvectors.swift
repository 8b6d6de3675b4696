import VectorMath

extension TreeLayout {
    private static let lanes = 16
    private static let pieceLeaves = 32

    /// Entries of all pieces: a node has one in each piece that holds leaves of its left subtree.
    static func entryCount(_ trees: [DecisionTree]) -> Int {
        trees.reduce(0) { sum, tree in
            sum
                + tree.nodes.reduce(0) { sum, node in
                    let first = Int(node.firstLeaf) / pieceLeaves
                    return sum + (Int(node.firstRightLeaf) - 1) / pieceLeaves - first + 1
                }
        }
    }

    private struct Entry {
        let column: UInt32
        let threshold: Float
        let mask: UInt32
    }

    /// The entries of one piece.
    private struct Entries {
        /// Those that send NaN left, and those that send it right.
        var nanLeft: [Entry] = []
        var nanRight: [Entry] = []
        var categories: [TreeParts.CategoryTest] = []
        var count: Int { nanLeft.count + nanRight.count }
    }

    static func bitvectors(_ trees: [DecisionTree], _ columns: Columns) -> TreeParts.Bitvectors {
        var result = TreeParts.Bitvectors()
        var group: [Entries] = []
        func close() {
            append(group, to: &result)
            group.removeAll(keepingCapacity: true)
        }
        for tree in trees {
            for (index, entries) in pieces(tree, columns).enumerated() {
                var piece = TreeParts.Piece()
                piece.entries = UInt32(entries.count)
                piece.nanLeftEntries = UInt32(entries.nanLeft.count)
                piece.categoryFirst = UInt32(result.categories.count)
                piece.categoryCount = UInt32(entries.categories.count)
                piece.output = UInt32(tree.output)
                piece.continues = index > 0
                result.pieces.append(piece)
                result.categories += entries.categories
                let leaves = tree.leaves.dropFirst(index * pieceLeaves).prefix(pieceLeaves)
                result.leaves += leaves
                result.leaves += repeatElement(0, count: pieceLeaves - leaves.count)
                group.append(entries)
                if group.count == lanes { close() }
            }
        }
        if !group.isEmpty { close() }
        return result
    }

    private static func pieces(_ tree: DecisionTree, _ columns: Columns) -> [Entries] {
        var pieces = [Entries](
            repeating: Entries(), count: (tree.leaves.count + pieceLeaves - 1) / pieceLeaves)
        for node in tree.nodes {
            let column = columns.place(node)
            let (first, end) = (Int(node.firstLeaf), Int(node.firstRightLeaf))
            for piece in first / pieceLeaves...(end - 1) / pieceLeaves {
                let from = max(first - piece * pieceLeaves, 0)
                let to = min(end - piece * pieceLeaves, pieceLeaves)
                // Leaves from..<to go; the first leaf is the highest bit. Shifts by 32 give 0.
                let mask = ~((UInt32.max >> UInt32(from)) & ~(UInt32.max >> UInt32(to)))
                switch node.test {
                case .threshold(let threshold, let nanGoesRight):
                    let entry = Entry(column: column, threshold: threshold, mask: mask)
                    if nanGoesRight {
                        pieces[piece].nanRight.append(entry)
                    } else {
                        pieces[piece].nanLeft.append(entry)
                    }
                case .categories(let firstWord, let bitCount):
                    pieces[piece].categories.append(
                        TreeParts.CategoryTest(column: column, mask: mask, firstWord: firstWord, bitCount: bitCount))
                }
            }
        }
        return pieces
    }

    /// Writes the slots of up to sixteen pieces.
    private static func append(_ group: [Entries], to result: inout TreeParts.Bitvectors) {
        let slots = group.map(\.count).max() ?? 0
        for slot in 0..<slots {
            var nanRight: UInt16 = 0
            for lane in 0..<lanes {
                // What fills up takes no leaf out.
                var entry = Entry(column: 0, threshold: .infinity, mask: .max)
                if lane < group.count, slot < group[lane].count {
                    let entries = group[lane]
                    if slot < entries.nanLeft.count {
                        entry = entries.nanLeft[slot]
                    } else {
                        entry = entries.nanRight[slot - entries.nanLeft.count]
                        nanRight |= 1 << UInt16(lane)
                    }
                }
                result.columns.append(entry.column)
                result.thresholds.append(entry.threshold)
                result.masks.append(entry.mask)
            }
            result.nanRight.append(nanRight)
        }
        result.groupSlots.append(UInt32(result.nanRight.count))
    }
}
