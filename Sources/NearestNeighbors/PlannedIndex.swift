import VectorMath
import Vocabulary

/// The rows of a matrix with every way to search them, and a planner that knows what each costs here.
package final class PlannedIndex: NeighborIndex {
    package var metric: SimilarityMetric { scan.metric }
    package var rowCount: Int { scan.rowCount }
    package var dimension: Int { scan.dimension }

    package let scan: ScanIndex
    package let graph: HNSWIndex?
    package let planner: SearchPlanner

    package init(scan: ScanIndex, graph: HNSWIndex?, planner: SearchPlanner) {
        self.scan = scan
        self.graph = graph
        self.planner = planner
    }

    /// Measures what each way costs with `queries`, and keeps the graph where some search would walk it.
    package convenience init(
        scan: ScanIndex, graph: HNSWIndex?, queries: FactorMatrix,
        calibration: SearchPlanner.Calibration = SearchPlanner.Calibration(), clock: () -> UInt64
    ) throws(SearchError) {
        var planner = try SearchPlanner.measured(scan, graph, queries: queries, calibration, clock: clock)
        // A graph that no search would walk only takes memory.
        if !calibration.keepsGraph, queries.rowCount > 0, planner.mode != .hnsw,
            planner.points.allSatisfy({ $0.efSearch == nil })
        {
            planner.hasGraph = false
            planner.graphRows = nil
        }
        self.init(scan: scan, graph: planner.hasGraph ? graph : nil, planner: planner)
    }

    /// See `NeighborIndex`; the planner decides the breadth, `efSearch` is not used.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, efSearch: Int = 0, where predicate: RowPredicate? = nil,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        let search = scratch.search(for: self)
        try begin(search, query, k: k, where: predicate, scratch)
        while !advance(search, turns: .max, scratch) {}
        search.drain(into: &results)
    }

    /// The same by a decision of the caller's.
    package func search(
        _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate?,
        by decision: SearchPlanner.Decision,
        scratch: SearchScratch, into results: inout [ScoredRow]
    ) throws(SearchError) {
        let search = scratch.search(for: self)
        try begin(search, query, k: k, where: predicate, by: decision, scratch)
        while !advance(search, turns: .max, scratch) {}
        search.drain(into: &results)
    }

    /// Makes `search` ready. The predicate must stay as it is until the search is done.
    package func begin(
        _ search: RunningSearch, _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate? = nil,
        _ scratch: SearchScratch
    ) throws(SearchError) {
        let decision = planner.decide(k: min(k, rowCount), eligible: predicate?.eligibleCount ?? rowCount)
        try begin(search, query, k: k, where: predicate, by: decision, scratch)
    }

    private func begin(
        _ search: RunningSearch, _ query: UnsafeBufferPointer<Float>, k: Int, where predicate: RowPredicate?,
        by decision: SearchPlanner.Decision, _ scratch: SearchScratch
    ) throws(SearchError) {
        search.plan = decision.plan
        search.expectedNanoseconds = decision.expectedNanoseconds
        search.walked.removeAll(keepingCapacity: true)
        if decision.plan.isWalk, let graph {
            let isComplete = try graph.walk(
                query, k: k, efSearch: decision.efSearch, where: predicate, dropping: decision.plan == .walk,
                scratch: scratch, into: &search.walked)
            if isComplete {
                search.scan.finish()
                return
            }
            // The walk ended in a part of the graph with too few eligible rows.
            search.walked.removeAll(keepingCapacity: true)
            search.plan = .scan
        }
        try scan.begin(
            search.scan, query, k: k, where: predicate, plan: search.plan, confidence: decision.confidence)
    }

    /// Lets others read parts of a search that has just begun; nil unless it is an exact scan that is expected to take
    /// `nanosecondsMin` or longer.
    package func share(_ search: RunningSearch, nanosecondsMin: Double) -> ScanInvitation? {
        guard search.plan == .scan, search.expectedNanoseconds >= nanosecondsMin else { return nil }
        return scan.share(search.scan)
    }

    /// Does up to `turns` turns of at most some 10 microseconds; true when the answer can be drained.
    package func advance(_ search: RunningSearch, turns: Int, _ scratch: SearchScratch) -> Bool {
        scan.advance(search.scan, turns: turns, scratch)
    }
}

/// One query on its way through a `PlannedIndex`. It belongs to one thread and is used again and again.
package final class RunningSearch {
    /// How the last search was done.
    package internal(set) var plan = SearchPlan.scan
    /// What its decision said that it would cost.
    var expectedNanoseconds = 0.0
    let index: PlannedIndex
    /// The scan, where the plan is one.
    package let scan: RunningScan
    /// Whether the answer can be drained.
    package var isDone: Bool { scan.isDone }
    /// What a walk found.
    var walked: [ScoredRow] = []

    package init(_ index: PlannedIndex) {
        self.index = index
        scan = RunningScan(index.scan)
    }

    /// Replaces `results` by the rows found, best first.
    package func drain(into results: inout [ScoredRow]) {
        results.removeAll(keepingCapacity: true)
        if plan.isWalk {
            results.append(contentsOf: walked)
        } else {
            scan.top.drain(into: &results)
        }
    }
}
