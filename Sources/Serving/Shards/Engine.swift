import Glibc
import NearestNeighbors
import Retrieval
import Telemetry
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
    package lazy var generator = CandidateGenerator(model: generation.model, scratch: scratch)
    private var further: [CandidateGenerator] = []
    /// Where candidates wait to be scored; nil where the bundle has no ranker.
    private let batcher: RankingBatcher?
    let recallSampler: RecallSampler?
    private let live: LiveUsers?
    private let filters: FilterCache
    private let wallClock: @Sendable () -> Int64
    /// Gives seeds of draws for requests that bring none.
    let seeds: @Sendable () -> UInt64
    private var rerankers: [String: Reranker] = [:]
    private var moment: ItemAvailability.Moment?

    /// - Parameters:
    ///   - filterBytesMax: For compiled filters.
    ///   - wallClock: Unix seconds; may go back.
    ///   - callsMax: Calls that are under way at the same time.
    init(
        generation: Generation, recallSampler: RecallSampler?, filterBytesMax: Int,
        wallClock: @escaping @Sendable () -> Int64, seeds: @escaping @Sendable () -> UInt64,
        ranking: RankingConfiguration, callsMax: Int, metrics: ShardMetrics, live: LiveUsers? = nil
    ) {
        self.live = live
        self.generation = generation
        self.seeds = seeds
        batcher = generation.ranker.map { RankingBatcher($0, ranking, seatsMax: callsMax, metrics: metrics) }
        self.recallSampler = recallSampler
        self.wallClock = wallClock
        filters = FilterCache(generation.model.attributes, bytesMax: filterBytesMax)
    }

    /// The scenario's re-ranking for this generation's items; made at the first use.
    func reranker(_ configuration: RerankingConfiguration, scenario: String) -> Reranker {
        if let reranker = rerankers[scenario] { return reranker }
        let reranker = Reranker(configuration, model: generation.model)
        rerankers[scenario] = reranker
        return reranker
    }

    /// The generator of the call at `place` of those that are served at the same time.
    func generator(at place: Int) -> CandidateGenerator {
        if place == 0 { return generator }
        while further.count < place { further.append(CandidateGenerator(model: generation.model, scratch: scratch)) }
        return further[place - 1]
    }

    /// The seat of the call at `place` before the ranker; nil where the bundle has none.
    func rankingSeat(_ place: Int) -> RankingSeat? { batcher?.seat(place) }

    /// The items that satisfy a filter; nil: all.
    ///
    /// - Throws: `Rejection` for a filter that does not fit the model's items.
    func rows(of filter: ItemFilter) throws(Rejection) -> RowBitmap? {
        do throws(FilterFault) {
            return try filters.rows(of: filter)
        } catch {
            throw Rejection(.invalidArgument, error.message)
        }
    }

    /// Puts what events tell of a user in place of what `knowledge` held.
    func read(_ user: String, into knowledge: inout LiveUsers.Knowledge) {
        guard let live else { return }
        live.read(user, rows: generation.rowsByNumber, now: wallClock(), into: &knowledge)
    }

    /// The user's epoch now.
    func stamp(of user: String) -> UserEpochs.Stamp { live?.epochs.stamp(of: user) ?? .nobody }

    /// The time, where items have windows.
    func now() -> Int64? { generation.model.availability == nil ? nil : wallClock() }

    /// The items that are inside their window; nil: all.
    ///
    /// - Parameter now: From `now`.
    /// - Complexity: O(1) while no window opens or closes.
    func availableItems(at now: Int64?) -> RowBitmap? {
        guard let now, let availability = generation.model.availability else { return nil }
        if let moment, moment.holds(at: now) { return moment.rows }
        let moment = availability.moment(at: now)
        self.moment = moment
        return moment.rows
    }

    /// The items that were inside their window when a first page was made.
    ///
    /// - Complexity: as `availableItems` when none opened or closed since, else a pass over the bitmap.
    func availableItems(then: Int64) -> RowBitmap? {
        if let moment, moment.holds(at: then) { return moment.rows }
        return generation.model.availability?.pastMoment(at: then).rows
    }

    /// Called when another generation serves: what can be made again is let go.
    func retire() {
        filters.removeAll()
        moment = nil
        batcher?.isRetired = true
    }
}
