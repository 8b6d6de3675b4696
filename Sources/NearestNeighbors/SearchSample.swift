import VectorMath

/// Some queries, their exact answers and what those cost: what other ways to search are held against.
struct SearchSample {
    let k: Int
    /// What an exact scan takes, typically.
    let nanoseconds: Double
    private let queries: FactorMatrix
    /// Best first, for each query.
    private let truth: [[ScoredRow]]
    private let members: [Set<UInt32>]
    /// Time after which no further query is asked, once there are a few.
    static let budgetNanoseconds: UInt64 = 5_000_000
    private static let queriesMin = 4

    /// The rows of each query's answer that belong to the shortest fifth of all answers; empty but for inner product.
    private let short: [Set<UInt32>]

    init(
        _ scan: ScanIndex, _ queries: FactorMatrix, count: Int, k: Int, _ scratch: SearchScratch, _ clock: () -> UInt64
    ) throws(SearchError) {
        self.k = k
        self.queries = queries
        var truth: [[ScoredRow]] = []
        var times: [UInt64] = []
        var results: [ScoredRow] = []
        var spent: UInt64 = 0
        // The first search of a width finds memory and caches as others left them.
        try scan.search(queries.row(0), k: k, where: nil, plan: .scan, scratch: scratch, into: &results)
        for query in 0..<count where query < Self.queriesMin || spent < Self.budgetNanoseconds {
            let start = clock()
            try scan.search(queries.row(query), k: k, where: nil, plan: .scan, scratch: scratch, into: &results)
            times.append(clock() &- start)
            spent &+= times[query]
            truth.append(results)
        }
        self.truth = truth
        members = truth.map { Set($0.map(\.row)) }
        nanoseconds = Self.typical(times)
        guard scan.metric == .innerProduct else {
            short = []
            return
        }
        var lengths: [UInt32: Float] = [:]
        let found = members.joined()
        withUnsafeTemporaryAllocation(of: Float.self, capacity: scan.dimension) { room in
            guard let room = room.baseAddress else { return }
            for row in found {
                let values = scan.scorer.floats(of: Int(row), room)
                lengths[row] = Kernels.dot(values, values, dimension: scan.dimension)
            }
        }
        let sorted = truth.joined().map { lengths[$0.row] ?? 0 }.sorted()
        let limit = sorted.isEmpty ? 0 : sorted[sorted.count / 5]
        short = members.map { $0.filter { (lengths[$0] ?? 0) <= limit } }
    }

    /// Runs `search` for the queries, until it is clear that it misses too many neighbours or takes too long.
    ///
    /// - Parameters:
    ///   - recall: Of all neighbours, and of the short ones.
    ///   - limit: Nanoseconds.
    /// - Returns: What a search takes, typically; the lesser recall of those asked, and whether it was reached.
    func measure(
        reaching recall: Double, within limit: Double, queriesMax: Int = .max, _ clock: () -> UInt64,
        _ search: (UnsafeBufferPointer<Float>, inout [ScoredRow]) throws(SearchError) -> Void
    ) throws(SearchError) -> (nanoseconds: Double, recall: Double, reached: Bool) {
        var times: [UInt64] = []
        var results: [ScoredRow] = []
        var all = Tally(members, recall)
        var shortest = Tally(short, recall)
        try search(queries.row(0), &results)
        for query in truth.indices.prefix(queriesMax) {
            let start = clock()
            try search(queries.row(query), &results)
            times.append(clock() &- start)
            all.count(results, query)
            shortest.count(results, query)
            if all.hasFailed || shortest.hasFailed { break }
            // A look is a sort.
            if times.count == Self.queriesMin || times.count % 16 == 0, Self.typical(times) > limit { break }
        }
        return (
            Self.typical(times), min(all.recall, shortest.recall),
            times.count == truth.count && !all.hasFailed && !shortest.hasFailed
        )
    }

    /// Neighbours found of those wanted, query by query.
    private struct Tally {
        private let sets: [Set<UInt32>]
        private let missesMax: Double
        private var wanted = 0
        private var found = 0

        init(_ sets: [Set<UInt32>], _ recall: Double) {
            self.sets = sets
            // A sum of many that comes out a hair too low must not refuse one miss.
            missesMax = Double(sets.reduce(0) { $0 + $1.count }) * (1 - recall) + 1e-9
        }

        var hasFailed: Bool { Double(wanted - found) > missesMax }
        var recall: Double { wanted == 0 ? 1 : Double(found) / Double(wanted) }

        mutating func count(_ results: [ScoredRow], _ query: Int) {
            guard sets.indices.contains(query), !sets[query].isEmpty else { return }
            wanted += sets[query].count
            found += results.count { sets[query].contains($0.row) }
        }
    }

    /// The confidence at which that share of the sample's neighbours would still be found, at most 1.
    func confidence(reaching recall: Double, _ scan: ScanIndex) -> Float {
        var needed: [Float] = []
        // Each row takes a microsecond or two.
        let step = max(1, truth.count * k / Self.confidenceRowsMax)
        for (query, answer) in truth.enumerated() {
            guard let worst = answer.last else { continue }
            let rows = stride(from: query % step, to: answer.count, by: step).map { answer[$0].row }
            needed += scan.confidences(queries.row(query), rows: rows, threshold: worst.score)
        }
        guard !needed.isEmpty else { return 1 }
        needed.sort()
        let index = min(needed.count - 1, Int((Double(needed.count) * recall).rounded(.up)))
        // Too few neighbours to miss one of tell little of the worst that others need.
        let isSmall = Double(truth.count * k) * (1 - recall) < 1
        return min(1, max(0.3, needed[index] + (isSmall ? Self.smallSampleMargin : Self.confidenceMargin)))
    }

    /// What a sample's confidence is raised by: other queries may need more.
    private static let confidenceMargin: Float = 0.02
    private static let smallSampleMargin: Float = 0.07

    private static let confidenceRowsMax = 512

    /// The median; of few the lower one, as what disturbs a search makes it slower.
    static func typical(_ values: [UInt64]) -> Double { Double(values.sorted()[(values.count - 1) / 2]) }
}

extension ScanIndex {
    /// For each of `rows` the least confidence that lets its bounds reach `threshold` on every level.
    ///
    /// What rounding may hide is left out: the codes hold nearly all that the coordinates say.
    func confidences(_ query: UnsafeBufferPointer<Float>, rows: [UInt32], threshold: Float) -> [Float] {
        guard let base = query.baseAddress else { return [] }
        let scan = RunningScan(self)
        scan.set(base, confidence: 1)
        return scan.confidences(rows, threshold: threshold)
    }
}

extension RunningScan {
    fileprivate func confidences(_ rows: [UInt32], threshold: Float) -> [Float] {
        let space = index.space
        let bytes = space.levels.filter { $0.form == .bytes }
        let axisCount = bytes.last?.axes.upperBound ?? 0
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: space.dimension + axisCount + 16) { room in
            guard let placed = room.baseAddress else { return [] }
            let projected = placed + space.dimension
            return rows.map { row in
                space.place(Int(row), of: index.scorer, into: placed)
                space.axes.project(placed, 0..<axisCount, into: projected)
                var square = 0.0
                for i in 0..<space.dimension { square += Double(placed[i]) * Double(placed[i]) }
                // The score that the bound must reach, less what the row adds whatever the query.
                var missing = Double(bar(threshold: threshold, lengthMax: 0))
                if index.metric == .l2 { missing += square / 2 }
                var (restOfRow, restOfQuery) = (square, length * length)
                var needed = 0.0
                for level in bytes {
                    for axis in level.axes {
                        missing -= Double(projected[axis]) * Double(coordinates[axis])
                        restOfRow -= Double(projected[axis]) * Double(projected[axis])
                        restOfQuery -= Double(coordinates[axis]) * Double(coordinates[axis])
                    }
                    let most = (max(restOfRow, 0) * max(restOfQuery, 0)).squareRoot()
                    if missing > 0 { needed = max(needed, most > 0 ? missing / most : 1) }
                }
                return Float(min(1, needed))
            }
        }
    }
}
