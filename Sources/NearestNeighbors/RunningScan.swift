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
    private let coordinates: UnsafeMutablePointer<Float>
    /// Its length there.
    private(set) var length = 0.0

    var predicate: RowPredicate?
    var isSparse = false
    var isDone = true
    var nextBlock = 0
    var nextTurn = 0
    var nextWord = 0

    package init(_ index: ScanIndex) {
        self.index = index
        let bounds = index.bounds
        let fine = bounds.fine?.dimensions ?? 0
        probes = ScoreProbes(coarse: bounds.coarse.dimensions, fine: fine, dimension: index.dimension)
        query = .allocate(capacity: index.dimension)
        placed = .allocate(capacity: index.dimension)
        coordinates = .allocate(capacity: bounds.coarse.dimensions + fine + 16)
        coordinates.update(repeating: 0, count: bounds.coarse.dimensions + fine + 16)
    }

    deinit {
        query.deallocate()
        placed.deallocate()
        coordinates.deallocate()
    }

    /// Appends the best rows to `results`, best first, and forgets them.
    package func drain(into results: inout [ScoredRow]) { top.drain(into: &results) }

    /// Ends it without an answer.
    func finish() {
        isDone = true
        predicate = nil
    }

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
        probes.set(
            coordinates: coordinates, query: placed, length: length, bounds: index.bounds, confidence: confidence)
    }

    /// The bound below which a row of at most `lengthMax` cannot enter any more.
    ///
    /// A little under the best rows' worst score: sums in single precision may have come out too low.
    func bar(lengthMax: Float) -> Float {
        let threshold = top.threshold
        guard threshold > -.infinity else { return -.infinity }
        let unit = index.space.unit
        let long = Double(lengthMax)
        switch index.metric {
        case .innerProduct, .cosine:
            return Float(Double(threshold) * Double(unit) - 2e-5 * length * long)
        case .l2:
            let bar = (Double(threshold) * Double(unit) * Double(unit) + length * length) / 2
            return Float(bar - 2e-5 * (length * length + long * long))
        }
    }
}
