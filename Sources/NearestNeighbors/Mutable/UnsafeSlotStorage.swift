import CKernels
import Synchronization
import VectorMath

/// The memory of a mutable index: slots with a vector and links each, and the table from rows to slots.
///
/// ```
///  row r ──slotOf[r]──> slot s      rowOf[s] = r      s is the row's slot exactly while slotOf[r] says so
///  slot s: vector, halves, scale, links on layer 0 (on the upper ones by the graph's maps), one bit in `live`
/// ```
/// An update takes a new slot and turns `slotOf[r]` to it with one store. All of it is address space reserved for the most
/// there can be, so that nothing moves; pages take memory when a slot on them is first used.
///
/// `@unchecked Sendable`: `slotOf`, `live` and links are atomic words with one writer at a time; vector, halves, scale and
/// `rowOf` of a slot are written only while no reader can reach it (`ReadEpochs`), before a link or `slotOf` is
/// published that leads to it.
final class SlotStorage: @unchecked Sendable {
    let slotCount: Int
    let rowCount: Int
    let scorer: RowScorer
    let linkScorer: RowScorer
    /// The rows that a walk reads; nil for l2.
    let halves: HalfMatrix?
    let graph: GrowingGraph
    let rowOf: UnsafeMutablePointer<UInt32>
    /// One bit for each slot that is some row's slot: what walks go by. `slotOf` decides.
    let live: UnsafeMutablePointer<UInt64>
    private let slotOf: UnsafeMutablePointer<UInt32>
    private let vectors: UnsafeMutablePointer<Float>
    private let scale: UnsafeMutablePointer<Float>?
    private let memory: [ReservedMemory]
    private let maps: HNSWStorage

    /// Slots used so far: those from here on have never been written.
    let mark = Atomic<Int>(0)
    /// Where walks start: 0 for none, else the layer above and the node plus one below.
    private let entryWord = Atomic<UInt64>(0)
    /// Rows there are.
    let liveCount = Atomic<Int>(0)
    /// Whether half precision holds what came so far.
    let halvesHold = Atomic<Bool>(false)

    /// - Parameter top: The top layer of a slot.
    init(_ configuration: MutableIndexConfiguration, top: (_ slot: Int) -> Int) throws(IndexBuildError) {
        let slots = configuration.slotCount
        let dimension = configuration.dimension
        let metric = configuration.metric
        let linkMetric = configuration.parameters.linkMetric ?? metric
        var memory: [ReservedMemory] = []
        func reserve<Element>(_ count: Int, _ type: Element.Type) throws(IndexBuildError) -> UnsafeMutablePointer<
            Element
        > {
            let size = MemoryLayout<Element>.size
            guard let block = ReservedMemory(byteCount: count * size) else {
                throw .invalidParameter("the system has no address space for \(configuration.capacity) rows")
            }
            memory.append(block)
            return block.base.bindMemory(to: Element.self, capacity: count)
        }
        slotCount = slots
        rowCount = configuration.rowCount ?? configuration.capacity
        slotOf = try reserve(rowCount, UInt32.self)
        rowOf = try reserve(slots, UInt32.self)
        live = try reserve((slots + 63) / 64, UInt64.self)
        let stride = (dimension + FactorMatrix.rowAlignment - 1) / FactorMatrix.rowAlignment * FactorMatrix.rowAlignment
        vectors = try reserve(slots * stride, Float.self)
        let owner = memory[memory.count - 1]
        scale = metric == .cosine || linkMetric == .cosine ? try reserve(slots, Float.self) : nil
        if metric == .l2 {
            halves = nil
        } else {
            _ = try reserve(slots * HalfMatrix.stride(columnCount: dimension), UInt16.self)
            halves = HalfMatrix(growingIn: memory[memory.count - 1], rowCount: slots, columnCount: dimension)
        }
        // Links of all layers, one after the other.
        var words = slots * HNSWLayer.stride(links: configuration.parameters.m0)
        for slot in 0..<slots { words += top(slot) * HNSWLayer.stride(links: configuration.parameters.m) }
        var links = try reserve(words, UInt32.self)
        maps = HNSWStorage()
        // Under inner product most short rows have no links to them, and to keep one for each would take the long rows'
        // few links, which all walks need.
        let inLinks = linkMetric == .innerProduct ? nil : try reserve(slots, UInt32.self)
        graph = GrowingGraph(
            rowCount: slots, configuration.parameters, top: top, maps: maps, inLinks: inLinks,
            allocate: { words in
                defer { links += words }
                return links
            })
        self.memory = memory
        let matrix = FactorMatrix(
            borrowing: vectors, rowCount: slots, columnCount: dimension, stride: stride, owner: owner)
        let rowScale = scale.map { UnsafePointer($0) }
        scorer = RowScorer(growing: matrix, metric, rowScale: metric == .cosine ? rowScale : nil)
        linkScorer =
            linkMetric == metric
            ? scorer : RowScorer(growing: matrix, linkMetric, rowScale: linkMetric == .cosine ? rowScale : nil)
    }

    // MARK: What readers ask

    /// The slot of `row`, nil when there is no such row.
    @inline(__always)
    func slot(of row: UInt32) -> UInt32? {
        let word = ck_observe(slotOf + Int(row))
        return word == 0 ? nil : word - 1
    }

    /// Where a walk starts now.
    var entry: (node: UInt32, level: Int)? {
        let word = entryWord.load(ordering: .acquiring)
        return word == 0 ? nil : (UInt32(truncatingIfNeeded: word) - 1, Int(word >> 32))
    }

    /// Bytes of the slots used so far, the maps and the row table.
    var byteCount: Int {
        let used = mark.load(ordering: .relaxed)
        let vector = scorer.vectors.stride * 4 + (halves.map { $0.stride * 2 } ?? 0) + (scale == nil ? 0 : 4) + 8
        let maps = graph.layers.dropFirst().reduce(0) { $0 + $1.nodeCount * (8 + $1.linkStride * 4) }
        return used * (vector + graph.layers[0].linkStride * 4) + maps + slotCount / 8 + rowCount * 4
    }

    // MARK: What the writer does

    func isLive(_ slot: UInt32) -> Bool { MarkedRows(words: live).accepts(slot) }

    /// Fills a slot that no reader can reach: vector, row and empty links on all its layers.
    func write(_ vector: UnsafePointer<Float>, row: UInt32, to slot: UInt32) {
        let dimension = scorer.vectors.columnCount
        let target = vectors + Int(slot) * scorer.vectors.stride
        target.update(from: vector, count: dimension)
        rowOf[Int(slot)] = row
        graph.forgetLinks(to: slot)
        scale?[Int(slot)] = RowScorer.inverseNorm(target, dimension)
        if let halves {
            let half = UnsafeMutablePointer(mutating: halves.base) + Int(slot) * halves.stride
            Kernels.narrow(target, count: dimension, into: half)
            checkHalves(target, dimension)
        }
        for level in 0...graph.top(of: slot) {
            guard let node = graph.node(of: slot, on: level) else { continue }
            let list = graph.list(node, level)
            for i in 0..<graph.layers[level].linkStride { ck_publish(list + i, HNSWLayer.none) }
        }
    }

    /// The largest magnitude of all vectors that ever came.
    private var largest: Float = 0

    private func checkHalves(_ vector: UnsafePointer<Float>, _ dimension: Int) {
        let before = largest
        for i in 0..<dimension { largest = max(largest, abs(vector[i])) }
        if largest != before {
            halvesHold.store(HalfMatrix.magnitudes.contains(largest), ordering: .releasing)
        }
    }

    func setEntry(_ entry: (node: UInt32, level: Int)?) {
        let word = entry.map { UInt64($0.level) << 32 | UInt64($0.node + 1) } ?? 0
        entryWord.store(word, ordering: .releasing)
    }

    /// Makes `slot` the slot of `row`, in the place of `old` if there is one; nil ends the row.
    ///
    /// The table turns before the new slot's bit is set: who sees the bit sees that the old slot is the row's no more.
    func turn(_ row: UInt32, to slot: UInt32?, from old: UInt32?) {
        ck_publish(slotOf + Int(row), slot.map { $0 + 1 } ?? 0)
        if let slot { ck_set_bits(live + Int(slot >> 6), 1 << UInt64(slot & 63)) }
        if let old {
            ck_clear_bits(live + Int(old >> 6), 1 << UInt64(old & 63))
            graph.uncountLinks(of: old)
        }
        let change = (slot == nil ? 0 : 1) - (old == nil ? 0 : 1)
        if change != 0 { liveCount.add(change, ordering: .releasing) }
    }
}
