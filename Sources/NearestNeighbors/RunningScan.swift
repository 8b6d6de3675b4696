import Glibc
import VectorMath

/// One query on its way through a `ScanIndex`: what is known of it, how far it got, the best rows so far.
///
/// It belongs to one thread and is used again for the next query of the same index.
package final class RunningScan {
    /// The best rows so far.
    package internal(set) var top = TopK(k: 0)

    let index: ScanIndex
    let probes: ScoreProbes
    /// The query as the scorer takes it.
    let query: UnsafeMutablePointer<Float>
    /// The query in the index's space.
    private let placed: UnsafeMutablePointer<Float>
    let coordinates: UnsafeMutablePointer<Float>
    /// Its length there.
    private(set) var length = 0.0

    var predicate: RowPredicate?
    var isSparse = false
    var isDone = true
    var nextBlock = 0
    var nextTurn = 0
    var nextWord = 0
    /// Whether the bounds are proved, so that the order of reading changes nothing.
    var isExact = true
    /// Its blocks while others may read them, too.
    private(set) var shared: SharedScan?
    /// Made at the first use.
    private var ownShared: SharedScan?
    /// Where the blocks end that the owner of a shared scan has for itself.
    var privateEnd = 0

    package init(_ index: ScanIndex) {
        self.index = index
        probes = ScoreProbes(index.bounds)
        query = .allocate(capacity: index.dimension)
        placed = .allocate(capacity: index.dimension)
        let room = index.space.levels.reduce(0) { $0 + $1.dimensions } + 16
        coordinates = .allocate(capacity: room)
        coordinates.update(repeating: 0, count: room)
    }

    deinit {
        query.deallocate()
        placed.deallocate()
        coordinates.deallocate()
    }

    /// Appends the best rows to `results`, best first, and forgets them.
    package func drain(into results: inout [ScoredRow]) { top.drain(into: &results) }

    /// Hands the best rows over until `takeBack`.
    func lendTop() -> TopK {
        var lent = TopK(k: 0)
        swap(&lent, &top)
        return lent
    }

    func takeBack(_ lent: inout TopK) { swap(&lent, &top) }

    /// Ends it without an answer.
    package func finish() {
        shared?.close()
        shared = nil
        isDone = true
        // Who is still at a part may be reading it.
        if isFree { predicate = nil }
    }

    /// Whether it can be used for another search: nobody is at a part of the last one any more.
    package var isFree: Bool { ownShared?.isQuiet ?? true }

    /// For callers that have no other scan to use: the wait is that of a helper whose core was taken away.
    func awaitFree() { while !isFree { sched_yield() } }

    /// Lets others read from block `first` on, which is the same for all searches.
    func share(from first: Int) -> SharedScan {
        let shared = ownShared ?? SharedScan(first: first, blockCount: index.order.blockCount)
        ownShared = shared
        shared.open(k: top.k)
        self.shared = shared
        return shared
    }

    /// When everything is gathered.
    func unshare() { shared = nil }

    /// Takes a query's finite components.
    func set(_ source: UnsafePointer<Float>, confidence: Float) {
        let space = index.space
        let dimension = index.dimension
        switch index.metric {
        case .innerProduct:
            query.update(from: source, count: dimension)
            placed.update(from: source, count: dimension)
        case .cosine:
            let scale = RowScorer.inverseNorm(source, dimension)
            for i in 0..<dimension {
                query[i] = source[i] * scale
                placed[i] = query[i]
            }
        case .l2:
            query.update(from: source, count: dimension)
            for i in 0..<dimension { placed[i] = (source[i] - space.centre[i]) * space.unit }
        }
        var square = 0.0
        for i in 0..<dimension { square += Double(placed[i]) * Double(placed[i]) }
        length = square.squareRoot()
        space.axes.project(placed, into: coordinates)
        probes.set(coordinates: coordinates, query: placed, length: length, confidence: confidence)
    }

    /// The bound below which a row of at most `lengthMax` cannot enter any more.
    ///
    /// Under the best rows' worst score by what rounding the query may hide, and a little: sums in single precision may
    /// have come out too low. Where scores are those of rounded rows, by what that may have added, too.
    func bar(threshold: Float, lengthMax: Float) -> Float {
        guard threshold > -.infinity else { return -.infinity }
        let unit = index.space.unit
        let long = Double(lengthMax)
        let moved = Double(index.rowDrift) * long
        switch index.metric {
        case .innerProduct, .cosine:
            return Float(
                Double(threshold) * Double(unit) - (2e-5 * length + probes.errorLength) * long - moved * length)
        case .l2:
            let bar = (Double(threshold) * Double(unit) * Double(unit) + length * length) / 2
            let drift = moved * (length + long + moved / 2)
            return Float(bar - 2e-5 * (length * length + long * long) - probes.errorLength * long - drift)
        }
    }
}
