import VectorMath

/// How well codes tell near rows apart: asks for the best of some rows' neighbourhoods, by codes and by the rows.
///
/// Where all near rows lie within a step of the codes of each other, as in many tight clusters far apart, a walk by codes
/// finds the cluster and nothing in it.
struct CodeTrial {
    /// The share of the true best that the best by codes hold, which would be scored again; 1 where there is nothing to ask.
    private(set) var recall = 1.0

    private static let rowsAsked = 64
    private static let count = 10
    /// Neighbours, and theirs: at most so many.
    private static let candidatesMax = SearchScratch.blockRows

    private let scorer: RowScorer
    private let codes: WalkCodes
    private let scratch = SearchScratch()

    /// - Complexity: 64 times two scores of at most 256 rows: a few milliseconds at most.
    init(_ scorer: RowScorer, _ codes: WalkCodes, _ graph: HNSWGraph) {
        self.scorer = scorer
        self.codes = codes
        guard let layer = graph.layers.first, layer.nodeCount > 0 else { return }
        scratch.reserveCodes(codes.stride)
        let asked = min(Self.rowsAsked, layer.nodeCount)
        var (wanted, found) = (0, 0)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: scorer.dimension) { room in
            guard let room = room.baseAddress else { return }
            for i in 0..<asked {
                let node = i * layer.nodeCount / asked
                let near = Self.near(UInt32(node), layer)
                if near.count <= WalkRows.shortlist(for: Self.count, ef: 0) { continue }
                wanted += Self.count
                found += best(near, for: scorer.floats(of: node, room))
            }
        }
        if wanted > 0 { recall = Double(found) / Double(wanted) }
    }

    /// The neighbours of a node and theirs, each once.
    private static func near(_ node: UInt32, _ layer: HNSWLayer) -> [UInt32] {
        func links(_ node: UInt32) -> some Sequence<UInt32> {
            UnsafeBufferPointer(start: layer.linksOf(node), count: layer.linkStride).prefix { $0 != HNSWLayer.none }
        }
        var near: Set<UInt32> = []
        for next in links(node) {
            near.insert(next)
            for other in links(next) where near.count < candidatesMax { near.insert(other) }
            if near.count >= candidatesMax { break }
        }
        return near.sorted()
    }

    /// How many of the best `count` of `near` by the rows are among the best by codes; of equal rows any will do.
    private func best(_ near: [UInt32], for query: UnsafePointer<Float>) -> Int {
        let (rows, scores) = (scratch.rows, scratch.scores)
        for (place, row) in near.enumerated() { rows[place] = row }
        codes.score(codes.coded(query, in: scratch.codes), ids: rows, count: near.count, into: scores)
        let byCodes = near.indices.sorted { scores[$0] > scores[$1] }
        scorer.score(query, ids: rows, count: near.count, into: scores)
        let worst = near.indices.map { scores[$0] }.sorted(by: >)[Self.count - 1]
        let shortlist = byCodes.prefix(WalkRows.shortlist(for: Self.count, ef: 0))
        return min(Self.count, shortlist.count { scores[$0] >= worst })
    }
}
