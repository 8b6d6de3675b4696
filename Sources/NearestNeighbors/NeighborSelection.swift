import Glibc
import VectorMath

/// Chooses the links of a node among candidates. One for each thread that writes links.
final class NeighborSelection {
    let graph: GrowingGraph
    let scorer: RowScorer
    /// What `select` chose, best first: room for the links of a node.
    let chosen: UnsafeMutablePointer<UInt32>
    /// Candidates, as `select` takes them.
    private(set) var keys: UnsafeMutablePointer<UInt64>
    private(set) var rows: UnsafeMutablePointer<UInt32>
    private(set) var scores: UnsafeMutablePointer<Float>
    private var capacity: Int
    private let chosenRows: UnsafeMutablePointer<UInt32>
    private let pairScores: UnsafeMutablePointer<Float>
    private let vector: UnsafeMutablePointer<Float>

    init(_ graph: GrowingGraph, _ scorer: RowScorer) {
        self.graph = graph
        self.scorer = scorer
        let room = HNSWLayer.stride(links: graph.parameters.m0) + 16
        chosen = .allocate(capacity: room)
        chosenRows = .allocate(capacity: room)
        capacity = room
        keys = .allocate(capacity: room)
        rows = .allocate(capacity: room)
        scores = .allocate(capacity: room)
        pairScores = .allocate(capacity: 16)
        vector = .allocate(capacity: scorer.vectors.columnCount)
    }

    deinit {
        chosen.deallocate()
        chosenRows.deallocate()
        keys.deallocate()
        rows.deallocate()
        scores.deallocate()
        pairScores.deallocate()
        vector.deallocate()
    }

    /// Makes room for `count` candidates; those there are lost.
    func reserve(_ count: Int) {
        if count <= capacity { return }
        keys.deallocate()
        rows.deallocate()
        scores.deallocate()
        capacity = count
        keys = .allocate(capacity: count)
        rows = .allocate(capacity: count)
        scores = .allocate(capacity: count)
    }

    /// The vector of `row` as a query; good until the next call.
    func query(_ row: UInt32) -> UnsafePointer<Float> {
        let base = scorer.vectors.base + Int(row) * scorer.vectors.stride
        guard let rowScale = scorer.rowScale else { return base }
        for i in 0..<scorer.vectors.columnCount { vector[i] = base[i] * rowScale[Int(row)] }
        return UnsafePointer(vector)
    }

    /// Scores the nodes in `rows` of a layer against `base` and leaves their keys in `keys`, best first.
    ///
    /// - Parameters:
    ///   - nodes: The nodes; they may not be `rows`.
    ///   - isAccepted: Others are marked as rejected.
    @inline(__always)
    func rank(
        _ nodes: UnsafePointer<UInt32>, count: Int, base: UInt32, _ level: Int,
        isAccepted: (_ row: UInt32) -> Bool = { _ in true }
    ) {
        let layer = graph.layers[level]
        for i in 0..<count { rows[i] = layer.row(nodes[i]) }
        scorer.score(query(base), ids: rows, count: count, into: scores)
        for i in 0..<count {
            keys[i] = PoolKey.make(node: nodes[i], score: scores[i], rejected: !isAccepted(rows[i]))
        }
        sortDescending(count)
    }

    /// The neighbour selection heuristic: of `keys` (best first) those that are nearer to the base than to any
    /// neighbour chosen before, at most as many as the layer allows. Leaves nodes in `chosen`; returns how many.
    ///
    /// Copies of the base's own vector get half of the links at most: a crowd of equal rows must not close itself off.
    ///
    /// - Parameters:
    ///   - rejected: Whether to choose among the keys marked as rejected, or among the others.
    ///   - first: As many of `chosen` are kept, and the others chosen beside them.
    /// - Note: Malkov & Yashunin 2018, arXiv:1603.09320, algorithm 4.
    func select(
        _ keys: UnsafePointer<UInt64>, _ count: Int, base: UInt32, _ level: Int, rejected: Bool = false,
        after first: Int = 0
    ) -> Int {
        let layer = graph.layers[level]
        let limit = graph.limit(level)
        let vectors = scorer.vectors
        var kept = first
        var copies = 0
        if kept == limit { return kept }
        for i in 0..<count {
            if PoolKey.isRejected(keys[i]) != rejected { continue }
            let node = PoolKey.node(keys[i])
            let score = PoolKey.score(keys[i])
            let row = layer.row(node)
            if row == base { continue }
            let candidate = vectors.base + Int(row) * vectors.stride
            if isCopy(row, base) {
                copies += 1
                if copies > limit / 2 { continue }
            }
            let scale = scorer.rowScale.map { $0[Int(row)] } ?? 1
            var diverse = true
            var start = 0
            while diverse && start < kept {
                let length = min(8, kept - start)
                scorer.score(candidate, ids: chosenRows + start, count: length, into: pairScores)
                for j in 0..<length where pairScores[j] * scale > score { diverse = false }
                start += length
            }
            if !diverse { continue }
            chosen[kept] = node
            chosenRows[kept] = row
            kept += 1
            if kept == limit { break }
        }
        return kept
    }

    /// Takes links as chosen that a node has already; `select(after:)` goes on from there. Returns how many.
    func keep(_ nodes: ArraySlice<UInt32>, _ level: Int) -> Int {
        let layer = graph.layers[level]
        for (i, node) in nodes.enumerated() {
            chosen[i] = node
            chosenRows[i] = layer.row(node)
        }
        return nodes.count
    }

    /// Adds the best of `keys` that are not chosen yet, diverse or not, until `target` are; returns how many are.
    func fill(
        _ kept: Int, upTo target: Int, _ keys: UnsafePointer<UInt64>, _ count: Int, base: UInt32, _ level: Int
    ) -> Int {
        let layer = graph.layers[level]
        var kept = kept
        for i in 0..<count where kept < target {
            let node = PoolKey.node(keys[i])
            let row = layer.row(node)
            if (0..<kept).contains(where: { chosen[$0] == node }) || isCopy(row, base) { continue }
            chosen[kept] = node
            chosenRows[kept] = row
            kept += 1
        }
        return kept
    }

    /// Whether two rows have the same vector.
    private func isCopy(_ a: UInt32, _ b: UInt32) -> Bool {
        let vectors = scorer.vectors
        return memcmp(
            vectors.base + Int(a) * vectors.stride, vectors.base + Int(b) * vectors.stride, vectors.columnCount * 4)
            == 0
    }

    /// Puts `row` among the `kept` chosen of a node on layer 0 if it is not there and nobody else links to it.
    ///
    /// The heuristic drops a row that is far from all others from every list; then no walk would find it any more.
    ///
    /// - Parameters:
    ///   - linked: 1 where the node's old link to it is among those counted, else 0.
    ///   - isWorth: Whether the row is worth a link.
    /// - Returns: How many are chosen now.
    @inline(__always)
    func rescue(_ row: UInt32, _ kept: Int, linked: Int, where isWorth: (UInt32) -> Bool) -> Int {
        guard let links = graph.linksTo(row), links <= linked, isWorth(row) else { return kept }
        for i in 0..<kept where chosen[i] == row { return kept }
        if kept < graph.limit(0) {
            chosen[kept] = row
            return kept + 1
        }
        // In the place of the worst that others link to as well.
        for i in stride(from: kept - 1, to: kept / 2, by: -1) where (graph.linksTo(chosen[i]) ?? 0) > 1 {
            chosen[i] = row
            return kept
        }
        return kept
    }

    /// Sorts the first `count` of `keys` in place.
    private func sortDescending(_ count: Int) {
        if count > 64 {
            var many = UnsafeMutableBufferPointer(start: keys, count: count)
            return many.sort(by: >)
        }
        for i in stride(from: 1, to: count, by: 1) {
            let key = keys[i]
            var place = i
            while place > 0 && keys[place - 1] < key {
                keys[place] = keys[place - 1]
                place -= 1
            }
            keys[place] = key
        }
    }
}
