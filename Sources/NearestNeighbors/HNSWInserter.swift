import VectorMath

/// Inserts rows into a growing graph. One for each thread that inserts.
///
/// A row's links are found on all its layers first and then written from layer 0 upwards: whoever reaches a node from
/// above finds it linked below.
final class HNSWInserter<Filter: RowFilter> {
    let graph: GrowingGraph
    let selection: NeighborSelection
    private let filter: Filter
    private let walk: HNSWWalk
    private let scratch = SearchScratch()
    /// Selected nodes of the new row: a block of m0 per layer.
    private let selected: UnsafeMutablePointer<UInt32>
    private let selectedCounts: UnsafeMutablePointer<Int>
    private let list: UnsafeMutablePointer<UInt32>

    /// - Parameter filter: Rows that a new row may link to, as long as there are such.
    init(_ graph: GrowingGraph, _ scorer: RowScorer, filter: Filter) {
        self.graph = graph
        self.filter = filter
        selection = NeighborSelection(graph, scorer)
        walk = HNSWWalk(scorer: scorer, scratch: scratch)
        selected = .allocate(capacity: graph.parameters.m0 * graph.layers.count)
        selectedCounts = .allocate(capacity: graph.layers.count)
        list = .allocate(capacity: graph.parameters.m0 + 1)
    }

    deinit {
        selected.deallocate()
        selectedCounts.deallocate()
        list.deallocate()
    }

    /// Finds the neighbours of `row` on each of its layers, then links it in from layer 0 upwards.
    ///
    /// - Parameters:
    ///   - entry: A node that is linked in, on the layer `entryLevel`; layers of the row above that get no links.
    ///   - rowLimit: Rows there are, the new one included.
    /// - Returns: False when it had to link to rows that the filter does not accept, as it found no others.
    @discardableResult
    func insert(_ row: UInt32, entry: UInt32, entryLevel: Int, rowLimit: Int) -> Bool {
        let layers = graph.layers
        let top = min(graph.top(of: row), entryLevel)
        let query = selection.query(row)
        let ef = graph.parameters.efConstruction
        var foundAccepted = true
        var entry = walk.descend(
            query, layers: layers, entry: entry, from: entryLevel, to: top,
            links: SharedLinks(rowLimit: UInt32(rowLimit)))
        for level in stride(from: top, through: 0, by: -1) {
            let layer = layers[level]
            let found = walk.search(
                query, layer: layer, nodeCount: level == 0 ? rowLimit : layer.nodeCount, entry: entry, ef: ef,
                poolMax: Filter.acceptsAll ? ef : max(4096, 4 * ef), filter: filter)
            let best = PoolKey.node(scratch.pool[0])
            var count = selection.select(UnsafePointer(scratch.pool), found, base: row, level)
            if count == 0 {
                let near = min(found, ef)
                count = selection.select(UnsafePointer(scratch.pool), near, base: row, level, rejected: true)
                foundAccepted = false
            }
            (selected + level * graph.parameters.m0).update(from: selection.chosen, count: count)
            selectedCounts[level] = count
            entry = layer.down.map { $0[Int(best)] } ?? best
        }
        for level in 0...top {
            guard let node = graph.node(of: row, on: level) else { return foundAccepted }
            let neighbours = selected + level * graph.parameters.m0
            let count = selectedCounts[level]
            // Others may have linked to the row already from a lower layer, not on this one.
            graph.writing(row) { graph.replace(node, level, by: neighbours, count: count, isCounted: true) }
            for i in 0..<count { addLink(from: neighbours[i], to: node, level) }
            if level == 0 && graph.linksTo(row) == 0 { beLinked(row, from: neighbours, count) }
        }
        return foundAccepted
    }

    /// Has one of its neighbours link to a row that none of them chose: the one that fewest link to. Under inner product the
    /// nearest are rows that most walks pass, and their few links are needed for the way on.
    private func beLinked(_ row: UInt32, from neighbours: UnsafePointer<UInt32>, _ count: Int) {
        var best: (node: UInt32, links: Int)?
        for i in 0..<count {
            let links = filter.accepts(neighbours[i]) ? graph.linksTo(neighbours[i]) ?? 0 : .max
            if links < best?.links ?? .max || best == nil { best = (neighbours[i], links) }
        }
        if let best { addLink(from: best.node, to: row, 0, always: true) }
    }

    /// Links `node` to `other`; a full node keeps the best diverse ones, and those that nobody else links to.
    ///
    /// - Parameter always: Whether the new one is among those kept, too.
    func addLink(from node: UInt32, to other: UInt32, _ level: Int, always: Bool = false) {
        let row = graph.layers[level].row(node)
        let isCounted = filter.accepts(row)
        graph.writing(row) {
            let links = graph.list(node, level)
            let count = graph.linkCount(node, level)
            for i in 0..<count where links[i] == other { return }
            if count < graph.limit(level) {
                return graph.append(other, to: node, level, count: count, isCounted: isCounted)
            }
            // Full: choose among the old links and the new one, which the filter may not accept yet.
            list.update(from: links, count: count)
            list[count] = other
            let newRow = graph.layers[level].row(other)
            selection.rank(list, count: count + 1, base: row, level) { $0 == newRow || filter.accepts($0) }
            var kept = selection.select(UnsafePointer(selection.keys), count + 1, base: row, level)
            if !Filter.acceptsAll {
                // Then those that go soon: else they would keep out live ones near them.
                kept = selection.select(
                    UnsafePointer(selection.keys), count + 1, base: row, level, rejected: true, after: kept)
            }
            if level == 0 {
                if always { kept = selection.rescue(other, kept, linked: 0) { _ in true } }
                for i in 0..<count {
                    kept = selection.rescue(list[i], kept, linked: isCounted ? 1 : 0, where: filter.accepts)
                }
            }
            graph.replace(node, level, by: selection.chosen, count: kept, isCounted: isCounted)
        }
    }

    /// Replaces the links of `node`, of the row `row`, by those that `selection` chose.
    func relink(_ node: UInt32, _ row: UInt32, _ level: Int, kept: Int) {
        graph.replace(node, level, by: selection.chosen, count: kept, isCounted: filter.accepts(row))
    }
}
