import VectorMath

extension ItemNeighbors {
    /// Items whose weights a thread makes at a time.
    private static let grain = 64

    /// Makes the weights that `ItemNeighborsConfiguration` describes.
    ///
    /// Never holds more than `threads * 64` rows of the item by item matrix. The same bits for any number of threads.
    ///
    /// - Throws: `CancellationError`, `ConfigurationError`.
    /// - Complexity: O(sum of squared history lengths + items^2 * lowPassRank).
    package static func fit(
        _ interactions: SparseMatrix, _ configuration: ItemNeighborsConfiguration, threads: Int,
        progress: (Double) -> Void = { _ in }, isCancelled: @Sendable () -> Bool = { false }
    ) throws -> ItemNeighbors {
        try configuration.validate()
        var matrix = NormalizedMatrix(
            interactions, userExponent: configuration.userExponent, itemExponent: configuration.itemExponent)
        let items = matrix.byItem.rowCount
        var lowRank: LowRankPart?
        if configuration.lowPassRank > 0, configuration.lowPass > 0 || configuration.sharpening > 0 {
            let svd = try TruncatedSVD(
                matrix, rank: configuration.lowPassRank, iterations: configuration.iterations,
                seed: configuration.seed, threads: threads, progress: { progress($0 * 0.4) }, isCancelled: isCancelled)
            if let largest = svd.singularValues.first, largest > 0 {
                matrix.rescale(1 / largest)
                lowRank = LowRankPart(svd, matrix.itemWeights, configuration)
            }
        }
        let lists = Lists(count: items)
        let matrix1 = matrix
        let lowRank1 = lowRank
        // In a few parts, so that progress is told from the calling thread.
        let parts = max(1, min(50, items / (Self.grain * threads)))
        for part in 0..<parts {
            let first = items * part / parts
            let last = items * (part + 1) / parts
            Parallel.forEach(
                count: last - first, grain: Self.grain, threads: threads, isCancelled: isCancelled
            ) { range in
                let rows = first + range.lowerBound..<first + range.upperBound
                Self.makeLists(rows, matrix1, lowRank1, configuration.count, lists)
            }
            if isCancelled() { throw CancellationError() }
            progress(0.4 + 0.6 * Double(part + 1) / Double(parts))
        }
        return ItemNeighbors(lists: lists.values)
    }

    /// `left * right` is the low-rank part of the weights.
    private struct LowRankPart: Sendable {
        let left: DenseMatrix
        let right: PackedMatrix

        init(_ svd: TruncatedSVD, _ itemWeights: [Double], _ configuration: ItemNeighborsConfiguration) {
            // sharpening v s^4 v^T and lowPass d^-p v v^T d^p share the right side only when p is 0, so both stand side by
            // side: left = [-sharpening s^4 v | lowPass d^-p v], right = [v | d^p v].
            let largest = svd.singularValues[0]
            let rank = svd.right.columnCount
            let items = svd.right.rowCount
            let left = DenseMatrix(rowCount: items, columnCount: 2 * rank)
            let right = DenseMatrix(rowCount: items, columnCount: 2 * rank)
            let sharpening = svd.singularValues.map { value in
                let s = value / largest
                return -Float(Double(configuration.sharpening) * s * s * s * s)
            }
            for item in 0..<items {
                let scale = Float(power(max(itemWeights[item], 1), Double(configuration.lowPassScaling)))
                let source = svd.right.row(item)
                let (l, r) = (left.row(item), right.row(item))
                for n in 0..<rank {
                    l[n] = sharpening[n] * source[n]
                    r[n] = source[n]
                    l[rank + n] = configuration.lowPass / scale * source[n]
                    r[rank + n] = scale * source[n]
                }
            }
            self.left = left
            self.right = PackedMatrix(transposing: right)
        }
    }

    private static func makeLists(
        _ rows: Range<Int>, _ matrix: NormalizedMatrix, _ lowRank: LowRankPart?, _ count: Int, _ lists: Lists
    ) {
        let items = matrix.byItem.rowCount
        let width = DenseAlgebra.padded(items)
        let weights = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * width)
        defer { weights.deallocate() }
        weights.initialize(repeating: 0)
        if let lowRank { DenseAlgebra.multiply(lowRank.left, rows: rows, lowRank.right, into: weights) }
        guard let base = weights.baseAddress else { return }
        matrix.byUser.columns.withUnsafeBufferPointer { columns in
            matrix.byUser.values.withUnsafeBufferPointer { values in
                for item in rows {
                    let row = base + (item - rows.lowerBound) * width
                    for place in matrix.byItem.range(of: item) {
                        let user = Int(matrix.byItem.columns[place])
                        let value = matrix.byItem.values[place]
                        for other in matrix.byUser.range(of: user) { row[Int(columns[other])] += value * values[other] }
                    }
                    row[item] = 0
                    lists.set(item, largest(row, items, count))
                }
            }
        }
    }

    /// The `count` largest positive weights, best first, ties by row.
    private static func largest(_ row: UnsafeMutablePointer<Float>, _ items: Int, _ count: Int) -> [ScoredRow] {
        var top = TopK(k: count)
        // Rows come in ascending order, so an equal weight further on is never the better one.
        for item in 0..<items where row[item] > max(0, top.threshold) { top.push(row: UInt32(item), score: row[item]) }
        var list: [ScoredRow] = []
        top.drain(into: &list)
        return list
    }
}

/// The list of each item. `@unchecked Sendable`: each is written by one thread.
private final class Lists: @unchecked Sendable {
    private let lists: UnsafeMutableBufferPointer<[ScoredRow]>

    init(count: Int) {
        lists = .allocate(capacity: count)
        lists.initialize(repeating: [])
    }

    deinit {
        lists.deinitialize()
        lists.deallocate()
    }

    func set(_ item: Int, _ list: [ScoredRow]) { lists[item] = list }
    var values: [[ScoredRow]] { Array(lists) }
}
