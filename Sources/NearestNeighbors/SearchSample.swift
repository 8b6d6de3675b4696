import VectorMath

/// Some queries, their exact answers and what those cost: what other ways to search are held against.
struct SearchSample {
    let k: Int
    /// Median of an exact scan.
    let nanoseconds: Double
    private let queries: FactorMatrix
    /// Best first, for each query.
    private let truth: [[ScoredRow]]
    private let members: [Set<UInt32>]
    /// Time after which no further query is asked, once there are a few.
    static let budgetNanoseconds: UInt64 = 8_000_000
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
        for query in 0..<count where query < Self.queriesMin || spent < Self.budgetNanoseconds {
            let start = clock()
            try scan.search(queries.row(query), k: k, where: nil, plan: .scan, scratch: scratch, into: &results)
            times.append(clock() &- start)
            spent &+= times[query]
            truth.append(results)
        }
        self.truth = truth
        members = truth.map { Set($0.map(\.row)) }
        nanoseconds = Self.median(times)
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

    /// Runs `search` for every query: median time, and the lesser of the recall of all neighbours and of the short ones.
    func measure(
        _ clock: () -> UInt64,
        _ search: (UnsafeBufferPointer<Float>, inout [ScoredRow]) throws(SearchError) -> Void
    ) throws(SearchError) -> (nanoseconds: Double, recall: Double) {
        var times: [UInt64] = []
        var results: [ScoredRow] = []
        var (found, foundShort) = (0, 0)
        for query in truth.indices {
            let start = clock()
            try search(queries.row(query), &results)
            times.append(clock() &- start)
            found += results.count { members[query].contains($0.row) }
            if !short.isEmpty { foundShort += results.count { short[query].contains($0.row) } }
        }
        func share(_ found: Int, _ sets: [Set<UInt32>]) -> Double {
            let all = sets.reduce(0) { $0 + $1.count }
            return all == 0 ? 1 : Double(found) / Double(all)
        }
        return (Self.median(times), min(share(found, members), share(foundShort, short)))
    }

    /// The confidence at which that share of the sample's neighbours would still be found, at most 1.
    func confidence(reaching recall: Double, _ scan: ScanIndex) -> Float {
        var needed: [Float] = []
        for (query, answer) in truth.enumerated() {
            guard let worst = answer.last else { continue }
            needed += scan.confidences(queries.row(query), rows: answer.map(\.row), threshold: worst.score)
        }
        guard !needed.isEmpty else { return 1 }
        needed.sort()
        let index = min(needed.count - 1, Int((Double(needed.count) * recall).rounded(.up)))
        return min(1, max(0.3, needed[index] + Self.confidenceMargin))
    }

    /// What a sample's confidence is raised by: other queries may need more.
    private static let confidenceMargin: Float = 0.02

    static func median(_ values: [UInt64]) -> Double { Double(values.sorted()[values.count / 2]) }
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
