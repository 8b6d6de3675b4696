import NearestNeighbors
import Retrieval
import VectorMath
import Vocabulary

/// Measures every plan for one `k` under one filter, in turns.
struct PlannerTrial {
    /// Queries that recall is counted over, where k is small.
    static let queriesMax = 200
    /// Queries of one plan before the next plan's turn, and those before them that are not counted: they find the caches
    /// as another plan left them.
    private static let turn = 8
    private static let warm = 5
    /// Time for one plan's queries in a round; no fewer than one turn is asked.
    private static let roundNanoseconds = 12_000_000.0
    private static let timedMax = 40
    private static let roundsMax = 6
    private static let breadthMax = 4096

    let index: PlannedIndex
    let queries: FactorMatrix
    let norms: [Float]
    let predicate: RowPredicate?
    /// Of each query the true nearest rows, best first.
    let truth: [[UInt32]]
    let recallMin: Double
    let repeats: Int
    private let scratch = SearchScratch()

    init(
        index: PlannedIndex, queries: FactorMatrix, norms: [Float], predicate: RowPredicate?, truth: [[UInt32]],
        recallMin: Double, repeats: Int
    ) {
        self.index = index
        self.queries = queries
        self.norms = norms
        self.predicate = predicate
        self.truth = truth
        self.recallMin = recallMin
        self.repeats = repeats
    }

    private var eligible: Int { predicate?.eligibleCount ?? index.rowCount }

    /// All plans there are for `k` rows, with what they take and find; the first is the planner's choice.
    func measure(k: Int) throws -> [PlannerCell.Plan] {
        let decision = index.planner.decide(k: min(k, index.rowCount), eligible: eligible)
        var decisions = [decision]
        func add(_ other: SearchPlanner.Decision?) {
            guard let other else { return }
            let isKnown = decisions.contains {
                $0.plan == other.plan && $0.efSearch == other.efSearch && $0.confidence == other.confidence
            }
            if !isKnown { decisions.append(other) }
        }
        for plan in [SearchPlan.scan, .lookUp, .approximateScan] {
            add(index.planner.option(plan, k: min(k, index.rowCount), eligible: eligible))
        }
        let exact = try decisions.filter { !$0.plan.isApproximate }.map { try median($0, k: k, Self.turn) }
        let cheapest = exact.min() ?? .infinity
        for plan in [SearchPlan.walk, .filteredWalk] { add(try walk(plan, k: k, under: 1.5 * cheapest)) }

        let timed = max(Self.turn, min(Self.timedMax, Int(Self.roundNanoseconds / max(cheapest, 1))))
        var rounds: [[Double]] = []
        while rounds.count < repeats || (rounds.count < Self.roundsMax && !Self.agree(rounds)) {
            rounds.append(try round(decisions, k: k, min(timed, queries.rowCount)))
        }
        return try decisions.enumerated().map { place, decision in
            let times = rounds.map { $0[place] }.sorted()
            let recall = decision.plan.isApproximate ? try recall(decision, k: k) : (1, true)
            return PlannerCell.Plan(
                plan: decision.plan, microseconds: times[(times.count - 1) / 2] / 1000, recall: recall.0,
                reachesRecall: recall.1,
                expectedMicroseconds: decision.expectedNanoseconds.isFinite ? decision.expectedNanoseconds / 1000 : 0,
                efSearch: decision.plan.isWalk ? decision.efSearch : nil,
                confidence: decision.plan == .approximateScan ? decision.confidence : nil)
        }
    }

    /// The walk of the planner's breadth, or of the first of its doubles that reaches the recall in less than `limit`
    /// nanoseconds.
    private func walk(_ plan: SearchPlan, k: Int, under limit: Double) throws -> SearchPlanner.Decision? {
        guard index.graph != nil, eligible > 0 else { return nil }
        let blocked = index.rowCount - eligible
        // Dropping afterwards is no plan where nearly all would be dropped.
        guard plan == .walk ? blocked <= 4 * k : blocked > 0 else { return nil }
        let planned = index.planner.option(plan, k: min(k, index.rowCount), eligible: eligible)
        let wanted = plan == .walk ? k + blocked : k
        var decision = planned ?? SearchPlanner.Decision(plan: plan, efSearch: max(32, wanted + wanted / 4))
        while decision.efSearch <= max(Self.breadthMax, planned?.efSearch ?? 0) {
            if try median(decision, k: k, 3) > limit { return nil }
            if try recall(decision, k: k).reached { return decision }
            decision.efSearch *= 2
            decision.expectedNanoseconds = 0
        }
        return nil
    }

    /// Medians of each plan's times; plans take turns of a few queries, so that what disturbs one disturbs all.
    private func round(_ decisions: [SearchPlanner.Decision], k: Int, _ count: Int) throws -> [Double] {
        var times = [[UInt64]](repeating: [], count: decisions.count)
        var results: [ScoredRow] = []
        for start in stride(from: 0, to: count, by: Self.turn) {
            for (place, decision) in decisions.enumerated() {
                for query in 0..<Self.warm {
                    _ = try time(decision, (start + Self.turn + query) % queries.rowCount, k: k, &results)
                }
                for query in start..<min(start + Self.turn, count) {
                    times[place].append(try time(decision, query, k: k, &results))
                }
            }
        }
        return times.map { Double($0.sorted()[$0.count / 2]) }
    }

    private func median(_ decision: SearchPlanner.Decision, k: Int, _ count: Int) throws -> Double {
        var results: [ScoredRow] = []
        let times = try (0..<min(count, queries.rowCount)).map { try time(decision, $0, k: k, &results) }
        return Double(times.sorted()[times.count / 2])
    }

    private func time(
        _ decision: SearchPlanner.Decision, _ query: Int, k: Int, _ results: inout [ScoredRow]
    ) throws -> UInt64 {
        let start = ThreadClock.nanoseconds()
        try index.search(
            queries.row(query), k: k, where: predicate, by: decision, scratch: scratch, into: &results)
        return ThreadClock.nanoseconds() - start
    }

    /// Whether each plan's last two rounds are as near to each other as the planner is asked to be to the best.
    private static func agree(_ rounds: [[Double]]) -> Bool {
        guard rounds.count > 1 else { return true }
        let sorted = (0..<rounds[0].count).map { place in rounds.map { $0[place] }.sorted() }
        return sorted.allSatisfy {
            $0[1] <= PlannerBenchConfiguration.ratioMax * $0[0]
                || $0[1] - $0[0] <= 1000 * PlannerBenchConfiguration.slackMicroseconds
        }
    }

    /// The lesser of the recall of all neighbours and, by inner product, of the fifth of them that are shortest, as the
    /// planner counts it; and whether it is enough: misses may be two standard deviations more than the wanted recall
    /// allows, as if they came alone.
    private func recall(_ decision: SearchPlanner.Decision, k: Int) throws -> (share: Double, reached: Bool) {
        let count = min(queries.rowCount, k <= 10 ? Self.queriesMax : k <= 100 ? 64 : 24)
        let members = truth.prefix(count).map { $0.prefix(k) }
        var results: [ScoredRow] = []
        let lengths = members.joined().map { norms[Int($0)] }.sorted()
        let limit = lengths.isEmpty ? 0 : lengths[lengths.count / 5]
        var (wanted, found, wantedShort, foundShort) = (0, 0, 0, 0)
        for (query, rows) in members.enumerated() {
            try index.search(
                queries.row(query), k: k, where: predicate, by: decision, scratch: scratch, into: &results)
            let answer = Set(results.map(\.row))
            for row in rows {
                let hit = answer.contains(row) ? 1 : 0
                (wanted, found) = (wanted + 1, found + hit)
                if norms[Int(row)] <= limit { (wantedShort, foundShort) = (wantedShort + 1, foundShort + hit) }
            }
        }
        func judge(_ found: Int, _ wanted: Int) -> (Double, Bool) {
            let allowed = Double(wanted) * (1 - recallMin)
            return (
                wanted == 0 ? 1 : Double(found) / Double(wanted),
                Double(wanted - found) <= allowed + 2 * allowed.squareRoot()
            )
        }
        let (all, short) = (judge(found, wanted), judge(foundShort, wantedShort))
        guard index.metric == .innerProduct else { return all }
        return (min(all.0, short.0), all.1 && short.1)
    }
}
