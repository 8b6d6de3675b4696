import TestSupport
import VectorMath

@testable import NearestNeighbors

extension MutableIndex {
    func insert(_ vector: [Float], row: UInt32) throws(MutableIndexError) {
        try Self.withBuffer(vector) { buffer throws(MutableIndexError) in try insert(buffer, row: row) }
    }

    func update(_ vector: [Float], row: UInt32) throws(MutableIndexError) {
        try Self.withBuffer(vector) { buffer throws(MutableIndexError) in try update(buffer, row: row) }
    }

    private static func withBuffer(
        _ vector: [Float], _ body: (UnsafeBufferPointer<Float>) throws(MutableIndexError) -> Void
    ) throws(MutableIndexError) {
        let outcome: Result<Void, MutableIndexError> = vector.withUnsafeBufferPointer { buffer in
            Result { () throws(MutableIndexError) in try body(buffer) }
        }
        try outcome.get()
    }

    /// What is wrong with the graph: links out of range, twice, to the node itself, or to slots that are out of the graph.
    ///
    /// No change may run meanwhile.
    var faults: [String] {
        var faults: [String] = []
        let used = storage.mark.load(ordering: .relaxed)
        let linked = writer.withLock { $0.linkedSlots }
        for (level, layer) in storage.graph.layers.enumerated() {
            for node in 0..<UInt32(layer.nodeCount) where linked.contains(layer.row(node)) {
                let count = storage.graph.linkCount(node, level)
                let links = (0..<count).map { storage.graph.list(node, level)[$0] }
                if Set(links).count != count || links.contains(node) { faults.append("\(level)/\(node): \(links)") }
                for link in links {
                    let slot = layer.row(link)
                    if link >= layer.nodeCount || slot >= used || !linked.contains(slot) {
                        faults.append("\(level)/\(node) links to \(link), slot \(slot)")
                    }
                }
            }
        }
        for row in 0..<UInt32(rowCount) {
            guard let slot = storage.slot(of: row) else { continue }
            if storage.rowOf[Int(slot)] != row || !linked.contains(slot) || !storage.isLive(slot) {
                faults.append("row \(row) in slot \(slot)")
            }
        }
        let statistics = statistics
        let slots =
            statistics.rows + statistics.deadSlots + statistics.retiredSlots + statistics.freeSlots
        if slots != statistics.usedSlots { faults.append("\(statistics)") }
        return faults
    }
}

/// The rows that an index should hold.
struct MirrorRows {
    var vectors: [UInt32: [Float]] = [:]

    /// The rows in ascending order, as a matrix and their numbers.
    func matrix(_ dimension: Int) -> (FactorMatrix, [UInt32]) {
        let rows = vectors.keys.sorted()
        let matrix = FactorMatrix(rowCount: rows.count, columnCount: dimension) { row, target in
            _ = target.update(fromContentsOf: vectors[rows[row]] ?? [])
        }
        return (matrix, rows)
    }

    /// The true nearest rows, by the numbers of the index.
    func exact(_ metric: SimilarityMetric, _ dimension: Int) throws -> (_ query: [Float], _ k: Int) throws ->
        [ScoredRow]
    {
        let (matrix, rows) = matrix(dimension)
        let exact = try ExactIndex(matrix, metric: metric)
        let scratch = SearchScratch()
        return { query, k in
            try exact.search(query, k: k, scratch: scratch).map { ScoredRow(row: rows[Int($0.row)], score: $0.score) }
        }
    }
}
