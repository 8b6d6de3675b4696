import Synchronization
import VectorMath

/// A search graph whose rows are inserted, updated and deleted while searches run.
///
/// Rows have numbers that the caller chooses, below `rowCount`; searches and predicates speak of these. Inside, a row's
/// vector stands in a slot: an update takes a new slot, a deletion leaves a dead one in the graph, to be walked through.
/// When the share of dead ones passes `tombstoneRatio`, the graph is repaired around them, a few nodes with each change, and
/// their slots are used again once no search can still stand on them.
///
/// **Searches** are safe from any number of threads, each with its own scratch. They take no lock and never wait for a
/// writer (a scratch that meets an index for the first time registers with it, under a lock). **Changes** may come from any
/// thread; they wait for one another. A search that begins after a change returned sees it: it does not return a deleted row, and
/// scores an updated one by its new vector. A search that runs beside a change sees the row as it was before, or after.
///
/// It is for sets that change all the time. One that is built once is smaller and a little faster as an `HNSWIndex`.
///
/// - Note: Malkov & Yashunin 2018, arXiv:1603.09320; Singh et al. 2021, "FreshDiskANN", arXiv:2105.09613.
package final class MutableIndex: NeighborIndex {
    package let configuration: MutableIndexConfiguration
    package var metric: SimilarityMetric { storage.scorer.metric }
    /// Row numbers that there can be: what predicates are over.
    package var rowCount: Int { storage.rowCount }
    package var dimension: Int { configuration.dimension }
    package var parameters: HNSWParameters { configuration.parameters }
    /// Rows there are.
    package var liveCount: Int { storage.liveCount.load(ordering: .acquiring) }

    let storage: SlotStorage
    let epochs = ReadEpochs()
    let writer: Mutex<SlotWriter>

    /// An empty index.
    ///
    /// - Throws: `invalidParameter`.
    /// - Complexity: O(capacity), for the layers; vectors and links take memory when they are first used.
    package convenience init(_ configuration: MutableIndexConfiguration) throws(IndexBuildError) {
        try self.init(configuration, adopting: nil)
    }

    /// An index that begins with the rows of `vectors`, whose numbers are those of the matrix.
    ///
    /// - Throws: `invalidParameter`, also when `vectors` has other dimensions or more rows than fit; `vectorNotFinite`.
    /// - Complexity: That of `HNSWIndex.build`.
    package convenience init(
        _ vectors: FactorMatrix, _ configuration: MutableIndexConfiguration, threads: Int = 1
    ) throws(IndexBuildError) {
        try Self.check(.floats(vectors), configuration)
        let index = try HNSWIndex.build(
            vectors, metric: configuration.metric, configuration.parameters, threads: threads)
        try self.init(configuration, adopting: index)
    }

    /// An index that begins as a copy of a sealed one; dimension, metric and parameters are that one's.
    package convenience init(
        _ index: HNSWIndex, capacity: Int, rowCount: Int? = nil, tombstoneRatio: Double = 0.1,
        repairsWithChanges: Bool = true
    ) throws(IndexBuildError) {
        let configuration = MutableIndexConfiguration(
            dimension: index.dimension, metric: index.metric, index.parameters, capacity: capacity,
            rowCount: rowCount, tombstoneRatio: tombstoneRatio, repairsWithChanges: repairsWithChanges)
        try Self.check(index.scorer.rows, configuration)
        try self.init(configuration, adopting: index)
    }

    private init(_ configuration: MutableIndexConfiguration, adopting index: HNSWIndex?) throws(IndexBuildError) {
        try configuration.validate()
        // Rows of the sealed graph keep their layers, further slots get theirs by lot.
        var tops = [UInt8](repeating: 0, count: index?.rowCount ?? 0)
        for layer in index?.graph.layers.dropFirst() ?? [] {
            for node in 0..<UInt32(layer.nodeCount) { tops[Int(layer.row(node))] += 1 }
        }
        let storage = try SlotStorage(configuration) { slot in
            slot < tops.count ? Int(tops[slot]) : GrowingGraph.level(row: slot, configuration.parameters)
        }
        let writer = SlotWriter(storage, epochs, configuration)
        if let index { writer.adopt(index) }
        self.configuration = configuration
        self.storage = storage
        self.writer = Mutex(writer)
    }

    private static func check(
        _ vectors: RowMatrix, _ configuration: MutableIndexConfiguration
    ) throws(IndexBuildError) {
        try configuration.validate()
        guard vectors.columnCount == configuration.dimension else {
            throw .invalidParameter(
                "the vectors have \(vectors.columnCount) dimensions, the index \(configuration.dimension)")
        }
        guard vectors.rowCount <= configuration.capacity else {
            throw .invalidParameter("\(vectors.rowCount) rows are more than the capacity, \(configuration.capacity)")
        }
    }
}

extension MutableIndex {
    /// Adds a row; a search that begins after this returned can find it, as well as a walk finds any row: where links are
    /// chosen by inner product, short rows are missed as in a sealed graph.
    ///
    /// - Parameters:
    ///   - row: A number below `rowCount` that is not in use.
    ///   - vector: `dimension` finite floats, not normalised. Under cosine a zero vector scores 0.
    /// - Throws: `duplicateRow`, `full`, `rowOutOfRange`, `dimensionMismatch`, `vectorNotFinite`; nothing changed then.
    /// - Complexity: O(efConstruction * m0 * dimension) expected, and a bounded share of a repair that is due.
    package func insert(_ vector: UnsafeBufferPointer<Float>, row: UInt32) throws(MutableIndexError) {
        let base = try validate(vector, row)
        try change { writer throws(MutableIndexError) in try writer.insert(base, row: row) }
    }

    /// Gives a row another vector. It stays in the index all the time, with one of the two.
    ///
    /// - Throws: `unknownRow`, `rowOutOfRange`, `dimensionMismatch`, `vectorNotFinite`; nothing changed then.
    package func update(_ vector: UnsafeBufferPointer<Float>, row: UInt32) throws(MutableIndexError) {
        let base = try validate(vector, row)
        try change { writer throws(MutableIndexError) in try writer.update(base, row: row) }
    }

    /// Takes a row out; no search that begins after this returned finds it. Its number may be used again.
    ///
    /// - Throws: `unknownRow`, `rowOutOfRange`.
    /// - Complexity: O(1), and a bounded share of a repair that is due.
    package func delete(row: UInt32) throws(MutableIndexError) {
        try validate(row)
        try change { writer throws(MutableIndexError) in try writer.delete(row: row) }
    }

    /// Whether `row` is in the index now.
    package func contains(_ row: UInt32) -> Bool { row < rowCount && storage.slot(of: row) != nil }

    /// Goes on with a repair that is due, for a thread that looks after the index where changes do not.
    ///
    /// - Parameter steps: Slots to come to; changes wait as long. A slot costs up to the selection of its links anew.
    /// - Returns: Whether there is more to do now.
    @discardableResult
    package func repair(steps: Int) -> Bool {
        writer.withLock { $0.repair(steps: max(1, steps)) }
    }

    /// What there is now.
    package var statistics: MutableIndexStatistics {
        writer.withLock { writer in
            MutableIndexStatistics(
                rows: liveCount, capacity: configuration.capacity,
                usedSlots: storage.mark.load(ordering: .relaxed), deadSlots: writer.deadCount,
                retiredSlots: writer.retiredCount, freeSlots: writer.freeCount, byteCount: storage.byteCount,
                repairs: writer.repairCount, relinkedNodes: writer.relinkedCount, isRepairing: writer.isRepairing,
                readers: epochs.readerCount)
        }
    }

    private func change(
        _ body: (SlotWriter) throws(MutableIndexError) -> Void
    ) throws(MutableIndexError) {
        let outcome: Result<Void, MutableIndexError> = writer.withLock { writer in
            Result { () throws(MutableIndexError) in try body(writer) }
        }
        try outcome.get()
    }

    private func validate(_ row: UInt32) throws(MutableIndexError) {
        guard row < rowCount else { throw .rowOutOfRange(row: row, rowCount: rowCount) }
    }

    private func validate(
        _ vector: UnsafeBufferPointer<Float>, _ row: UInt32
    ) throws(MutableIndexError) -> UnsafePointer<Float> {
        try validate(row)
        guard vector.count == dimension, let base = vector.baseAddress else {
            throw .dimensionMismatch(expected: dimension, actual: vector.count)
        }
        guard Kernels.allFinite(vector) else { throw .vectorNotFinite(row: row) }
        return base
    }
}

/// What a mutable index holds. Slots used are live, dead, retired or free.
package struct MutableIndexStatistics: Sendable, Equatable {
    package var rows: Int
    package var capacity: Int
    /// Slots that were ever used; as many take memory.
    package var usedSlots: Int
    /// Dead nodes that are still in the graph.
    package var deadSlots: Int
    /// Slots out of the graph that a search may still stand on.
    package var retiredSlots: Int
    package var freeSlots: Int
    /// Bytes of used slots, maps and tables.
    package var byteCount: Int
    /// Repairs done.
    package var repairs: Int
    /// Nodes that repairs gave new links.
    package var relinkedNodes: Int
    package var isRepairing: Bool
    /// Threads that are registered to search.
    package var readers: Int
}
