import CKernels
import Dispatch
import Glibc
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

/// Inserts the rows of a matrix into a graph whose layers are laid out beforehand.
///
/// The layer of each row follows from the seed and the row alone, so that memory is known at the start and the first row
/// inserted, the entry, is on top for good. A row's links are found on all its layers first and then written from layer
/// 0 upwards: whoever reaches a node from above finds it linked below.
///
/// `@unchecked Sendable`: links of a row are read and written under the row's spin lock.
final class HNSWBuilder: @unchecked Sendable {
    private let scorer: RowScorer
    private let parameters: HNSWParameters
    private let storage = HNSWStorage()
    private let layers: [HNSWLayer]
    private let mutableLinks: [UnsafeMutablePointer<UInt32>]
    private let locks: UnsafeMutablePointer<UInt8>
    private let entryRow: UInt32
    private var rowCount: Int { scorer.vectors.rowCount }

    init(scorer: RowScorer, parameters: HNSWParameters) {
        self.scorer = scorer
        self.parameters = parameters
        let rowCount = scorer.vectors.rowCount
        let levels = (0..<rowCount).map { Self.level(row: $0, parameters) }
        var layers: [HNSWLayer] = []
        var mutableLinks: [UnsafeMutablePointer<UInt32>] = []
        var below: [UInt32] = []
        for level in 0...(levels.max() ?? 0) {
            let members =
                level == 0 ? (0..<UInt32(rowCount)).map { $0 } : below.filter { levels[Int($0)] >= level }
            let stride = HNSWLayer.stride(links: level == 0 ? parameters.m0 : parameters.m)
            let links = storage.allocate(members.count * stride, filledWith: HNSWLayer.none)
            var rows: UnsafeMutablePointer<UInt32>?
            var down: UnsafeMutablePointer<UInt32>?
            if level > 0 {
                let rowMap = storage.allocate(members.count, filledWith: 0)
                let downMap = storage.allocate(members.count, filledWith: 0)
                var lower = 0
                for (node, row) in members.enumerated() {
                    while below[lower] != row { lower += 1 }
                    rowMap[node] = row
                    downMap[node] = UInt32(lower)
                }
                rows = rowMap
                down = downMap
            }
            layers.append(
                HNSWLayer(
                    nodeCount: members.count, linkStride: stride, links: UnsafePointer(links),
                    rows: rows.map { UnsafePointer($0) }, down: down.map { UnsafePointer($0) }))
            mutableLinks.append(links)
            below = members
        }
        self.layers = layers
        self.mutableLinks = mutableLinks
        entryRow = below.first ?? 0
        locks = .allocate(capacity: max(rowCount, 1))
        locks.initialize(repeating: 0, count: max(rowCount, 1))
    }

    deinit { locks.deallocate() }

    /// The top layer of a row: geometric with ratio 1 / m, from a hash of seed and row.
    static func level(row: Int, _ parameters: HNSWParameters) -> Int {
        var z = parameters.seed &+ UInt64(row &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        var level = 0
        // Each base-m digit that is 0 lifts the row by one layer.
        while level < HNSWIndex.levelMax && z % UInt64(parameters.m) == 0 {
            level += 1
            z /= UInt64(parameters.m)
        }
        return level
    }

    func sealed() -> HNSWGraph { HNSWGraph(layers: layers, entry: 0, owner: storage) }

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
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            let inserter = Inserter(self)
            while !cancelled.load(ordering: .relaxed) {
                let start = next.add(chunk, ordering: .relaxed).oldValue
                if start >= rowCount { return }
                if isCancelled() {
                    cancelled.store(true, ordering: .relaxed)
                    return
                }
                let end = min(start + chunk, rowCount)
                for row in start..<end where row != Int(entryRow) { inserter.insert(UInt32(row)) }
                let (before, after) = done.add(end - start, ordering: .relaxed)
                if before / reportEvery != after / reportEvery || after == rowCount { progress(after) }
            }
        }
        return !cancelled.load(ordering: .relaxed)
    }

    /// The node of `row` on `layer`, by binary search among the rows there.
    private func node(of row: UInt32, on layer: HNSWLayer) -> UInt32? {
        guard let rows = layer.rows else { return row }
        var low = 0
        var high = layer.nodeCount
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low < layer.nodeCount && rows[low] == row ? UInt32(low) : nil
    }

    /// What one thread needs to insert rows.
    private final class Inserter {
        private let builder: HNSWBuilder
        private let walk: HNSWWalk
        private let scratch = SearchScratch()
        /// Selected nodes of the new row: a block of m0 per layer.
        private let selected: UnsafeMutablePointer<UInt32>
        private let selectedCounts: UnsafeMutablePointer<Int>
        /// Nodes, rows and keys while one list of links is chosen.
        private let chosenRows: UnsafeMutablePointer<UInt32>
        private let chosen: UnsafeMutablePointer<UInt32>
        private let keys: UnsafeMutablePointer<UInt64>
        private let pairScores: UnsafeMutablePointer<Float>
        private let vector: UnsafeMutablePointer<Float>

        init(_ builder: HNSWBuilder) {
            self.builder = builder
            walk = HNSWWalk(scorer: builder.scorer, scratch: scratch)
            let room = HNSWLayer.stride(links: builder.parameters.m0) + 16
            selected = .allocate(capacity: room * builder.layers.count)
            selectedCounts = .allocate(capacity: builder.layers.count)
            chosenRows = .allocate(capacity: room)
            chosen = .allocate(capacity: room)
            keys = .allocate(capacity: room)
            pairScores = .allocate(capacity: room)
            vector = .allocate(capacity: builder.scorer.vectors.columnCount)
        }

        deinit {
            selected.deallocate()
            selectedCounts.deallocate()
            chosenRows.deallocate()
            chosen.deallocate()
            keys.deallocate()
            pairScores.deallocate()
            vector.deallocate()
        }

        /// Finds the neighbours of `row` on each of its layers, then links it in from layer 0 upwards.
        func insert(_ row: UInt32) {
            let layers = builder.layers
            let query = builder.prepared(row, into: vector)
            var top = 0
            while top + 1 < layers.count && builder.node(of: row, on: layers[top + 1]) != nil { top += 1 }
            var entry = walk.descend(
                query, layers: layers, entry: 0, from: layers.count - 1, to: top, locks: builder.locks)
            for level in stride(from: top, through: 0, by: -1) {
                let layer = layers[level]
                let found = walk.search(
                    query, layer: layer, entry: entry, ef: builder.parameters.efConstruction, locks: builder.locks)
                let best = PoolKey.node(scratch.pool[0])
                let count = select(UnsafePointer(scratch.pool), found, base: row, limit: builder.limit(level), layer)
                (selected + level * builder.parameters.m0).update(from: chosen, count: count)
                selectedCounts[level] = count
                entry = layer.down.map { $0[Int(best)] } ?? best
            }
            for level in 0...top {
                guard let node = builder.node(of: row, on: layers[level]) else { return }
                let neighbours = selected + level * builder.parameters.m0
                write(neighbours, selectedCounts[level], to: node, level)
                for i in 0..<selectedCounts[level] { addLink(from: neighbours[i], to: node, level) }
            }
        }

        /// Sets the links of a new node. Others may have linked to it already from a lower layer, not on this one.
        private func write(_ neighbours: UnsafePointer<UInt32>, _ count: Int, to node: UInt32, _ level: Int) {
            let layer = builder.layers[level]
            let lock = builder.locks + Int(layer.row(node))
            let links = builder.mutableLinks[level] + Int(node) * layer.linkStride
            ck_spin_lock(lock)
            links.update(from: neighbours, count: count)
            ck_spin_unlock(lock)
        }

        /// Links `node` to `other`; a full node keeps the best diverse ones.
        private func addLink(from node: UInt32, to other: UInt32, _ level: Int) {
            let layer = builder.layers[level]
            let row = layer.row(node)
            let lock = builder.locks + Int(row)
            let links = builder.mutableLinks[level] + Int(node) * layer.linkStride
            let limit = builder.limit(level)
            ck_spin_lock(lock)
            defer { ck_spin_unlock(lock) }
            var count = 0
            while count < limit && links[count] != HNSWLayer.none {
                if links[count] == other { return }
                count += 1
            }
            if count < limit {
                links[count] = other
                return
            }
            // Full: choose among the old links and the new one.
            let query = builder.prepared(row, into: vector)
            for i in 0..<count { chosenRows[i] = layer.row(links[i]) }
            chosenRows[count] = layer.row(other)
            builder.scorer.score(query, ids: chosenRows, count: count + 1, into: pairScores)
            for i in 0..<count { keys[i] = PoolKey.make(node: links[i], score: pairScores[i]) }
            keys[count] = PoolKey.make(node: other, score: pairScores[count])
            sortDescending(count + 1)
            let kept = select(UnsafePointer(keys), count + 1, base: row, limit: limit, layer)
            for i in 0..<limit { links[i] = i < kept ? chosen[i] : HNSWLayer.none }
        }

        /// Sorts the first `count` of `keys` in place; they are few.
        private func sortDescending(_ count: Int) {
            for i in 1..<count {
                let key = keys[i]
                var place = i
                while place > 0 && keys[place - 1] < key {
                    keys[place] = keys[place - 1]
                    place -= 1
                }
                keys[place] = key
            }
        }

        /// The neighbour selection heuristic: of `keys` (best first) those that are nearer to the base than to any
        /// neighbour chosen before, at most `limit`. Leaves nodes in `chosen`; returns how many.
        ///
        /// Copies of the base's own vector get half of the links at most: a crowd of equal rows must not close itself off.
        private func select(
            _ keys: UnsafePointer<UInt64>, _ count: Int, base: UInt32, limit: Int, _ layer: HNSWLayer
        ) -> Int {
            let scorer = builder.scorer
            let vectors = scorer.vectors
            let baseVector = vectors.base + Int(base) * vectors.stride
            let vectorBytes = vectors.columnCount * 4
            var kept = 0
            var copies = 0
            for i in 0..<count {
                let node = PoolKey.node(keys[i])
                let score = PoolKey.score(keys[i])
                let row = layer.row(node)
                let candidate = vectors.base + Int(row) * vectors.stride
                if memcmp(candidate, baseVector, vectorBytes) == 0 {
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
    }

    /// Links of a node. A new node takes as many as it may have, not m as in the paper: recall at equal breadth rises.
    private func limit(_ level: Int) -> Int { level == 0 ? parameters.m0 : parameters.m }

    /// The vector of `row` as a query.
    private func prepared(_ row: UInt32, into vector: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        let base = scorer.vectors.base + Int(row) * scorer.vectors.stride
        guard let rowScale = scorer.rowScale else { return base }
        for i in 0..<scorer.vectors.columnCount { vector[i] = base[i] * rowScale[Int(row)] }
        return UnsafePointer(vector)
    }
}

extension HNSWIndex {
    /// Layers above layer 0 at most.
    static let levelMax = 12
}
