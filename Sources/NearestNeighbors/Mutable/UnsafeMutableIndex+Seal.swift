import VectorMath

/// A sealed copy of a mutable index.
package struct SealedIndex: Sendable {
    /// The graph, over vectors of its own.
    package let index: HNSWIndex
    /// The number that each row of `index` had in the mutable index, ascending.
    package let rows: [UInt32]
    /// The vectors of `index`, to be written to a bundle beside it.
    package let vectors: FactorMatrix
}

extension MutableIndex {
    /// Copies the rows there are, without gaps, and their links into an immutable index.
    ///
    /// Repairs the graph first, so that no link leads to a dead row. Searches go on meanwhile; changes wait.
    ///
    /// - Complexity: O(rows * (m0 + dimension)), and a repair.
    package func sealed() throws(IndexBuildError) -> SealedIndex {
        let outcome: Result<SealedIndex, IndexBuildError> = writer.withLock { writer in
            while writer.finishRepair() {}
            return Result { () throws(IndexBuildError) in try copy() }
        }
        return try outcome.get()
    }

    /// What `sealed` returns, while nothing changes and no dead node is linked.
    private func copy() throws(IndexBuildError) -> SealedIndex {
        var rows: [UInt32] = []
        var slots: [UInt32] = []
        for row in 0..<UInt32(rowCount) {
            if let slot = storage.slot(of: row) {
                rows.append(row)
                slots.append(slot)
            }
        }
        let source = storage.scorer.vectors
        let vectors = FactorMatrix(rowCount: rows.count, columnCount: dimension) { row, target in
            target.baseAddress?.update(from: source.base + Int(slots[row]) * source.stride, count: dimension)
        }
        guard let entry = storage.entry, !rows.isEmpty else {
            let index = try HNSWIndex.build(vectors, metric: metric, parameters)
            return SealedIndex(index: index, rows: rows, vectors: vectors)
        }
        let owner = HNSWStorage()
        // The nodes of a layer in their new order, and each node's new number.
        var nodes = slots
        var layers: [HNSWLayer] = []
        var numbersBelow: [UInt32] = []
        var sealedEntry: UInt32 = 0
        for level in 0...entry.level {
            let layer = storage.graph.layers[level]
            if level > 0 { nodes = slots.compactMap { storage.graph.node(of: $0, on: level) } }
            var numbers = [UInt32](repeating: 0, count: layer.nodeCount)
            for (number, node) in nodes.enumerated() { numbers[Int(node)] = UInt32(number) }
            let links = owner.allocate(nodes.count * layer.linkStride, filledWith: HNSWLayer.none)
            for (number, node) in nodes.enumerated() {
                let list = storage.graph.list(node, level)
                for i in 0..<storage.graph.linkCount(node, level) {
                    links[number * layer.linkStride + i] = numbers[Int(list[i])]
                }
            }
            var rowMap: UnsafeMutablePointer<UInt32>?
            var downMap: UnsafeMutablePointer<UInt32>?
            if let down = layer.down {
                let (map, lower) = (
                    owner.allocate(nodes.count, filledWith: 0), owner.allocate(nodes.count, filledWith: 0)
                )
                for (number, node) in nodes.enumerated() {
                    lower[number] = numbersBelow[Int(down[Int(node)])]
                    map[number] = level == 1 ? lower[number] : layers[level - 1].row(lower[number])
                }
                (rowMap, downMap) = (map, lower)
            }
            layers.append(
                HNSWLayer(
                    nodeCount: nodes.count, linkStride: layer.linkStride, links: UnsafePointer(links),
                    rows: rowMap.map { UnsafePointer($0) }, down: downMap.map { UnsafePointer($0) }))
            numbersBelow = numbers
            sealedEntry = numbers[Int(entry.node)]
        }
        let index = HNSWIndex(
            scorer: try RowScorer(vectors, metric), graph: HNSWGraph(layers: layers, entry: sealedEntry, owner: owner),
            parameters: parameters)
        return SealedIndex(index: index, rows: rows, vectors: vectors)
    }
}
