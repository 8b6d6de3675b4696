import CandidateRanking
import Dispatch
import Features
import NearestNeighbors
import Retrieval
import Synchronization
import VectorMath
import Vocabulary

/// Asks a bundle for every user of a test file, as the node would, and compares the answers with what they did.
///
/// All items are ranked, those in the user's history removed. Each source is measured alone, by exact search, and what the
/// node answers with (`served`) with its own mix and its own index.
package struct Evaluator {
    private let served: RetrievalModel
    private let exact: RetrievalModel
    /// Nil: `served` is retrieval's order.
    private let ranker: CandidateRanker?
    private let k: Int
    private let threads: Int

    /// How many users are asked for to compare a graph with exact search.
    static let indexQueriesMax = 1000

    /// - Parameters:
    ///   - served: Loaded with the node's options.
    ///   - exact: The same bundle loaded so that every factor search is a scan.
    ///   - ranker: The bundle's, which puts the first `candidateCount` candidates in its order.
    package init(
        served: RetrievalModel, exact: RetrievalModel, ranker: CandidateRanker? = nil, k: Int, threads: Int
    ) {
        self.ranker = ranker
        precondition(k >= 1 && k <= RetrievalMix.limitMax, "k is \(k)")
        self.served = served
        self.exact = exact
        self.k = k
        self.threads = max(1, threads)
    }

    /// Evaluates against `test`, whose users and items are found by ID.
    ///
    /// A ranker with live features is asked at the time of the user's first choice in the test, where times are known; without
    /// them its live features are missing.
    ///
    /// - Parameter eachChoice: Asks before each choice of the test, at its time, with what its user had chosen by then in the
    ///   history, for that choice alone. Sources are not measured alone then.
    /// - Throws: `DatasetError` when no user is left to ask for, or `eachChoice` finds no times; `CancellationError`.
    package func evaluate(
        _ test: Interactions, name: String, eachChoice: Bool = false, cancellation: Cancellation = Cancellation(),
        onProgress: @escaping @Sendable (Double) -> Void = { _ in }
    ) throws -> EvaluationReport {
        var report = EvaluationReport(k: k)
        report.test = name
        let isLive = eachChoice || ranker?.plan.live.timeToLive != nil
        let timeline = isLive ? try EventTimeline(served, followedBy: test) : nil
        if eachChoice, timeline == nil {
            throw DatasetError(
                .unreadable,
                "\(name): to ask before each choice it must be known when they were made; the bundle or the test has no times"
            )
        }
        let cases = prepare(test, eachChoice: eachChoice, &report)
        guard !cases.isEmpty else { throw DatasetError(.empty, nothingToEvaluate(report)) }
        report.users = Set(cases.map(\.user)).count
        if eachChoice { report.choices = cases.count }
        report.rows = try rank(cases, timeline, hasSources: !eachChoice, cancellation, onProgress)
        if eachChoice { return report }
        report.index = try [("als", served.als), ("spectral", served.spectral)].compactMap { kind, factors in
            try factors.map { try indexRecall(kind, $0, cases) }
        }
        return report
    }

    /// One user to ask for.
    private struct Case {
        let user: UInt32
        /// Ascending.
        let relevant: [UInt32]
        /// The time of the first of them, in milliseconds since 1970; nil where the test has none.
        let moment: Int64?
    }

    /// Finds users and items of the test by ID; what cannot be recommended is counted and left out.
    private func prepare(_ test: Interactions, eachChoice: Bool, _ report: inout EvaluationReport) -> [Case] {
        let itemRows = (0..<UInt32(test.itemCount)).map { row in
            test.items.withBytes(of: row) { served.items.row(of: UnsafeRawBufferPointer($0)) }
        }
        var cases: [Case] = []
        for testUser in 0..<test.userCount {
            let range = test.range(of: testUser)
            if range.isEmpty { continue }
            let found = test.users.withBytes(of: UInt32(testUser)) { served.users.row(of: UnsafeRawBufferPointer($0)) }
            guard let user = found else {
                report.unknownUsers += 1
                continue
            }
            report.testInteractions += range.count
            let history = Set(served.users.history(of: user))
            var relevant: [UInt32] = []
            var moments: [Int64?] = []
            for place in range {
                guard let item = itemRows[Int(test.itemRows[place])] else {
                    report.unknownItems += 1
                    continue
                }
                if history.contains(item) {
                    report.seenItems += 1
                    continue
                }
                relevant.append(item)
                moments.append(test.times?[place])
            }
            if relevant.isEmpty {
                report.emptyUsers += 1
            } else if eachChoice {
                for (item, moment) in zip(relevant, moments) {
                    cases.append(Case(user: user, relevant: [item], moment: moment))
                }
            } else {
                cases.append(Case(user: user, relevant: relevant.sorted(), moment: moments.first ?? nil))
            }
        }
        // In the order of rows, so that users whose data lie together are asked for together.
        return cases.sorted { $0.user < $1.user }
    }

    private func nothingToEvaluate(_ report: EvaluationReport) -> String {
        if report.testInteractions == 0 {
            return
                "\(report.test): none of its \(report.unknownUsers) users is in the bundle; is it of the same data set?"
        }
        if report.seenItems == report.testInteractions {
            return "\(report.test): every item is in its user's history already; "
                + "what is tested with must not have been trained on"
        }
        return
            "\(report.test): of \(report.testInteractions) interactions \(report.unknownItems) are with items the bundle "
            + "does not know and \(report.seenItems) are in the history already; nothing is left to evaluate"
    }

    // MARK: Rankings

    /// The sources that the bundle has, and what each alone would bring.
    private var soloMixes: [(source: RetrievalSource, mix: RetrievalMix)] {
        RetrievalSource.allCases.filter(exact.has).map { source in
            (source, RetrievalMix(sources: [.init(source: source, limit: k)], normalisation: .none))
        }
    }

    /// The accumulators of one thread.
    private struct Tally {
        var sources: [RankingMetrics]
        var served: RankingMetrics
    }

    private func rank(
        _ cases: [Case], _ timeline: EventTimeline?, hasSources: Bool, _ cancellation: Cancellation,
        _ onProgress: @escaping @Sendable (Double) -> Void
    ) throws -> [EvaluationReport.Row] {
        let counts = (0..<UInt32(served.items.count)).map { UInt32(clamping: served.items.interactions($0)) }
        let empty = RankingMetrics(k: k, itemCounts: counts, trainingUsers: served.users.count)
        let solos = hasSources ? soloMixes : []
        let timelineRows = timeline.map { TimelineRows($0, served) }
        let needs = ranker?.plan.live ?? LiveNeeds(FeatureSchema(fields: []))
        var cases = cases
        if needs.items { cases.sort { ($0.moment ?? .min, $0.user) < ($1.moment ?? .min, $1.user) } }
        let (ordered, items) = (cases, needs.items ? timeline.map { ItemReplays($0) } : nil)
        let tally = Tally(sources: solos.map { _ in empty }, served: empty)
        let workers = min(threads, ordered.count)
        let results = Mutex<[Int: Result<Tally, any Error>]>([:])
        let done = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            // Each worker has a fixed run of users, so that sums do not depend on which thread was faster.
            let part = ordered.count * worker / workers..<ordered.count * (worker + 1) / workers
            let result = Result {
                var tally = tally
                var asker = Asker(served: served, exact: exact, ranker: ranker, k: k)
                if let timeline, let timelineRows {
                    let replay = try part.first.flatMap { first in
                        try items?.replay(
                            worker, before: ordered[first].moment ?? .min, timelineRows, itemCount: served.items.count)
                    }
                    asker.reader = try MomentReader(timeline, timelineRows, served, needs, items: replay)
                }
                for (n, place) in part.enumerated() {
                    try asker.ask(ordered[place].user, at: ordered[place].moment)
                    let relevant = ordered[place].relevant
                    func isRelevant(_ row: UInt32) -> Bool { relevant.hasSorted(row) }
                    for (i, solo) in solos.enumerated() {
                        let ranking = try asker.ranking(of: solo.source, solo.mix)
                        tally.sources[i].add(ranking: ranking, relevantCount: relevant.count, isRelevant: isRelevant)
                    }
                    tally.served.add(ranking: asker.served, relevantCount: relevant.count, isRelevant: isRelevant)
                    if n % 16 == 15 {
                        try cancellation.check()
                        let total = done.add(16, ordering: .relaxed).newValue
                        if worker == 0 { onProgress(Double(total) / Double(ordered.count)) }
                    }
                }
                return tally
            }
            results.withLock { $0[worker] = result }
        }
        var whole = tally
        for worker in 0..<workers {
            guard let part = try results.withLock({ $0[worker] })?.get() else { continue }
            for i in whole.sources.indices { whole.sources[i].merge(part.sources[i]) }
            whole.served.merge(part.served)
        }
        return zip(solos, whole.sources).map { .init(source: $0.source.rawValue, result: $1.result()) }
            + [.init(source: EvaluationReport.servedName, result: whole.served.result())]
    }

    /// Candidates that the served mix wants of a kind of factors.
    private func limit(of kind: String) -> Int {
        served.mix.sources.first { $0.source.rawValue == kind }?.limit ?? k
    }

    /// Recall of the graph against exact search, without a filter, for users spread over all rows.
    private func indexRecall(
        _ kind: String, _ factors: RetrievalModel.Factors, _ cases: [Case]
    ) throws -> EvaluationReport.IndexRecall {
        let efSearch = served.options.efSearch
        guard let graph = factors.index.graph else {
            return .init(kind: kind, k: k, efSearch: efSearch, recall: nil, queries: 0, isServed: false)
        }
        let wanted = min(cases.count, Evaluator.indexQueriesMax)
        let scratch = SearchScratch()
        var query = [Float](repeating: 0, count: factors.model.rank)
        var (approximate, truth): ([ScoredRow], [ScoredRow]) = ([], [])
        var found = 0
        var total = 0
        for n in 0..<wanted {
            let user = cases[cases.count * n / wanted].user
            query.withUnsafeMutableBufferPointer { factors.model.userFactor(user, into: $0) }
            try query.withUnsafeBufferPointer { query in
                try graph.walk(query, k: k, efSearch: max(efSearch, k), scratch: scratch, into: &approximate)
                try factors.index.scan.search(query, k: k, scratch: scratch, into: &truth)
            }
            let rows = Set(truth.map(\.row))
            found += approximate.count { rows.contains($0.row) }
            total += truth.count
        }
        return .init(
            kind: kind, k: k, efSearch: max(efSearch, k), recall: Double(found) / Double(max(total, 1)),
            queries: wanted,
            isServed: factors.index.planner.decide(k: limit(of: kind), eligible: served.items.count).plan.isWalk)
    }
}

/// Asks for one user after the other, on one thread.
private struct Asker {
    private let generator: CandidateGenerator
    private let solo: CandidateGenerator
    private let scorer: CandidateScorer?
    private let k: Int
    private var user: UInt32 = 0
    private var rows: [ScoredRow] = []
    private var ranking: [UInt32] = []
    /// What the node would answer.
    private(set) var served: [UInt32] = []
    /// Tells what users did by a moment; nil: nobody knows.
    var reader: MomentReader?

    init(served: RetrievalModel, exact: RetrievalModel, ranker: CandidateRanker?, k: Int) {
        scorer = ranker.map { CandidateScorer($0) }
        generator = CandidateGenerator(model: served)
        solo = CandidateGenerator(model: exact)
        self.k = k
    }

    /// - Parameter moment: Milliseconds since 1970; nil: when the bundle was made.
    mutating func ask(_ user: UInt32, at moment: Int64?) throws {
        self.user = user
        var now: UserMoment?
        if let reader, let moment { now = reader.read(user, at: moment) }
        try run(generator, generator.model.mix, now)
        if let scorer {
            rank(by: scorer, now)
        } else {
            generator.select(k, into: &rows)
        }
        served.removeAll(keepingCapacity: true)
        for row in rows { served.append(row.row) }
    }

    private mutating func rank(by scorer: CandidateScorer, _ now: UserMoment?) {
        let count = scorer.ranker.candidateCount
        generator.select(max(k, count), into: &rows)
        let ranked = Array(rows.prefix(count))
        var request = RankingRequest(
            user: user, history: now?.history ?? Array(generator.model.users.history(of: user)), candidates: ranked,
            lists: generator.lists)
        if let now {
            request.factor = now.factor
            request.live = now.live
        }
        scorer.begin(request)
        while !scorer.step() {}
        let order = ranked.indices.sorted {
            (scorer.logit($1), ranked[$0].row) < (scorer.logit($0), ranked[$1].row)
        }
        rows = Array((order.map { ranked[$0] } + rows.dropFirst(ranked.count)).prefix(k))
    }

    /// The first `k` of `source` alone for the user asked for last.
    mutating func ranking(of source: RetrievalSource, _ mix: RetrievalMix) throws -> [UInt32] {
        // What it brought to the mix will do, if it is long enough and comes from an exact search.
        let list: SourceList?
        if let brought = generator.lists.first(where: { $0.entry.source == source && $0.entry.limit >= k }),
            brought.plan?.isApproximate != true
        {
            list = brought
        } else {
            try run(solo, mix, nil)
            list = solo.lists.first
        }
        ranking.removeAll(keepingCapacity: true)
        for row in list?.rows.prefix(k) ?? [] { ranking.append(row.row) }
        return ranking
    }

    private func run(_ generator: CandidateGenerator, _ mix: RetrievalMix, _ now: UserMoment?) throws {
        guard let now else { return try run(generator, mix, generator.model.users.history(of: user), factor: []) }
        try now.history.withUnsafeBufferPointer { try run(generator, mix, $0, factor: now.factor) }
    }

    private func run(
        _ generator: CandidateGenerator, _ mix: RetrievalMix, _ history: UnsafeBufferPointer<UInt32>, factor: [Float]
    ) throws {
        generator.mask.begin()
        for item in history { generator.mask.block(item) }
        factor.withUnsafeBufferPointer {
            generator.begin(user: user, factor: $0.isEmpty ? nil : $0, history: history, mix: mix)
        }
        while try !generator.step() {}
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
