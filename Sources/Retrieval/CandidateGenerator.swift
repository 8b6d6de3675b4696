import FactorModels
import NearestNeighbors
import VectorMath
import Vocabulary

/// Finds and fuses the candidates of one user at a time, in short steps.
///
/// One shard owns it, with all its scratch; nothing is allocated once the scratch has grown to the requests' size.
/// The order of calls: `begin`, `step` until it returns true, then `select` as often as pages are wanted.
///
/// Several of them can share one scratch and one thread: with `parksSearches` each stops where a scan begins (`isParked`),
/// and `advance` takes the scans of all that are parked forward together.
package final class CandidateGenerator {
    package let model: RetrievalModel
    package let mask: EligibilityMask
    /// What the sources brought, in the order of the mix. For explanations and evaluation.
    package private(set) var lists: [SourceList] = []
    /// Sources of the mix that the bundle lacks.
    package private(set) var unavailable: [RetrievalSource] = []

    /// Whether to keep the first approximate search of the request in `sampledSearch`.
    package var keepsSearch = false
    /// The search that was kept since `begin`.
    package private(set) var sampledSearch: SampledSearch?

    /// Most items of a history that the item-to-item source starts from.
    package static let historyItemsMax = 1000

    /// Items beside the model's; nil: none. Set before `begin`.
    package var added: AddedItems?

    /// What is popular among the items of the request's filter; nil: nobody keeps it. Set before `begin`.
    package var hotLists: HotLists?

    /// What trends, highest first, rows of the model and of added items; nil: nothing is known of it now. Set before `begin`.
    package var trending: [ScoredRow]?

    /// Who helps with long scans; nil: nobody.
    package var helpers: (any SearchHelpers)?

    private var mix = RetrievalMix.unknownUser
    var user: UInt32?
    var history: [UInt32] = []
    private var nextSource = 0
    /// A source that takes more than one step.
    var work = Work.none
    let scratch: Scratch
    private var searches: [RetrievalSource: RunningSearch] = [:]
    private var query: [Float] = []
    /// The user's ALS factor where it is another than the bundle's; empty: it is not.
    private var foldedFactor: [Float] = []
    /// Users like the one asked for, for the work on their items.
    var likeUsers: [ScoredRow] = []
    private var fused: [ScoredRow] = []
    private var places = CandidatePlaces()
    private var products: [Float] = []

    /// - Parameter scratch: Shared by generators of one thread; nil: its own.
    package init(model: RetrievalModel, scratch: Scratch? = nil) {
        self.model = model
        self.scratch = scratch ?? Scratch(model: model)
        mask = EligibilityMask(itemCount: model.items.count)
    }

    /// Bytes of scratch that grow with the catalogue.
    package var byteCount: Int {
        Scratch.byteCount(items: model.items.count) + Self.maskBytes(items: model.items.count)
    }

    /// Of a generator's own.
    package static func maskBytes(items: Int) -> Int { (items + 63) / 64 * 8 }

    /// Whether a scan waits for `advance` before the first of it is done, where scans gain by taking turns.
    package var parksSearches = false

    /// Whether a scan is under way that `advance` can take forward.
    package var isParked: Bool {
        guard parksSearches, case .search(_, let search, let index) = work else { return false }
        return !search.isDone && model.sharesScans(of: index)
    }

    /// Takes the scans of parked generators forward together, as far as one step goes; those that end are not parked any
    /// more, and their next `step` takes what was found.
    package static func advance(_ parked: [CandidateGenerator]) {
        var scans: [RunningScan] = []
        var shared: (index: PlannedIndex, scratch: SearchScratch)?
        for generator in parked {
            guard case .search(_, let search, let index) = generator.work else { continue }
            if let shared, shared.index !== index { continue }
            shared = (index, generator.scratch.search)
            scans.append(search.scan)
        }
        guard let shared else { return }
        _ = shared.index.scan.advance(scans, turns: max(1, turnsPerStep / scans.count), shared.scratch)
    }

    /// Starts on a user.
    ///
    /// The mask must hold what is not to be shown before the first `step`.
    ///
    /// - Parameters:
    ///   - user: The user's row, or nil for one the model does not know.
    ///   - factor: The ALS factor to search with in place of the user's in the bundle: one that was folded in, also where
    ///     there is no user.
    ///   - history: The items the item-to-item source starts from, oldest first; of a longer one the newest
    ///     `historyItemsMax` count.
    ///   - mix: Checked by `RetrievalMix.fault`.
    package func begin(
        user: UInt32?, factor: UnsafeBufferPointer<Float>? = nil, history: UnsafeBufferPointer<UInt32>,
        mix: RetrievalMix
    ) {
        foldedFactor.removeAll(keepingCapacity: true)
        if let factor { foldedFactor.append(contentsOf: factor) }
        places.begin(capacity: mix.sources.reduce(0) { $0 + $1.limit })
        fused.removeAll(keepingCapacity: true)
        lists.removeAll(keepingCapacity: true)
        unavailable.removeAll(keepingCapacity: true)
        self.history.removeAll(keepingCapacity: true)
        self.history.append(contentsOf: history.suffix(Self.historyItemsMax))
        self.user = user
        self.mix = mix
        nextSource = 0
        sampledSearch = nil
        abandonWork()
    }

    /// A scan that others help with must not go on for nobody.
    private func abandonWork() {
        switch work {
        case .none: break
        case .search(_, let search, _): search.scan.finish()
        case .sum, .content, .users: scratch.forgetSums()
        case .added: break
        }
        work = .none
    }

    /// Does the next piece of work, of at most a few hundred microseconds.
    ///
    /// - Returns: True when the candidates are complete.
    package func step() throws -> Bool {
        switch work {
        case .none:
            guard nextSource < mix.sources.count else { return true }
            let entry = mix.sources[nextSource]
            nextSource += 1
            try start(entry)
        case .search(let list, let search, let index):
            advance(list, search, index)
        case .sum(let entry, let next):
            work = .none
            sumNeighbors(entry, from: next)
        case .content(let entry):
            work = .none
            sumContent(entry)
        case .users(let list, let next):
            work = .none
            sumUsers(list, from: next)
        case .added(let list, let next):
            work = .none
            joinAdded(list, from: next)
        }
        if case .none = work { return nextSource == mix.sources.count }
        return false
    }

    /// Leaves the source out that is under work, for one that failed; true when the candidates are complete.
    package func giveUpSource() -> Bool {
        abandonWork()
        return nextSource == mix.sources.count
    }

    /// Leaves out the sources that have not begun; for a request that is out of time.
    package func truncate() {
        abandonWork()
        nextSource = mix.sources.count
    }

    // MARK: Sources

    private func start(_ entry: RetrievalMix.Entry) throws {
        guard model.has(entry.source) || (entry.source == .trending && trending != nil) else {
            unavailable.append(entry.source)
            return
        }
        var list = SourceList(entry: entry)
        switch entry.source {
        case .als, .spectral:
            guard let factors = model.factors(of: entry.source), loadQuery(factors.model) else { return }
            try beginSearch(list, factors.index, k: entry.limit, where: mask.predicate)
            return
        case .userToUser:
            guard let users = model.userNeighbors, let factors = model.factors(of: users.source),
                loadQuery(factors.model)
            else { return }
            // One more than is looked at: the user's own row is the closest.
            try beginSearch(list, users.index, k: UserNeighbors.neighborsMax + 1, where: nil)
            return
        case .content:
            guard let content = model.content, scratch.profile != nil else { return }
            scratch.profile?.make(of: history, content)
            sumContent(entry)
            return
        case .itemToItem:
            sumNeighbors(entry, from: 0)
            return
        case .popular:
            takePopular(&list)
        case .recent:
            takeRecent(&list)
        case .trending:
            takeTrending(&list)
        }
        append(list)
    }

    /// Makes the user's factor the query; false where there is none.
    private func loadQuery(_ factors: FactorModel) -> Bool {
        if factors.kind == .als, foldedFactor.count == factors.rank {
            query.removeAll(keepingCapacity: true)
            query.append(contentsOf: foldedFactor)
            return true
        }
        guard let user else { return false }
        if query.count != factors.rank { query = Array(repeating: 0, count: factors.rank) }
        query.withUnsafeMutableBufferPointer { factors.userFactor(user, into: $0) }
        return true
    }

    private func beginSearch(
        _ list: SourceList, _ index: PlannedIndex, k: Int, where predicate: RowPredicate?
    ) throws {
        let search = search(over: index, list.entry.source)
        try query.withUnsafeBufferPointer { try index.begin(search, $0, k: k, where: predicate, scratch.search) }
        work = .search(list, search, index)
        if isParked { return }
        helpers?.ask(toShare: search, of: index)
        advance(list, search, index)
    }

    /// The reused search of `source`; a new one while somebody is still at a part of the last.
    private func search(over index: PlannedIndex, _ source: RetrievalSource) -> RunningSearch {
        if let search = searches[source], search.scan.isFree { return search }
        let search = RunningSearch(index)
        searches[source] = search
        return search
    }

    enum Work {
        case none
        /// A search of factors under way.
        case search(SourceList, RunningSearch, PlannedIndex)
        /// Item to item: the next item of the history.
        case sum(RetrievalMix.Entry, next: Int)
        /// Content: the next terms of the profile.
        case content(RetrievalMix.Entry)
        /// User to user: the next of the users found.
        case users(SourceList, next: Int)
        /// A list of factors, to which added items come: the next of them.
        case added(SourceList, next: Int)
    }

    /// Turns of a search in one step: at most some 250 microseconds.
    private static let turnsPerStep = 24

    private func advance(_ list: SourceList, _ search: RunningSearch, _ index: PlannedIndex) {
        guard index.advance(search, turns: Self.turnsPerStep, scratch.search) else { return }
        work = .none
        var list = list
        list.plan = search.plan
        if list.entry.source == .userToUser {
            likeUsers.removeAll(keepingCapacity: true)
            search.drain(into: &likeUsers)
            sumUsers(list, from: 0)
            return
        }
        search.drain(into: &list.rows)
        if keepsSearch, sampledSearch == nil, search.plan.isApproximate {
            sampledSearch = SampledSearch(
                plan: search.plan, index: index, query: query, limit: list.entry.limit, predicate: mask.snapshot,
                rows: list.rows.map(\.row))
        }
        joinAdded(list, from: 0)
    }

    /// Added items that are scored in one step: about 100 microseconds.
    private static let addedItemsPerStep = 8192

    /// Items beside the model's enter the list of the source whose factors they have vectors of, by exact scores.
    private func joinAdded(_ list: SourceList, from first: Int) {
        guard let added, added.source == list.entry.source, mask.addedCount > 0 else {
            append(list)
            return
        }
        var list = list
        if list.entry.weight > 0 {
            list.addedFrom = added.firstRow
            let known = mix.sources.filter { model.has($0.source) }
            list.addedFactor = known.reduce(0) { $0 + $1.weight } / list.entry.weight
        }
        let indexes = first..<min(added.count, first + Self.addedItemsPerStep)
        added.score(query, indexes, into: &products)
        var top = TopK(k: list.entry.limit)
        for row in list.rows { top.push(row: row.row, score: row.score) }
        for index in indexes {
            let row = added.firstRow + UInt32(index)
            if mask.isEligible(row) { top.push(row: row, score: products[index - first]) }
        }
        list.rows.removeAll(keepingCapacity: true)
        top.drain(into: &list.rows)
        if indexes.upperBound < added.count {
            work = .added(list, next: indexes.upperBound)
        } else {
            append(list)
        }
    }

    private func takePopular(_ list: inout SourceList) {
        walk(.popular, model.items.popularOrder) { row in
            list.rows.append(ScoredRow(row: row, score: Float(model.items.interactions(row))))
            return list.rows.count < list.entry.limit
        }
    }

    private func takeRecent(_ list: inout SourceList) {
        walk(.recent, model.items.recentOrder) { row in
            list.rows.append(ScoredRow(row: row, score: model.items.recentScores[Int(row)]))
            return list.rows.count < list.entry.limit
        }
    }

    /// Gives the eligible rows of an order until `take` has enough.
    private func walk(_ kind: HotLists.Kind, _ order: UnsafeBufferPointer<UInt32>, _ take: (UInt32) -> Bool) {
        guard let hotLists else {
            for row in order where mask.isEligible(row) && !take(row) { return }
            return
        }
        hotLists.walk(kind, order) { !mask.isEligible($0) || take($0) }
    }

    private func takeTrending(_ list: inout SourceList) {
        for row in trending ?? [] where mask.isEligible(row.row) {
            list.rows.append(row)
            if list.rows.count == list.entry.limit { break }
        }
    }

    // MARK: Similar items

    /// The items most like `item`: its neighbours, the items whose factors point the same way, or by `content` those that
    /// have the most in common.
    ///
    /// Only eligible ones; the mask must hold `item` itself as blocked. Added items are compared by factors, where they have
    /// vectors of these; they have no neighbours.
    ///
    /// - Complexity: O(neighbours), or a scan of the items for factors.
    package func similarItems(to item: UInt32, k: Int, source: RetrievalSource) throws -> [ScoredRow] {
        var result: [ScoredRow] = []
        if source == .content {
            guard let content = model.content, scratch.profile != nil else { return [] }
            scratch.profile?.make(of: CollectionOfOne(item), content)
            _ = scratch.addContent(of: model, limit: .max)
            var top = TopK(k: k)
            for row in scratch.summed where mask.isEligible(row) {
                top.push(row: row, score: content.likeness(row, sum: scratch.sums[Int(row)]))
            }
            scratch.forgetSums()
            top.drain(into: &result)
            return result
        }
        if let factors = model.factors(of: source) {
            let added = added?.source == source ? added : nil
            if Int(item) < model.items.count {
                try factors.similar.search(
                    like: Int(item), k: k, where: mask.predicate, scratch: scratch.search, into: &result)
            } else if let added {
                try added.vector(Int(item - added.firstRow)).withUnsafeBufferPointer {
                    try factors.similar.search(
                        $0, k: k, where: mask.predicate, scratch: scratch.search, into: &result)
                }
            }
            if let added, mask.addedCount > 0 {
                let query =
                    Int(item) < model.items.count
                    ? factors.rows.floats(item) : added.vector(Int(item - added.firstRow))
                var top = TopK(k: k)
                for row in result { top.push(row: row.row, score: row.score) }
                added.offer(likeQuery: query, where: mask, to: &top)
                result.removeAll(keepingCapacity: true)
                top.drain(into: &result)
            }
        } else if Int(item) < model.items.count, let neighbors = model.neighbors {
            let (rows, weights) = neighbors.neighbors(of: item)
            var top = TopK(k: k)
            for position in rows.indices where mask.isEligible(rows[position]) {
                top.push(row: rows[position], score: weights[position])
            }
            top.drain(into: &result)
        }
        return result
    }

    // MARK: Fusion

    func append(_ list: SourceList) {
        places.merge(list, SourceList.Scale(list, mix.normalisation), into: &fused)
        lists.append(list)
    }

    /// How many different items the sources brought.
    package var candidateCount: Int { fused.count }

    /// What the sources brought, with fused scores, in no order; for stages that choose by more than the score.
    package var candidates: [ScoredRow] { fused }

    /// Whether the sources brought `row`.
    package func isCandidate(_ row: UInt32) -> Bool { places.contains(row) }

    /// Puts the best `k` candidates that come after `last`, in the order of falling score and rising row, in place of
    /// what `result` held.
    ///
    /// - Parameter rows: The candidates to choose from; nil: all.
    /// - Complexity: O(candidates + k log k).
    package func select(
        _ k: Int, after last: ScoredRow? = nil, among rows: AvailableRows? = nil, into result: inout [ScoredRow]
    ) {
        result.removeAll(keepingCapacity: true)
        var top = TopK(k: k)
        if let rows {
            for candidate in fused where rows.contains(candidate.row) {
                if let last, (-candidate.score, candidate.row) <= (-last.score, last.row) { continue }
                top.push(row: candidate.row, score: candidate.score)
            }
        } else if let last {
            for candidate in fused {
                if candidate.score < last.score || (candidate.score == last.score && candidate.row > last.row) {
                    top.push(row: candidate.row, score: candidate.score)
                }
            }
        } else {
            for candidate in fused { top.push(row: candidate.row, score: candidate.score) }
        }
        top.drain(into: &result)
    }
}
