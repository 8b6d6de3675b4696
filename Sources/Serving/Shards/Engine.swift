import CandidateRanking
import FactorModels
import Glibc
import LiveState
import NearestNeighbors
import Retrieval
import Telemetry
import VectorMath
import Vocabulary

/// The time of day, to the second.
package enum WallClock {
    /// Seconds since 1970-01-01 UTC.
    package static let system: @Sendable () -> Int64 = { Int64(time(nil)) }
}

/// Seeds for what is left to chance.
package enum DrawSeeds {
    /// Below 2^53, so that no reader of JSON rounds one.
    package static let system: @Sendable () -> UInt64 = { .random(in: 1..<1 << 53) }
}

/// A generation with this shard's scratch for it.
package final class Engine {
    package let generation: Generation
    /// Made at the first use: a generation that only stays for rollback costs no scratch.
    private lazy var scratch = CandidateGenerator.Scratch(model: generation.model)
    package lazy var generator = makeGenerator()
    private var further: [CandidateGenerator] = []
    private var generatorCount = 0
    /// Where candidates wait to be scored; nil where the bundle has no ranker.
    private let batcher: RankingBatcher?
    let recallSampler: RecallSampler?
    private let live: LiveUsers?
    private var foldScratch: RidgeScratch?
    /// Of the user who was asked for last.
    private var activity = UserActivity()
    private let filters: FilterCache
    /// Of the slates that it made of late.
    var pace = SlatePace()
    private let wallClock: @Sendable () -> Int64
    /// Gives seeds of draws for requests that bring none.
    let seeds: @Sendable () -> UInt64
    private var rerankers: [String: Reranker] = [:]
    /// What has changed of the generation's items. Calls keep the one that they began with.
    private(set) var overlay: ItemOverlay
    /// Of the overlay that was asked last.
    private var moment: (overlay: ItemOverlay, moment: ItemOverlay.Moment)?
    /// Filters over the added items of an overlay.
    private var addedFilters: (added: AddedItems, filters: FilterCache)?
    /// `filters`, with the items that an overlay describes anew.
    private var restatedFilters: (restated: RestatedItems, filters: FilterCache)?
    private let filterBytesMax: Int
    /// What the shard's users and all others did with items lately; nil: nothing is known.
    private(set) var itemActivity: ItemActivityView?
    /// By a scenario's number what trends, of `itemActivity` and `trendingOverlay`.
    private var trendingRows: [Int: [ScoredRow]] = [:]
    private var trendingOverlay: ItemOverlay?

    /// - Parameters:
    ///   - filterBytesMax: For compiled filters.
    ///   - wallClock: Unix seconds; may go back.
    ///   - callsMax: Calls that are under way at the same time.
    ///   - overlay: Nil: nothing has changed.
    ///   - itemActivity: Nil: nothing is known.
    init(
        generation: Generation, recallSampler: RecallSampler?, filterBytesMax: Int,
        wallClock: @escaping @Sendable () -> Int64, seeds: @escaping @Sendable () -> UInt64,
        ranking: RankingConfiguration, callsMax: Int, metrics: ShardMetrics, live: LiveUsers? = nil,
        overlay: ItemOverlay? = nil, itemActivity: ItemActivityView? = nil
    ) {
        self.itemActivity = itemActivity
        self.overlay = overlay ?? ItemOverlay(of: generation.model)
        self.filterBytesMax = filterBytesMax
        self.live = live
        self.generation = generation
        self.seeds = seeds
        batcher = generation.ranker.map { RankingBatcher($0, ranking, seatsMax: callsMax, metrics: metrics) }
        self.recallSampler = recallSampler
        self.wallClock = wallClock
        filters = FilterCache(generation.model.attributes, bytesMax: filterBytesMax)
    }

    /// The scenario's re-ranking for this generation's items and those beside them; made at the first use.
    ///
    /// - Complexity: O(names of the configuration) after items were added or described anew.
    func reranker(_ configuration: RerankingConfiguration, scenario: String, _ overlay: ItemOverlay) -> Reranker {
        let changed = ChangedItems(overlay)
        if let reranker = rerankers[scenario], reranker.changed.isSame(as: changed) { return reranker }
        let reranker = Reranker(configuration, model: generation.model, changed: changed)
        rerankers[scenario] = reranker
        return reranker
    }

    /// The generator of the call at `place` of those that are served at the same time.
    func generator(at place: Int) -> CandidateGenerator {
        if place == 0 { return generator }
        while further.count < place { further.append(makeGenerator()) }
        return further[place - 1]
    }

    private func makeGenerator() -> CandidateGenerator {
        generatorCount += 1
        return CandidateGenerator(model: generation.model, scratch: scratch)
    }

    /// Bytes of scratch that grow with the catalogue, made so far.
    var scratchBytes: Int {
        generatorCount == 0
            ? 0 : scratch.byteCount + generatorCount * CandidateGenerator.maskBytes(items: generation.model.items.count)
    }

    /// Bytes of compiled filters.
    var filterBytes: Int {
        filters.bytes + (addedFilters?.filters.bytes ?? 0) + (restatedFilters?.filters.bytes ?? 0)
    }

    /// The seat of the call at `place` before the ranker; nil where the bundle has none.
    func rankingSeat(_ place: Int) -> RankingSeat? { batcher?.seat(place) }

    // MARK: Changes of items

    /// Serves new calls by `overlay`.
    func take(_ overlay: ItemOverlay) { self.overlay = overlay }

    /// The row of an item of the model, or of one beside it; perhaps one that is gone.
    func row(of item: String, _ overlay: ItemOverlay) -> UInt32? {
        generation.model.items.row(of: item) ?? overlay.added?.row(of: item)
    }

    // MARK: Activity of items

    /// Serves new calls by what was merged last.
    func take(_ activity: ItemActivityView) {
        itemActivity = activity
        trendingRows.removeAll(keepingCapacity: true)
    }

    /// Items of a list below which a scenario has too little of its own.
    private static let trendingItemsMin = 20

    /// What trends for a scenario, as rows of the generation and of an overlay, highest first; nil where nothing is known of
    /// it, or only of a time longer ago than `ageMax`.
    ///
    /// - Parameter now: Uptime in nanoseconds.
    /// - Complexity: O(1), once after each merge and each change of items O(list).
    func trending(_ scenario: String, _ overlay: ItemOverlay, now: UInt64, ageMax: UInt64) -> [ScoredRow]? {
        guard let activity = itemActivity, activity.age(at: now) <= ageMax else { return nil }
        if trendingOverlay !== overlay {
            trendingOverlay = overlay
            trendingRows.removeAll(keepingCapacity: true)
        }
        let number = activity.scenarios[scenario]
        if let rows = trendingRows[number] { return rows }
        let known = generation.rowsByNumber
        let items = activity.trending(scenario: number, itemsMin: Self.trendingItemsMin).items
        let rows = items.compactMap { item -> ScoredRow? in
            let place = Int(item.item)
            let row =
                place < known.count && known[place] != .max
                ? known[place] : overlay.content.rowsByNumber[item.item]
            return row.map { ScoredRow(row: $0, score: item.trend) }
        }
        trendingRows[number] = rows
        return rows
    }

    // MARK: Filters

    /// The items that satisfy a filter, of the model and of the overlay.
    ///
    /// - Throws: `Rejection` for a filter that does not fit the model's items.
    func rows(of filter: ItemFilter) throws(Rejection) -> FilteredRows {
        do throws(FilterFault) {
            if filter.isEmpty { return FilteredRows(items: nil) }
            var rows = FilteredRows(items: try knownRows(of: filter))
            rows.hotLists = (overlay.restated == nil ? filters : restatedFilters?.filters)?.hotLists(of: filter)
            guard let added = overlay.added else { return rows }
            if addedFilters?.added !== added {
                addedFilters = (added, FilterCache(added.attributes, bytesMax: filterBytesMax / 16))
            }
            rows.added = try addedFilters?.filters.rows(of: filter)
            return rows
        } catch {
            throw Rejection(.invalidArgument, error.message)
        }
    }

    /// Those of the model.
    private func knownRows(of filter: ItemFilter) throws(FilterFault) -> RowBitmap? {
        guard let restated = overlay.restated else { return try filters.rows(of: filter) }
        if restatedFilters?.restated !== restated {
            let (filters, index) = (filters, generation.model.attributes)
            let patched = FilterCache(bytesMax: filterBytesMax / 4) { (filter) throws(FilterFault) in
                let known = if let kept = try filters.rows(of: filter) { kept } else { try index.rows(of: filter) }
                return try restated.rows(of: filter, known: known)
            }
            restatedFilters = (restated, patched)
        }
        return try restatedFilters?.filters.rows(of: filter)
    }

    /// Of compiled filters and hot lists.
    var filterStatistics: FilterCacheStatistics {
        [filters, addedFilters?.filters, restatedFilters?.filters].reduce(into: FilterCacheStatistics()) { sum, cache in
            guard let cache else { return }
            sum.hits += cache.hits
            sum.misses += cache.misses
            sum.bytes += cache.bytes
            sum.entryCount += cache.count
        }
    }

    /// Puts what events tell of a user in place of what `knowledge` held.
    func read(_ user: String, _ overlay: ItemOverlay, into knowledge: inout LiveUsers.Knowledge) {
        guard let live else { return }
        live.read(
            user, rows: generation.rowsByNumber, added: overlay.content.rowsByNumber, now: wallClock(),
            into: &knowledge)
    }

    /// What the ranker's live features read of a user now. One of the engine's own, so that the next call has its memory.
    func liveReadings(of user: String) -> LiveReadings {
        var readings = LiveReadings()
        guard let needs = generation.ranker?.plan.live, needs.timeToLive != nil else { return readings }
        let now = wallClock()
        if needs.items, let view = itemActivity {
            readings.items = LiveItems(view, numbers: generation.numbersByRow, now: now)
        }
        if needs.user, let live {
            live.read(user, rows: needs.pairs ? generation.rowsByNumber : nil, now: now, into: &activity)
            readings.user = activity
        }
        return readings
    }

    /// Whether the ranker takes what users do just now, and nothing is known of it that is fresh.
    ///
    /// - Parameters:
    ///   - now: Uptime in nanoseconds.
    ///   - ageMax: Nanoseconds.
    func lacksLiveReadings(now: UInt64, ageMax: UInt64) -> Bool {
        guard let needs = generation.ranker?.plan.live, needs.timeToLive != nil else { return false }
        if needs.user, live == nil { return true }
        return needs.items && (itemActivity.map { $0.age(at: now) > ageMax } ?? true)
    }

    /// Until when an answer may be kept that was ranked now by live features; nil: they do not say.
    var liveUntil: Int64? {
        guard let timeToLive = generation.ranker?.plan.live.timeToLive else { return nil }
        return wallClock() + Int64(timeToLive) - 1
    }

    /// Whether an answer may be kept for some seconds only.
    var isTimed: Bool { overlay.isTimed || generation.ranker?.plan.live.timeToLive != nil }

    /// The factor of a history; empty where it has none.
    ///
    /// - Throws: `FoldInError` where there should be one, and cannot be solved for.
    func fold(_ rows: [UInt32], _ weights: [Float], _ foldIn: FoldIn) throws(FoldInError) -> [Float] {
        let scratch = foldScratch ?? foldIn.makeScratch()
        foldScratch = scratch
        var factor = [Float](repeating: 0, count: foldIn.rank)
        let solved = rows.withUnsafeBufferPointer { rows in
            weights.withUnsafeBufferPointer { weights in
                factor.withUnsafeMutableBufferPointer { factor in
                    Result { () throws(FoldInError) in
                        try foldIn.solve(rows: rows, weights: weights, into: factor, scratch: scratch)
                    }
                }
            }
        }
        return try solved.get() ? factor : []
    }

    /// The user's epoch now.
    func stamp(of user: String) -> UserEpochs.Stamp { live?.epochs.stamp(of: user) ?? .nobody }

    // MARK: Availability

    /// The time, where items have windows.
    func now(_ overlay: ItemOverlay) -> Int64? { overlay.isTimed ? wallClock() : nil }

    /// The items that are there and inside their window.
    ///
    /// - Parameter now: From `now`.
    /// - Complexity: O(1) while no window opens or closes.
    func availableItems(_ overlay: ItemOverlay, at now: Int64?) -> AvailableRows {
        let now = now ?? 0
        if let last = moment, last.overlay === overlay, last.moment.seconds.contains(now) { return last.moment.rows }
        let new = overlay.moment(at: now)
        moment = (overlay, new)
        return new.rows
    }

    /// The items that were inside their window when a first page was made, and are still there.
    ///
    /// - Complexity: as `availableItems` when none opened or closed since, else a pass over the bitmap.
    func availableItems(_ overlay: ItemOverlay, then: Int64) -> AvailableRows {
        if let last = moment, last.overlay === overlay, last.moment.seconds.contains(then) { return last.moment.rows }
        return overlay.pastMoment(at: then).rows
    }

    /// Called when another generation serves: what can be made again is let go.
    func retire() {
        filters.removeAll()
        addedFilters = nil
        restatedFilters = nil
        moment = nil
        batcher?.isRetired = true
    }
}

/// What the third level of the cache holds, and how often it was of use.
package struct FilterCacheStatistics: Sendable, Equatable {
    package var hits: UInt64 = 0
    package var misses: UInt64 = 0
    package var bytes = 0
    package var entryCount = 0
}

/// The items that satisfy a filter.
struct FilteredRows {
    /// Of the model; nil: all.
    var items: RowBitmap?
    /// Of those beside it, by their index; nil: all.
    var added: RowBitmap?
    /// What is popular among those of the model; nil: nobody keeps it.
    var hotLists: HotLists?
}
