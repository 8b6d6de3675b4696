import FactorModels
import Retrieval
import VectorMath
import Vocabulary

#if canImport(Glibc)
    import Glibc
#endif

/// Ranks for the users of a validation part, with models in memory, and measures the fused ranking.
///
/// Lists are exact and fused by the code that serves (`SourceList.Scale`), so that what is tuned is what is served.
struct ValidationRanker {
    struct Score: Sendable, Equatable {
        var ndcg: Double
        var recall: Double
    }

    /// What one source brings for each user, best first.
    typealias Lists = [[ScoredRow]]

    private let matrix: SparseMatrix
    private let cases: ValidationCases
    private let k: Int
    private let limit: Int
    private let threads: Int
    /// Users that a thread takes at a time.
    private static let grain = 32

    init(matrix: SparseMatrix, cases: ValidationCases, k: Int, limit: Int, threads: Int) {
        self.matrix = matrix
        self.cases = cases
        self.k = k
        self.limit = limit
        self.threads = threads
    }

    func lists(_ model: FactorModel) -> Lists {
        rank { user, scores in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: model.rank) { query in
                model.userFactor(user, into: query)
                guard let query = query.baseAddress, let out = scores.baseAddress else { return }
                Kernels.dot(
                    query, rows: model.itemFactors.base, stride: model.itemFactors.stride, count: model.itemCount,
                    dimension: model.rank, into: out)
            }
            for place in matrix.range(of: Int(user)) { scores[Int(matrix.columns[place])] = -.infinity }
        }
    }

    func lists(_ neighbors: ItemNeighbors) -> Lists {
        rank { user, scores in
            scores.update(repeating: 0)
            for place in matrix.range(of: Int(user)) {
                let (rows, weights) = neighbors.neighbors(of: matrix.columns[place])
                for n in rows.indices { scores[Int(rows[n])] += weights[n] }
            }
            // What no neighbour names is not brought.
            for item in scores.indices where scores[item] == 0 { scores[item] = -.infinity }
            for place in matrix.range(of: Int(user)) { scores[Int(matrix.columns[place])] = -.infinity }
        }
    }

    /// The items of the users whose factors point the way of a user's: see `UserNeighbors`.
    func lists(usersLike model: FactorModel) -> Lists {
        // Unit factors, so that inner products are cosines.
        let users = FactorMatrix(rowCount: model.userCount, columnCount: model.rank) { row, factor in
            model.userFactor(UInt32(row), into: factor)
            let length = factor.reduce(Float(0)) { $0 + $1 * $1 }.squareRoot()
            if length > 0 { for n in factor.indices { factor[n] /= length } }
        }
        return rank { user, scores in
            let cosines = UnsafeMutableBufferPointer<Float>.allocate(capacity: users.rowCount)
            defer { cosines.deallocate() }
            guard let query = users.row(Int(user)).baseAddress, let out = cosines.baseAddress else { return }
            Kernels.dot(
                query, rows: users.base, stride: users.stride, count: users.rowCount, dimension: users.columnCount,
                into: out)
            cosines[Int(user)] = 0
            var top = TopK(k: UserNeighbors.neighborsMax)
            for other in cosines.indices where cosines[other] > max(0, top.threshold) {
                top.push(row: UInt32(other), score: cosines[other])
            }
            scores.update(repeating: 0)
            for like in top.sorted() {
                let places = matrix.range(of: Int(like.row)).suffix(UserNeighbors.itemsPerUserMax)
                for place in places { scores[Int(matrix.columns[place])] += UserNeighbors.weight(like.score) }
            }
            for item in scores.indices where scores[item] == 0 { scores[item] = -.infinity }
            for place in matrix.range(of: Int(user)) { scores[Int(matrix.columns[place])] = -.infinity }
        }
    }

    /// Items like the newest of a user's: see `ContentIndex`.
    ///
    /// - Parameter histories: The interactions of the matrix, oldest first.
    func lists(_ content: ContentIndex, histories: Interactions) -> Lists {
        rank { user, scores in
            let nearest = content.candidates(
                for: histories.itemRows[histories.range(of: Int(user))],
                k: limit + histories.range(of: Int(user)).count)
            scores.update(repeating: -.infinity)
            for item in nearest { scores[Int(item.row)] = item.score }
            for place in matrix.range(of: Int(user)) { scores[Int(matrix.columns[place])] = -.infinity }
        }
    }

    /// The same `scores` for everybody.
    func lists(scores: [Float]) -> Lists {
        let order = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }
        return cases.users.map { user in
            let seen = Array(matrix.columns[matrix.range(of: Int(user))])
            var list: [ScoredRow] = []
            list.reserveCapacity(limit)
            for item in order where !seen.hasSorted(UInt32(item)) {
                list.append(ScoredRow(row: UInt32(item), score: scores[item]))
                if list.count == limit { break }
            }
            return list
        }
    }

    private func rank(_ fill: (UInt32, UnsafeMutableBufferPointer<Float>) -> Void) -> Lists {
        let lists = UnsafeMutableBufferPointer<[ScoredRow]>.allocate(capacity: cases.count)
        lists.initialize(repeating: [])
        defer {
            lists.deinitialize()
            lists.deallocate()
        }
        // Each place of `lists` is written by one thread.
        nonisolated(unsafe) let results = lists
        Parallel.forEach(count: cases.count, grain: Self.grain, threads: threads) { range in
            let scores = UnsafeMutableBufferPointer<Float>.allocate(capacity: matrix.columnCount)
            scores.initialize(repeating: 0)
            defer { scores.deallocate() }
            var top = TopK(k: limit)
            for n in range {
                fill(cases.users[n], scores)
                top.reset(k: limit)
                for item in scores.indices where scores[item] > top.threshold {
                    top.push(row: UInt32(item), score: scores[item])
                }
                var list: [ScoredRow] = []
                top.drain(into: &list)
                results[n] = list
            }
        }
        return Array(lists)
    }

    /// Fuses as `mix` says and measures ndcg@k and recall@k as `RankingMetrics` defines them.
    func score(_ mix: RetrievalMix, _ lists: [RetrievalSource: Lists]) -> Score {
        let parts = (cases.count + Self.grain - 1) / Self.grain
        let sums = UnsafeMutableBufferPointer<Score>.allocate(capacity: parts)
        sums.initialize(repeating: Score(ndcg: 0, recall: 0))
        defer { sums.deallocate() }
        // Each place of `sums` is written by one thread; they are added up in order.
        nonisolated(unsafe) let results = sums
        let discounts = (0..<k).map { 1 / log2(Double($0 + 2)) }
        Parallel.forEach(count: cases.count, grain: Self.grain, threads: threads) { range in
            var fusion = Fusion(itemCount: matrix.columnCount, k: k)
            var sum = Score(ndcg: 0, recall: 0)
            for n in range {
                let relevant = cases.relevant[n]
                var (hits, gain) = (0, 0.0)
                for (place, row) in fusion.fuse(mix, lists, n).enumerated() where relevant.hasSorted(row) {
                    hits += 1
                    gain += discounts[place]
                }
                sum.ndcg += gain / discounts.prefix(relevant.count).reduce(0, +)
                sum.recall += Double(hits) / Double(relevant.count)
            }
            results[range.lowerBound / Self.grain] = sum
        }
        let total = sums.reduce(into: Score(ndcg: 0, recall: 0)) { total, part in
            total.ndcg += part.ndcg
            total.recall += part.recall
        }
        return Score(ndcg: total.ndcg / Double(cases.count), recall: total.recall / Double(cases.count))
    }

    /// The scratch of one thread.
    private struct Fusion {
        private var sums: [Float]
        private var touched: [UInt32] = []
        private var top: TopK
        private var fused: [ScoredRow] = []
        private let k: Int

        init(itemCount: Int, k: Int) {
            sums = Array(repeating: -.infinity, count: itemCount)
            top = TopK(k: k)
            self.k = k
        }

        /// The best rows for the case at place `n`.
        mutating func fuse(_ mix: RetrievalMix, _ lists: [RetrievalSource: Lists], _ n: Int) -> [UInt32] {
            for entry in mix.sources {
                guard let rows = lists[entry.source]?[n] else { continue }
                let scale = SourceList.Scale(SourceList(entry: entry, rows: rows), mix.normalisation)
                for (position, row) in rows.enumerated() {
                    let part = scale.contribution(position, row.score)
                    if sums[Int(row.row)] == -.infinity {
                        sums[Int(row.row)] = part
                        touched.append(row.row)
                    } else {
                        sums[Int(row.row)] += part
                    }
                }
            }
            top.reset(k: k)
            for row in touched {
                top.push(row: row, score: sums[Int(row)])
                sums[Int(row)] = -.infinity
            }
            touched.removeAll(keepingCapacity: true)
            fused.removeAll(keepingCapacity: true)
            top.drain(into: &fused)
            return fused.map(\.row)
        }
    }
}

extension Array where Element == UInt32 {
    /// Whether a sorted array holds `value`.
    fileprivate func hasSorted(_ value: UInt32) -> Bool {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low] == value
    }
}
