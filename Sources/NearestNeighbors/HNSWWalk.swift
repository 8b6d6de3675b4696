import CKernels
import VectorMath

/// A node of some layer as a pool entry: the score above, then the node (lower is better), then two marks.
///
/// ```
///  63            32 31              2     1          0
///  | ordered score | ~node (30 bits) | rejected | expanded |
/// ```
enum PoolKey {
    /// Nodes that fit.
    static let nodesMax = 1 << 30

    @inline(__always)
    static func make(node: UInt32, score: Float, rejected: Bool = false) -> UInt64 {
        UInt64(ck_ordered(score)) << 32 | UInt64(~node << 2) | (rejected ? 2 : 0)
    }

    @inline(__always)
    static func node(_ key: UInt64) -> UInt32 { ~UInt32(truncatingIfNeeded: key) >> 2 }

    @inline(__always)
    static func score(_ key: UInt64) -> Float { ck_unordered(UInt32(truncatingIfNeeded: key >> 32)) }

    /// Whether a filter did not want the node when the walk came to it.
    @inline(__always)
    static func isRejected(_ key: UInt64) -> Bool { key & 2 != 0 }
}

/// Walks a graph: greedy descent through the upper layers, best-first search on one layer.
///
/// The best-first search keeps one sorted pool of the best `ef` nodes seen, expanded or not: the candidate queue and the
/// result queue of the paper in one array, which is the same walk (a candidate worse than the worst of a full result
/// queue is never expanded). Malkov & Yashunin 2018, arXiv:1603.09320, algorithms 2 and 5.
struct HNSWWalk {
    let scorer: RowScorer
    let scratch: SearchScratch
    /// Rows to walk by; where there are neither halves nor codes, the scorer's own.
    let halves: HalfMatrix?
    private let codes: (rows: WalkCodes, query: CodedQuery)?
    /// Where those lie.
    private let rowBase: UnsafeRawPointer
    private let rowStride: Int
    /// As much of a row is asked for as its link is read.
    private let prefetchBytes: Int

    init(scorer: RowScorer, scratch: SearchScratch, halves: HalfMatrix? = nil) {
        self.scorer = scorer
        self.scratch = scratch
        self.halves = halves
        codes = nil
        prefetchBytes = Self.prefetchBytesMax
        if let halves {
            (rowBase, rowStride) = (UnsafeRawPointer(halves.base), halves.stride * 2)
        } else {
            (rowBase, rowStride) = scorer.memory
        }
    }

    /// A walk by codes, for one query.
    init(scorer: RowScorer, scratch: SearchScratch, codes: WalkCodes, query: UnsafePointer<Float>) {
        self.scorer = scorer
        self.scratch = scratch
        halves = nil
        scratch.reserveCodes(codes.stride)
        self.codes = (codes, codes.coded(query, in: scratch.codes))
        prefetchBytes = Self.codePrefetchBytesMax
        (rowBase, rowStride) = (UnsafeRawPointer(codes.base), codes.stride)
    }

    /// Asks for the links of a node.
    @inline(__always)
    private func prefetchLinks(of node: UInt32, _ layer: HNSWLayer) {
        let links = layer.linksOf(node)
        var i = 0
        while i < layer.linkStride {
            ck_prefetch(links + i)
            i &+= 16
        }
    }

    /// Asks for the first lines of a row, which a kernel that looks a few rows ahead would ask for too late; the
    /// processor follows on its own where more are read.
    @inline(__always)
    private func prefetch(_ row: UInt32) {
        var line = rowBase + Int(row) &* rowStride
        let end = line + min(rowStride, prefetchBytes)
        while line < end {
            ck_prefetch(line)
            line += 64
        }
    }

    private static let prefetchBytesMax = 256
    private static let codePrefetchBytesMax = 1024

    @inline(__always)
    private func score(_ query: UnsafePointer<Float>, ids: UnsafePointer<UInt32>, count: Int) {
        if let codes {
            codes.rows.score(codes.query, ids: ids, count: count, into: scratch.scores)
        } else if let halves {
            scorer.scoreRoughly(query, halves, ids: ids, count: count, into: scratch.scores)
        } else {
            scorer.score(query, ids: ids, count: count, into: scratch.scores)
        }
    }

    /// The best node reachable by always moving to the best neighbour, from `entry` on layer `from` down to layer `to`.
    ///
    /// - Returns: A node of layer `to`.
    func descend(
        _ query: UnsafePointer<Float>, layers: [HNSWLayer], entry: UInt32, from: Int, to: Int,
        links: some LinkReading = SealedLinks()
    ) -> UInt32 {
        let nodes = scratch.positions
        let rows = scratch.rows
        let scores = scratch.scores
        var node = entry
        var level = from
        guard level > to else { return node }
        rows[0] = layers[level].row(node)
        score(query, ids: rows, count: 1)
        var best = scores[0]
        while level > to {
            let layer = layers[level]
            var moved = true
            while moved {
                moved = false
                let list = layer.linksOf(node)
                var count = 0
                var i = 0
                while i < layer.linkStride {
                    let next = links.load(list + i)
                    if next == HNSWLayer.none { break }
                    i &+= 1
                    let row = layer.row(next)
                    if !links.admits(row) { continue }
                    nodes[count] = next
                    rows[count] = row
                    count &+= 1
                }
                score(query, ids: rows, count: count)
                for i in 0..<count where scores[i] > best {
                    best = scores[i]
                    node = nodes[i]
                    moved = true
                }
            }
            if let down = layer.down { node = down[Int(node)] }
            level -= 1
        }
        return node
    }

    /// Leaves the best `ef` nodes of `layer` that a walk from `entry` finds in `scratch.pool`, best first.
    ///
    /// - Returns: How many.
    func search(_ query: UnsafePointer<Float>, layer: HNSWLayer, entry: UInt32, ef: Int) -> Int {
        scratch.reserveWalk(rowCount: layer.nodeCount, candidates: ef + 1)
        return walk(query, layer, entry, ef, poolMax: ef, links: SealedLinks(), filter: EveryRow())
    }

    /// The same, where the pool is as long as it must be to hold the best `ef` eligible nodes, up to `poolMax`.
    ///
    /// The pool then holds nodes that are not eligible, too, marked as rejected.
    func search(
        _ query: UnsafePointer<Float>, layer: HNSWLayer, entry: UInt32, ef: Int, poolMax: Int,
        eligible: UnsafePointer<UInt64>
    ) -> Int {
        scratch.reserveWalk(rowCount: layer.nodeCount, candidates: poolMax + 1)
        return walk(
            query, layer, entry, ef, poolMax: poolMax, links: SealedLinks(), filter: MarkedRows(words: eligible))
    }

    /// The same while another thread changes links, and perhaps what the filter says.
    ///
    /// - Parameter nodeCount: Nodes of the layer that there are as the walk begins; it sees no others.
    func search(
        _ query: UnsafePointer<Float>, layer: HNSWLayer, nodeCount: Int, entry: UInt32, ef: Int, poolMax: Int,
        filter: some RowFilter
    ) -> Int {
        scratch.reserveWalk(rowCount: nodeCount, candidates: poolMax + 1)
        return walk(
            query, layer, entry, ef, poolMax: poolMax, links: SharedLinks(rowLimit: UInt32(nodeCount)), filter: filter)
    }

    @inline(__always)
    private func walk<Links: LinkReading, Filter: RowFilter>(
        _ query: UnsafePointer<Float>, _ layer: HNSWLayer, _ entry: UInt32, _ ef: Int, poolMax: Int,
        links: Links, filter: Filter
    ) -> Int {
        let pool = scratch.pool
        let visited = scratch.visited
        let touched = scratch.touched
        let nodes = scratch.positions
        let rows = scratch.rows
        let scores = scratch.scores
        let linkStride = layer.linkStride
        let nodesAreRows = layer.rows == nil

        rows[0] = layer.row(entry)
        score(query, ids: rows, count: 1)
        let wanted = Filter.acceptsAll || filter.accepts(rows[0])
        pool[0] = PoolKey.make(node: entry, score: scores[0], rejected: !wanted)
        visited[Int(entry >> 6)] |= 1 << UInt64(entry & 63)
        touched[0] = entry
        var touchedCount = 1
        var poolCount = 1
        // Those of the pool that the filter accepted, where there is one.
        var acceptedCount = wanted ? 1 : 0
        // The worst score that may still enter.
        var bar = -Float.infinity
        if poolCount >= poolMax || (!Filter.acceptsAll && acceptedCount >= ef) { bar = scores[0] }

        var cursor = 0
        while cursor < poolCount {
            let key = pool[cursor]
            if key & 1 != 0 {
                cursor &+= 1
                continue
            }
            pool[cursor] = key | 1
            let node = PoolKey.node(key)
            // The likely next two: their links arrive while this one's neighbours are scored.
            if cursor &+ 1 < poolCount { prefetchLinks(of: PoolKey.node(pool[cursor &+ 1]), layer) }
            if cursor &+ 2 < poolCount { prefetchLinks(of: PoolKey.node(pool[cursor &+ 2]), layer) }

            // Neighbours not seen yet.
            var fresh = 0
            let list = layer.linksOf(node)
            var i = 0
            while i < linkStride {
                let next = links.load(list + i)
                if next == HNSWLayer.none { break }
                i &+= 1
                if !links.admits(next) { continue }
                nodes[fresh] = next
                if nodesAreRows { prefetch(next) }
                fresh &+= Self.visit(visited, next)
            }
            if fresh == 0 { continue }
            (touched + touchedCount).update(from: nodes, count: fresh)
            touchedCount &+= fresh
            if let map = layer.rows {
                for i in 0..<fresh { rows[i] = map[Int(nodes[i])] }
                score(query, ids: rows, count: fresh)
            } else {
                score(query, ids: nodes, count: fresh)
            }

            for i in 0..<fresh {
                let score = scores[i]
                if score < bar { continue }
                let next = nodes[i]
                let accepted = Filter.acceptsAll || filter.accepts(layer.row(next))
                let position = Self.insert(
                    PoolKey.make(node: next, score: score, rejected: !accepted), pool, &poolCount)
                if position <= cursor {
                    cursor = position
                    prefetchLinks(of: next, layer)
                }
                if Filter.acceptsAll {
                    if poolCount > poolMax { poolCount = poolMax }
                    if poolCount == poolMax { bar = PoolKey.score(pool[poolCount &- 1]) }
                } else {
                    if accepted { acceptedCount &+= 1 }
                    while acceptedCount > ef || poolCount > poolMax
                        || (acceptedCount == ef && PoolKey.isRejected(pool[poolCount &- 1]))
                    {
                        poolCount &-= 1
                        if !PoolKey.isRejected(pool[poolCount]) { acceptedCount &-= 1 }
                    }
                    if acceptedCount == ef || poolCount == poolMax { bar = PoolKey.score(pool[poolCount &- 1]) }
                }
            }
        }

        for i in 0..<touchedCount { visited[Int(touched[i] >> 6)] = 0 }
        return poolCount
    }

    /// Marks `node` and returns 1 if it was not marked.
    @inline(__always)
    private static func visit(_ visited: UnsafeMutablePointer<UInt64>, _ node: UInt32) -> Int {
        let word = visited + Int(node >> 6)
        let bit: UInt64 = 1 << UInt64(node & 63)
        let old = word.pointee
        word.pointee = old | bit
        return old & bit == 0 ? 1 : 0
    }

    @inline(__always)
    static func isSet(_ words: UnsafePointer<UInt64>, _ row: UInt32) -> Bool {
        words[Int(row >> 6)] >> UInt64(row & 63) & 1 != 0
    }

    /// Inserts into the descending pool (room for one more is the caller's duty); returns the place.
    @inline(__always)
    private static func insert(_ key: UInt64, _ pool: UnsafeMutablePointer<UInt64>, _ count: inout Int) -> Int {
        let low = ck_rank_in_descending(pool, count, key)
        (pool + low + 1).update(from: pool + low, count: count &- low)
        pool[low] = key
        count &+= 1
        return low
    }
}
