import NearestNeighbors
import Retrieval
import Vocabulary

/// The slates of several users, one after the other, each in its own steps.
final class ManyRun: ShardRun {
    private let engine: Engine
    private let configuration: ServingConfiguration
    private let request: ManyRequest
    private let arrived: UInt64
    private let quality: QualityLevel
    private var next = 0
    private var run: SlateRun?
    private var result: ManySlates
    /// The items that satisfy the filter of all.
    private let filter: FilteredRows
    /// One for all users.
    private let overlay: ItemOverlay
    private(set) var times = StageTimes()

    var answer: ShardAnswer { .slates(result) }
    var waitsForScores: RankingBatcher? { run?.waitsForScores }

    init(
        engine: Engine, configuration: ServingConfiguration, request: ManyRequest, arrived: UInt64,
        quality: QualityLevel = .full, _ now: UInt64
    ) throws {
        self.quality = quality
        self.engine = engine
        self.configuration = configuration
        self.request = request
        self.arrived = arrived
        filter = try engine.rows(of: request.template.filter)
        overlay = engine.overlay
        result = ManySlates(generation: engine.generation, slates: [])
        result.overlay = overlay
        result.logID = request.template.logID
        times.queue = now &- arrived
        // What is wrong with the parameters is wrong for every user: say it once.
        if configuration.scenarios[request.template.scenario] == nil {
            throw configuration.unknownScenario(request.template.scenario)
        }
        if request.template.k > configuration.itemsMax {
            throw Rejection(
                .invalidArgument, "k is \(request.template.k); the largest is \(configuration.itemsMax)")
        }
    }

    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool {
        guard next < request.users.count else { return true }
        let (position, user) = request.users[next]
        func end(_ items: [SlateItem], _ fallback: Fallback, _ status: StatusCode) {
            result.slates.append((position: position, items: items, fallback: fallback, status: status))
            self.run = nil
            next += 1
        }
        if now >= deadline, run == nil {
            end([], .none, .deadlineExceeded)
            return next == request.users.count
        }
        let run: SlateRun
        if let begun = self.run {
            run = begun
        } else {
            var single = request.template
            single.user = user
            run = SlateRun(
                engine: engine, generator: engine.generator, seat: engine.rankingSeat(0), configuration: configuration,
                arrived: now, overlay: overlay, quality: quality)
            do {
                try run.begin(single, filter: filter, restarted: false, now: now, clock: clock)
            } catch {
                end([], .none, (error as? Rejection)?.reason.code ?? .internal)
                return next == request.users.count
            }
            self.run = run
        }
        if run.step(now: now, deadline: deadline, clock: clock) {
            times.filter += run.times.filter
            times.retrieve += run.times.retrieve
            times.rank += run.times.rank
            times.fuse += run.times.fuse
            times.rerank += run.times.rerank
            switch run.answer {
            case .slate(let slate):
                result.pinnedItems += slate.pinnedItems
                result.quality = max(result.quality, slate.quality)
                if let capture = slate.capture { result.captures.append(capture) }
                if let draws = slate.draws {
                    result.propensities[position] = draws.propensities
                    result.exploredItems += draws.exploredItems
                }
                end(slate.items, slate.fallback, .ok)
            case .rejected(let rejection): end([], .none, rejection.reason.code)
            default: end([], .none, .internal)
            }
        }
        return next == request.users.count
    }
}
