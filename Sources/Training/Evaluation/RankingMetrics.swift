#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How good rankings are against held-out items: sums over users, read out as averages.
///
/// With `R` the held-out (relevant) items of a user and `L` the first `k` of the ranking:
///
/// | name | per user |
/// |---|---|
/// | recall@k | hits in L / \|R\| |
/// | precision@k | hits in L / k |
/// | ndcg@k | sum over hits of 1 / log2(rank + 1), over the same sum for the best ranking of min(k, \|R\|) hits |
/// | hit_rate@k | 1 if there is a hit |
/// | mrr@k | 1 / rank of the first hit, 0 without one |
/// | map@k | sum over hits of precision at their rank, over min(k, \|R\|) |
///
/// Over all users: `coverage@k`, the share of the catalogue that is in any list; `gini@k`, how unevenly the places in the
/// lists are dealt among all items of the catalogue (0 even, 1 all to one); `popularity@k`, the average number of training
/// interactions of a recommended item; `novelty@k`, the average of -log2(interactions of the item / users).
package struct RankingMetrics: Sendable {
    package let k: Int
    /// Training interactions of each item of the catalogue.
    private let itemCounts: [UInt32]
    private let trainingUsers: Int

    /// Users taken into account.
    package private(set) var users = 0
    private var sums = [Double](repeating: 0, count: 6)
    private var shown: [UInt32]
    private var shownTotal = 0
    private var popularity = 0.0
    private var information = 0.0

    /// - Parameters:
    ///   - k: Length of the lists, at least 1.
    ///   - itemCounts: Training interactions per item row; its count is the size of the catalogue.
    ///   - trainingUsers: Users in the training part.
    package init(k: Int, itemCounts: [UInt32], trainingUsers: Int) {
        precondition(k > 0, "k is \(k)")
        self.k = k
        self.itemCounts = itemCounts
        self.trainingUsers = trainingUsers
        shown = [UInt32](repeating: 0, count: itemCounts.count)
    }

    /// Counts one user in.
    ///
    /// - Parameters:
    ///   - ranking: Item rows, best first, each once; only the first `k` are looked at.
    ///   - relevant: The held-out item rows; `isRelevant` says whether a row is one of the `relevantCount`.
    /// - Returns: The user's ndcg@k.
    @discardableResult
    package mutating func add(
        ranking: some Collection<UInt32>, relevantCount: Int, isRelevant: (UInt32) -> Bool
    ) -> Double {
        precondition(relevantCount > 0, "a user without held-out items has no place in the averages")
        users += 1
        var hits = 0
        var gain = 0.0
        var precisions = 0.0
        var firstHit = 0
        for (place, item) in ranking.prefix(k).enumerated() {
            count(item)
            guard isRelevant(item) else { continue }
            hits += 1
            if firstHit == 0 { firstHit = place + 1 }
            gain += RankingMetrics.discount(place)
            precisions += Double(hits) / Double(place + 1)
        }
        let reachable = min(k, relevantCount)
        let ideal = (0..<reachable).reduce(0.0) { $0 + RankingMetrics.discount($1) }
        sums[0] += Double(hits) / Double(relevantCount)
        sums[1] += Double(hits) / Double(k)
        sums[2] += gain / ideal
        sums[3] += hits > 0 ? 1 : 0
        sums[4] += firstHit > 0 ? 1 / Double(firstHit) : 0
        sums[5] += precisions / Double(reachable)
        return gain / ideal
    }

    /// Counts one user in; the user's ndcg@k.
    @discardableResult
    package mutating func add(ranking: some Collection<UInt32>, relevant: Set<UInt32>) -> Double {
        add(ranking: ranking, relevantCount: relevant.count, isRelevant: relevant.contains)
    }

    /// Adds what another accumulator of the same catalogue has counted.
    package mutating func merge(_ other: RankingMetrics) {
        precondition(k == other.k && shown.count == other.shown.count, "metrics of different shape")
        users += other.users
        for i in sums.indices { sums[i] += other.sums[i] }
        for i in shown.indices { shown[i] += other.shown[i] }
        shownTotal += other.shownTotal
        popularity += other.popularity
        information += other.information
    }

    /// The averages.
    package func result() -> RankingResult {
        let n = Double(max(users, 1))
        let places = Double(max(shownTotal, 1))
        return RankingResult(
            k: k, users: users, recall: sums[0] / n, precision: sums[1] / n, ndcg: sums[2] / n, hitRate: sums[3] / n,
            mrr: sums[4] / n, map: sums[5] / n,
            coverage: shown.isEmpty ? 0 : Double(shown.count { $0 > 0 }) / Double(shown.count),
            gini: RankingMetrics.gini(shown), popularity: popularity / places, novelty: information / places)
    }

    private mutating func count(_ item: UInt32) {
        let interactions = Double(itemCounts[Int(item)])
        shown[Int(item)] += 1
        shownTotal += 1
        popularity += interactions
        // An item nobody had counts as if half a user had it: rare, but not infinitely so.
        information -= log2(max(interactions, 0.5) / Double(max(trainingUsers, 1)))
    }

    /// 1 / log2(rank + 1) at `place`, which is rank - 1.
    private static func discount(_ place: Int) -> Double { 1 / log2(Double(place + 2)) }

    /// The Gini coefficient of `counts`: with them sorted ascending, sum of (2i - n - 1) x_i over n times the sum.
    static func gini(_ counts: [UInt32]) -> Double {
        let n = counts.count
        let total = counts.reduce(0.0) { $0 + Double($1) }
        guard n > 0, total > 0 else { return 0 }
        var weighted = 0.0
        for (i, x) in counts.sorted().enumerated() { weighted += Double(2 * (i + 1) - n - 1) * Double(x) }
        return weighted / (Double(n) * total)
    }
}

/// Averages over users; the names are those of reports.
package struct RankingResult: Sendable, Equatable {
    package var k: Int
    package var users: Int
    package var recall: Double
    package var precision: Double
    package var ndcg: Double
    package var hitRate: Double
    package var mrr: Double
    package var map: Double
    package var coverage: Double
    package var gini: Double
    package var popularity: Double
    package var novelty: Double

    /// Name and value in the order of a report: `recall@20` and so on.
    package var named: [(name: String, value: Double)] {
        [
            ("recall@\(k)", recall), ("ndcg@\(k)", ndcg), ("precision@\(k)", precision), ("hit_rate@\(k)", hitRate),
            ("mrr@\(k)", mrr), ("map@\(k)", map), ("coverage@\(k)", coverage), ("gini@\(k)", gini),
            ("popularity@\(k)", popularity), ("novelty@\(k)", novelty),
        ]
    }
}
