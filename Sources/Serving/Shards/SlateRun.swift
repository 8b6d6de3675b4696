import CandidateRanking
import NearestNeighbors
import Retrieval
import VectorMath
import Vocabulary

/// One user's slate on its way through the stages. The order of the file is the order of the request.
final class SlateRun: ShardRun {
    private let engine: Engine
    private let configuration: ServingConfiguration
    private let arrived: UInt64
    private var quality: QualityLevel

    private var request = RecommendationRequest(user: "")
    private var cursor: PageCursor?
    /// When the first page was made, where items have windows.
    private var pagesBegan: Int64?
    /// The items that are available now; nil: all that are eligible.
    private var visible: AvailableRows?
    /// What has changed of the items when the run began.
    private var overlay: ItemOverlay
    private var k = 0
    private var fallback = Fallback.none
    private var degraded: DegradationSet = []
    /// Nil where pages are the best candidates in their order.
    private var reranker: Reranker?
    private var history = UserHistory()
    /// The user's epoch when the slate was begun.
    private var stamp = UserEpochs.Stamp.nobody
    private var retrievalStarted: UInt64 = 0
    private let seat: RankingSeat?
    /// What the ranker is at work on: all candidates, and how many of them it ranks; nil before and after.
    private var ranking: (candidates: RankableCandidates, count: Int, started: UInt64)?
    private var isCancelled = false
    /// The ranker's order; nil: retrieval's.
    private var ranked: RankedCandidates?
    /// The candidates that it scored, in the order of its rows.
    private var rankedRows: ArraySlice<ScoredRow> = []
    /// What the ranker made of the shown items is being found out; the answer is made but for that.
    private var features: SlateFeatureRun?
    private var sourceStarted: UInt64 = 0
    /// Time of each list, in the lists' order.
    private var sourceNanoseconds: [UInt64] = []
    private(set) var times = StageTimes()
    private(set) var answer = ShardAnswer.rejected(Rejection(.internalFault, "the run has not ended"))

    private var model: RetrievalModel { engine.generation.model }
    private let generator: CandidateGenerator

    /// - Parameters:
    ///   - generator: One of the engine's, of which no other run makes use.
    ///   - seat: The same; nil without a ranker.
    ///   - helpers: For long scans.
    ///   - overlay: Nil: the engine's newest one.
    ///   - quality: Of a first page; a further one has that of the first.
    init(
        engine: Engine, generator: CandidateGenerator, seat: RankingSeat?, configuration: ServingConfiguration,
        arrived: UInt64, helpers: (any SearchHelpers)? = nil, overlay: ItemOverlay? = nil,
        quality: QualityLevel = .full
    ) {
        self.engine = engine
        self.quality = quality
        self.overlay = overlay ?? engine.overlay
        self.generator = generator
        self.seat = seat
        // The run before may have been one of several.
        generator.parksSearches = false
        generator.helpers = helpers
        self.configuration = configuration
        self.arrived = arrived
    }

    /// Checks the request, decides which items are eligible, and sets the sources up.
    ///
    /// - Parameters:
    ///   - filter: The items that satisfy the request's filter.
    ///   - restarted: The cursor was of a generation that is gone.
    /// - Throws: `Rejection`.
    func begin(
        _ request: RecommendationRequest, filter: FilteredRows, restarted: Bool, now: UInt64, clock: () -> UInt64
    ) throws {
        guard let scenario = configuration.scenarios[request.scenario] else {
            throw configuration.unknownScenario(request.scenario)
        }
        k = request.k == 0 ? scenario.k : request.k
        if k > configuration.itemsMax {
            throw Rejection(.invalidArgument, "k is \(k); the largest is \(configuration.itemsMax)")
        }
        degraded = []
        cursor = try checkedCursor(request, restarted: restarted)
        if restarted { degraded.insert(DegradationSet(.cursorRestarted)) }
        if let cursor { quality = cursor.quality }
        self.request = request
        reranker = nil
        if scenario.reranking != nil || !request.pins.isEmpty || cursor?.shownRows != nil {
            reranker = engine.reranker(
                scenario.reranking ?? RerankingConfiguration(), scenario: request.scenario, overlay)
        }
        times = StageTimes(queue: now &- arrived)

        let user = model.users.row(of: request.user)
        let known = user.map { model.users.history(of: $0) }
        history.make(of: request.user, known: known, recent: request.recentItems, engine, overlay)
        stamp = engine.stamp(of: request.user)
        Eligibility.apply(
            available: makeAvailable(), filter: filter, excluded: request.excludedItems, seen: known,
            blocked: history.blocked, engine: engine, overlay: overlay, mask: generator.mask)
        generator.added = overlay.added
        generator.trending = engine.trending(
            request.scenario, overlay, now: now, ageMax: configuration.activityAgeMaxNanoseconds)

        let mix: RetrievalMix
        if !history.rows.isEmpty {
            fallback = .none
            mix = scenario.mix ?? model.mix
        } else {
            fallback = user == nil ? .unknownUser : .noHistory
            mix = .unknownUser(beside: scenario.mix ?? model.mix)
        }
        generator.keepsSearch = engine.recallSampler?.wantsNext() ?? false
        history.rows.withUnsafeBufferPointer { rows in
            history.factor.withUnsafeBufferPointer { factor in
                generator.begin(
                    user: user, factor: factor.isEmpty ? nil : factor, history: rows, mix: quality.reduced(mix, k: k))
            }
        }
        retrievalStarted = clock()
        // A compiled filter and the mask.
        times.filter = retrievalStarted &- now
        sourceStarted = retrievalStarted
        sourceNanoseconds.removeAll(keepingCapacity: true)
    }

    /// The items to choose among: those available now, or at the time of the first page.
    private func makeAvailable() -> AvailableRows {
        let now = engine.now(overlay)
        let available = engine.availableItems(overlay, at: now)
        pagesBegan = now
        visible = nil
        guard now != nil, let began = cursor?.moment else { return available }
        pagesBegan = began
        let then = engine.availableItems(overlay, then: began)
        if !then.isSame(as: available) { visible = available }
        return then
    }

    private func checkedCursor(_ request: RecommendationRequest, restarted: Bool) throws -> PageCursor? {
        guard !request.cursor.isEmpty else { return nil }
        guard let cursor = PageCursor(request.cursor) else {
            throw Rejection(.invalidArgument, "the cursor is not one that this node gave out")
        }
        guard cursor.parameters == PageCursor.parameters(of: request) else {
            throw Rejection(
                .invalidArgument,
                "the cursor belongs to a request with another user, scenario, filter, context or exclusions")
        }
        return restarted ? nil : cursor
    }

    /// Whether scans wait to be taken forward together with others'.
    var parksSearches: Bool {
        get { generator.parksSearches }
        set { generator.parksSearches = newValue }
    }

    /// The generator, while a scan of it waits to be taken forward together with others'.
    var parked: CandidateGenerator? { generator.isParked ? generator : nil }

    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool {
        do {
            if ranking != nil { return rank(now, deadline, clock) }
            if features != nil { return explainRanking(now, deadline) }
            if now >= deadline {
                // What the sources have brought so far is better than nothing, and costs no further time.
                if generator.candidateCount == 0 {
                    answer = .rejected(Rejection(.deadlineExceeded, "the deadline passed before any source answered"))
                    return true
                }
                generator.truncate()
                degraded.insert(DegradationSet(.deadlineTruncated))
            } else {
                let isComplete = try generator.step()
                if request.explain { timeSources(clock()) }
                if !isComplete { return false }
            }
            if let search = generator.sampledSearch { engine.recallSampler?.take(search) }
            let retrieved = clock()
            times.retrieve = retrieved &- retrievalStarted
            if beginRanking(retrieved, deadline) { return false }
            finish(retrieved, clock)
        } catch {
            answer = .rejected(Rejection(.internalFault, "retrieval: \(error)"))
        }
        return true
    }

    private func finish(_ now: UInt64, _ clock: () -> UInt64) {
        answer = .slate(slate(clock))
        times.fuse = clock() &- now &- times.rerank
    }

    // MARK: Ranking

    /// Puts the candidates in line for the ranker where one is wanted and there; false where the order stays retrieval's.
    private func beginRanking(_ now: UInt64, _ deadline: UInt64) -> Bool {
        guard let scenario = configuration.scenarios[request.scenario], scenario.ranker != .none, fallback == .none,
            generator.candidateCount > 0
        else { return false }
        guard let seat else {
            if scenario.ranker == .required { degraded.insert(DegradationSet(.rankerUnavailable)) }
            return false
        }
        var candidates: [ScoredRow] = []
        generator.select(generator.candidateCount, into: &candidates)
        let rankable = RankableCandidates(candidates, itemCount: model.items.count)
        let count = quality.reduced(
            ranked: min(rankable.known.count, scenario.rankCandidates ?? seat.scorer.ranker.candidateCount), k: k)
        if count == 0 { return false }
        var ranked = RankingRequest(
            user: model.users.row(of: request.user), history: history.rows, context: request.context,
            candidates: Array(rankable.known.prefix(count)), lists: generator.lists)
        ranked.factor = history.factor
        ranked.live = engine.liveReadings(of: request.user)
        let isTaken = seat.enter(
            ranked, in: scenario, keepsRows: request.explain || !request.logID.isEmpty, deadline: deadline, now)
        guard isTaken else {
            degraded.insert(DegradationSet(.rankerSkipped))
            return false
        }
        ranking = (rankable, count, now)
        return true
    }

    var waitsForScores: RankingBatcher? {
        guard ranking != nil, !isCancelled, let seat, !seat.isScored else { return nil }
        return seat.batcher
    }

    /// Leaves the line for the ranker, as nobody waits for the answer any more.
    func cancelRanking() {
        seat?.leave(isLate: false)
        isCancelled = true
    }

    /// Takes the ranker's order; true when the slate is made. When time is up, the order stays retrieval's.
    private func rank(_ now: UInt64, _ deadline: UInt64, _ clock: () -> UInt64) -> Bool {
        guard let ranking, let seat else { return true }
        if isCancelled {
            answer = .rejected(Rejection(.cancelled, "the call was cancelled before its candidates were ranked"))
            return true
        }
        var order = RankedCandidates()
        if now >= deadline {
            seat.leave(isLate: true)
            degraded.insert(DegradationSet(.rankerSkipped))
        } else if !seat.isScored {
            return false
        } else if order.take(ranking.candidates, ranked: ranking.count, logit: seat.scorer.logit) {
            ranked = order
            rankedRows = ranking.candidates.known.prefix(ranking.count)
        } else {
            degraded.insert(DegradationSet(.rankerSkipped))
        }
        self.ranking = nil
        let done = clock()
        times.rank = done &- ranking.started
        finish(done, clock)
        if request.explain, ranked != nil, case .slate(let slate) = answer {
            features = SlateFeatureRun(
                slate.items, ranked: ranking.candidates.known.prefix(ranking.count), seat.scorer)
        }
        return features == nil
    }

    /// Looks further into the shown items' scores; true when the explanation is whole or time is up.
    private func explainRanking(_ now: UInt64, _ deadline: UInt64) -> Bool {
        guard now < deadline, let features, case .slate(var slate) = answer else { return true }
        guard let found = features.step() else { return false }
        slate.explanation?.features = found
        answer = .slate(slate)
        return true
    }

    private func timeSources(_ now: UInt64) {
        while sourceNanoseconds.count < generator.lists.count {
            sourceNanoseconds.append(now &- sourceStarted)
            sourceStarted = now
        }
    }

    // MARK: Slate

    /// What stands on a page, and what its cursor has to say.
    private struct Page {
        var items: [SlateItem]
        /// Of the last item, where pages follow the order.
        var pool = PageCursor.Pool.candidates
        /// Where the page was re-ranked: the place after which the next one starts, and the rows that it leaves out.
        var end: ScoredRow?
        var shownRows: [UInt32]?
        var placements: [RerankedItem] = []
        var draws: SlateDraws?
        var pinnedItems = 0
    }

    private func slate(_ clock: () -> UInt64) -> Slate {
        if !generator.unavailable.isEmpty { degraded.insert(DegradationSet(.sourceUnavailable)) }
        let page: Page
        if let reranker {
            let started = clock()
            page = rerankedPage(reranker)
            times.rerank = clock() &- started
        } else {
            page = orderedPage()
        }
        let items = page.items
        if items.count < k { degraded.insert(DegradationSet(.shortSlate)) }
        var next: [UInt8] = []
        if let last = page.end ?? items.last.map({ ScoredRow(row: $0.row, score: $0.score) }), items.count == k,
            generator.mask.eligibleCount > k
        {
            next =
                PageCursor(
                    pool: page.pool, generation: engine.generation.number,
                    parameters: PageCursor.parameters(of: request), score: last.score, row: last.row,
                    moment: pagesBegan, shownRows: page.shownRows, quality: quality
                ).bytes
        }
        var slate = Slate(
            items: items, generation: engine.generation, fallback: fallback, degraded: degraded, nextCursor: next,
            explanation: request.explain ? explanation(items) : nil,
            includeDetails: request.includeDetails || request.explain,
            // What is left to chance is drawn anew for each call.
            isCacheable: !request.explain && request.cursor.isEmpty && page.draws == nil
                && degraded.isDisjoint(with: [
                    DegradationSet(.deadlineTruncated), DegradationSet(.rankerSkipped),
                ]),
            seconds: seconds(of: items),
            candidates: generator.lists.map { ($0.entry.source, $0.rows.count, $0.plan) })
        slate.stamp = stamp
        slate.quality = quality
        slate.overlay = overlay
        slate.draws = page.draws
        slate.pinnedItems = page.pinnedItems
        slate.explanation?.placements = page.placements
        if !request.logID.isEmpty { slate.capture = capture(slate, page.placements) }
        return slate
    }

    private func capture(_ slate: Slate, _ placements: [RerankedItem]) -> SlateCapture {
        SlateSources(
            request: request, generator: generator, ranked: ranked, rankedRows: rankedRows, scorer: seat?.scorer,
            reranker: reranker, candidatesMax: configuration.slateCandidatesMax
        ).capture(slate, placements)
    }

    /// Candidates after the cursor, then popular items, until the page is full.
    private func orderedPage() -> Page {
        var items: [SlateItem] = []
        items.reserveCapacity(k)
        var pool = PageCursor.Pool.candidates
        if cursor?.pool != .popular {
            let last = cursor.map { ScoredRow(row: $0.row, score: $0.score) }
            var selected: [ScoredRow] = []
            if let ranked {
                selected = ranked.page(k, after: last, among: visible)
            } else {
                generator.select(k, after: last, among: visible, into: &selected)
            }
            for row in selected { items.append(SlateItem(row: row.row, score: row.score)) }
        }
        if items.count < k {
            let before = items.count
            fill(&items, upTo: k)
            if items.count > before || cursor?.pool == .popular { pool = .popular }
        }
        return Page(items: items, pool: pool)
    }

    /// The same, where a page is more than the best candidates in their order.
    private func rerankedPage(_ reranker: Reranker) -> Page {
        var wanted = Reranker.Request(candidates: [], k: k)
        if cursor?.pool != .popular {
            wanted.candidates = ranked?.rows ?? generator.candidates
            if let visible { wanted.candidates.removeAll { !visible.contains($0.row) } }
        }
        if cursor == nil { wanted.pins = pins(reranker) }
        wanted.shown = ShownItems(after: cursor)
        wanted.explores = request.explores
        wanted.explains = request.explain
        var seed = request.seed
        if seed == 0, request.explores, reranker.configuration.exploration != nil { seed = max(1, engine.seeds()) }
        // Another page, another user: other draws from the same seed.
        var random = SlateRandom(seed: XXH64.hash(request.user, seed: seed) &+ UInt64(wanted.shown.rows.count))
        let chosen = reranker.page(wanted, using: &random)
        if chosen.areCapsRelaxed { degraded.insert(DegradationSet(.capsRelaxed)) }

        var free = chosen.items.map { SlateItem(row: $0.row, score: $0.score) }
        let pinned = chosen.pins.map(\.item.row)
        fill(&free, upTo: k - pinned.count) { wanted.shown.contains($0) || pinned.contains($0) }
        let filling = free[chosen.items.count...]
        let slate = chosen.slate(filling: filling.map { RerankedItem(row: $0.row, score: $0.score) })
        var shown = wanted.shown
        shown.add(chosen.items.map(\.row) + pinned, among: wanted.candidates, reranker)

        var page = Page(items: slate.map { SlateItem(row: $0.row, score: $0.score) })
        page.shownRows = shown.rows
        page.end = shown.cursorEnd
        if let last = filling.last {
            page.pool = .popular
            page.end = ScoredRow(row: last.row, score: last.score)
            // No candidate comes any more.
            page.shownRows = shown.rows.filter { !generator.isCandidate($0) }
        }
        page.placements = slate
        page.pinnedItems = pinned.count
        if chosen.hasDrawn {
            page.draws = SlateDraws(
                seed: seed, propensities: slate.map(\.propensity), exploredItems: slate.count { $0.isExplored })
        }
        return page
    }

    /// The pins of the request, then those of the scenario, where their items may be shown.
    private func pins(_ reranker: Reranker) -> [(row: UInt32, place: Int)] {
        var pins: [(row: UInt32, place: Int)] = []
        for pin in request.pins + reranker.configuration.pins {
            guard let row = engine.row(of: pin.item, overlay), generator.mask.isEligible(row),
                visible?.contains(row) ?? true, !pins.contains(where: { $0.row == row || $0.place == pin.place })
            else { continue }
            pins.append((row, pin.place))
        }
        return pins
    }

    /// When all of the items are available, and nothing that they were ranked by is too old.
    private func seconds(of items: [SlateItem]) -> ClosedRange<Int64> {
        let seconds = availableSeconds(of: items)
        guard ranked != nil, let until = engine.liveUntil else { return seconds }
        return seconds.lowerBound...max(seconds.lowerBound, min(seconds.upperBound, until))
    }

    private func availableSeconds(of items: [SlateItem]) -> ClosedRange<Int64> {
        guard overlay.isTimed else { return Slate.always }
        var (from, until) = (Int64.min, Int64.max)
        for item in items {
            let window = overlay.window(of: item.row)
            from = max(from, window.from)
            until = min(until, window.until)
        }
        // They were all available at one moment.
        return from...(until == .max ? .max : max(from, until - 1))
    }

    /// Eligible items that no source brought, most popular first, those beside the model last: a slate has `k` items when
    /// `k` are eligible.
    private func fill(
        _ items: inout [SlateItem], upTo count: Int, except isShown: (UInt32) -> Bool = { _ in false }
    ) {
        var row: UInt32 = 0
        // Below everything that was shown, on this page and those before.
        var score = items.reduce(min(0, cursor?.score ?? 0)) { min($0, $1.score) }
        if let cursor, cursor.pool == .popular {
            row = cursor.row &+ 1
            score = min(0, cursor.score)
        }
        let rows = UInt32(model.items.count + (overlay.added?.count ?? 0))
        while row < rows, items.count < count {
            if generator.mask.isEligible(row), !generator.isCandidate(row), visible?.contains(row) ?? true,
                !isShown(row)
            {
                items.append(SlateItem(row: row, score: score))
            }
            row += 1
        }
    }

    // MARK: Explanation

    private func explanation(_ items: [SlateItem]) -> Explanation {
        let explainer = SlateExplainer(model: model, generator: generator, mix: currentMix)
        var timings = [
            (stage: "queue", microseconds: Int(times.queue / 1000)),
            (stage: "filter", microseconds: Int(times.filter / 1000)),
            (stage: "retrieve", microseconds: Int(times.retrieve / 1000)),
        ]
        if ranked != nil { timings.append((stage: "rank", microseconds: Int(times.rank / 1000))) }
        for (list, nanoseconds) in zip(generator.lists, sourceNanoseconds) {
            // The plan of a search stands behind its source: "retrieve.als.scan".
            let stage = ["retrieve", list.entry.source.rawValue, list.plan?.rawValue].compactMap { $0 }
            timings.append((stage: stage.joined(separator: "."), microseconds: Int(nanoseconds / 1000)))
        }
        if reranker != nil { timings.append((stage: "rerank", microseconds: Int(times.rerank / 1000))) }
        return explainer.explain(
            items, history: history.rows, eligible: generator.mask.eligibleCount, timings: timings)
    }

    private var currentMix: RetrievalMix {
        let mix = configuration.scenarios[request.scenario]?.mix ?? model.mix
        return quality.reduced(fallback == .none ? mix : .unknownUser(beside: mix), k: k)
    }
}
