import Dispatch
import Synchronization
import VectorMath

extension HNSWIndex {
    /// Builds the graph over `vectors`.
    ///
    /// - Parameters:
    ///   - threads: With one, equal inputs give an equal graph; with more, the order of insertions decides some links.
    ///   - progress: Rows done so far, from any of the threads, about 200 times.
    ///   - isCancelled: Asked every few rows by every thread.
    /// - Throws: `cancelled`, `vectorNotFinite`, `invalidParameter`, `tooManyRows`.
    package static func build(
        _ vectors: FactorMatrix, metric: SimilarityMetric, _ parameters: HNSWParameters = HNSWParameters(),
        threads: Int = 1, progress: @escaping @Sendable (_ done: Int) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(IndexBuildError) -> HNSWIndex {
        try parameters.validate()
        let scorer = try RowScorer(vectors, metric)
        let linkMetric = parameters.linkMetric ?? metric
        let linkScorer = linkMetric == metric ? scorer : try RowScorer(vectors, linkMetric)
        let builder = HNSWBuilder(scorer: linkScorer, parameters: parameters)
        guard builder.insertAll(threads: max(1, threads), progress: progress, isCancelled: isCancelled) else {
            throw .cancelled
        }
        return HNSWIndex(scorer: scorer, graph: builder.sealed(), parameters: parameters)
    }
}

/// Inserts the rows of a matrix into a graph.
///
/// The first row of the top layer, the entry, is on top for good.
///
/// `@unchecked Sendable`: the graph is, and the memory of its locks is freed when no thread inserts any more.
final class HNSWBuilder: @unchecked Sendable {
    private let scorer: RowScorer
    private let storage = HNSWStorage()
    private let graph: GrowingGraph
    private let locks: UnsafeMutablePointer<UInt8>
    private var rowCount: Int { scorer.vectors.rowCount }

    init(scorer: RowScorer, parameters: HNSWParameters) {
        self.scorer = scorer
        let storage = storage
        let rowCount = scorer.vectors.rowCount
        locks = .allocate(capacity: max(rowCount, 1))
        locks.initialize(repeating: 0, count: max(rowCount, 1))
        graph = GrowingGraph(
            rowCount: rowCount, parameters, top: { GrowingGraph.level(row: $0, parameters) }, maps: storage,
            locks: locks, allocate: { storage.allocate($0, filledWith: HNSWLayer.none) })
    }

    deinit { locks.deallocate() }

    func sealed() -> HNSWGraph { HNSWGraph(layers: graph.layers, entry: 0, owner: storage) }

    /// Inserts every row; false when cancelled.
    func insertAll(
        threads: Int, progress: @escaping @Sendable (Int) -> Void, isCancelled: @escaping @Sendable () -> Bool
    ) -> Bool {
        if rowCount < 2 { return true }
        let next = Atomic<Int>(0)
        let done = Atomic<Int>(0)
        let cancelled = Atomic<Bool>(false)
        let chunk = 16
        let reportEvery = max(1, rowCount / 200 / chunk * chunk)
        // The entry is there from the start: it needs no links of its own.
        let top = graph.layers.count - 1
        let entryRow = Int(graph.layers[top].row(0))
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            let inserter = HNSWInserter(graph, scorer, filter: EveryRow())
            while !cancelled.load(ordering: .relaxed) {
                let start = next.add(chunk, ordering: .relaxed).oldValue
                if start >= rowCount { return }
                if isCancelled() {
                    cancelled.store(true, ordering: .relaxed)
                    return
                }
                let end = min(start + chunk, rowCount)
                for row in start..<end where row != entryRow {
                    inserter.insert(UInt32(row), entry: 0, entryLevel: top, rowLimit: rowCount)
                }
                let (before, after) = done.add(end - start, ordering: .relaxed)
                if before / reportEvery != after / reportEvery || after == rowCount { progress(after) }
            }
        }
        return !cancelled.load(ordering: .relaxed)
    }
}
