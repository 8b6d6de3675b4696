import Artifacts
import CandidateRanking
import LiveState
import Logging
import NIOPosix
import NearestNeighbors
import RankingModels
import Retrieval
import Serving
import Synchronization
import Telemetry
import VectorMath
import Vocabulary
import Wire

/// Loads bundles off the loops and swaps the shards to them.
///
/// One load at a time. A bundle that is not sound, or not where it may be, is refused and the running generation stays.
/// ```
///  open -> verify -> assemble -> warm -> probe -> swap every shard -> the one before the previous is freed
/// ```
actor ModelControl {
    private let root: String?
    private let options: RetrievalModel.Options
    private let calibration: RankerCalibration
    /// Of the generation that serves, by kind of factors; any thread.
    nonisolated let planners = Mutex<[String: SearchPlanner]>([:])
    /// How its items' factors are held; nil where it has none. Any thread.
    nonisolated let itemRows = Mutex<RowPrecision?>(nil)
    /// Its ranker; nil where it has none. Any thread.
    nonisolated let ranker = Mutex<RankerStatus?>(nil)
    /// What generations take; any thread.
    nonisolated let held = Mutex(HeldGenerations())
    /// Nil: loads may take what they take. Set once, before the first load.
    nonisolated let budget = Mutex<LoadBudget?>(nil)
    private let logger: Logger
    private let metrics: NodeMetrics
    private let pool: NIOThreadPool
    private let scenarios: [String: Serving.ScenarioConfiguration]
    private let wallClock: @Sendable () -> Int64
    private let numbers: ItemNumbers
    private let items: ItemDesk
    private let niceness: Int32
    private var workers: [LoopWorker] = []
    private var nextNumber: UInt64 = 1
    private var isLoading = false
    private(set) var current: Generation?

    /// - Parameters:
    ///   - root: The folder that LoadModel may load from; nil refuses every LoadModel.
    ///   - numbers: The items' numbers; those of each model are added.
    ///   - items: Knows what has changed of the items.
    ///   - niceness: Of loads while a generation serves.
    init(
        root: String?, options: RetrievalModel.Options, calibration: RankerCalibration,
        scenarios: [String: Serving.ScenarioConfiguration],
        metrics: NodeMetrics, logger: Logger, pool: NIOThreadPool, numbers: ItemNumbers,
        items: ItemDesk, wallClock: @escaping @Sendable () -> Int64 = WallClock.system, niceness: Int32
    ) {
        self.root = root
        self.scenarios = scenarios
        self.wallClock = wallClock
        self.options = options
        self.calibration = calibration
        self.metrics = metrics
        self.logger = logger
        self.pool = pool
        self.numbers = numbers
        self.items = items
        self.niceness = niceness
    }

    func connect(_ workers: [LoopWorker]) { self.workers = workers }

    /// Asked before each load, told behind it.
    struct LoadBudget: Sendable {
        /// Why the bundle at a path may not be loaded; nil: it may. Not on a loop.
        let begin: @Sendable (_ path: String) -> Rejection?
        let end: @Sendable () -> Void
    }

    /// Bytes of the generations that the node holds.
    struct HeldGenerations: Sendable {
        /// Of the one that serves, by part.
        var current: [(part: Generation.MemoryPart, bytes: Int)] = []
        /// Of those before it.
        var earlierBytes = 0
    }

    /// A load that ended well.
    struct Loaded: Sendable {
        let generation: Generation
        let milliseconds: UInt64
    }

    /// Loads the bundle at a path that the operator chose.
    ///
    /// - Throws: `ArtifactError`, or `Rejection` while another load runs.
    func load(_ path: String) async throws -> Loaded {
        guard !isLoading else {
            throw Rejection(
                .failedPrecondition, "another model is being loaded", retryIsSafe: true, retryAfterMilliseconds: 1000)
        }
        isLoading = true
        defer { isLoading = false }
        let started = LoopWorker.now
        let number = nextNumber
        var options = options
        // While a generation serves, the cores are for its requests. Until then nothing is in the first load's way.
        let isFirst = current == nil
        options.threads = isFirst ? nil : 1
        let loadOptions = options
        var rankerOptions = self.calibration
        rankerOptions.threads = options.threads
        let rankerCalibration = rankerOptions
        let (wallClock, numbers, items, niceness) = (wallClock, numbers, items, niceness)
        // What only stays for cursors makes room first: then no more than two generations are ever in memory.
        if !isFirst { await releaseEarlier() }
        let budget = budget.withLock { $0 }
        defer { budget?.end() }
        if let budget, let refusal = try? await pool.runIfActive({ budget.begin(path) }) {
            metrics.countSwap(.refused)
            logger.error("model refused", metadata: ["model.path": "\(path)", "error": "\(refusal.message)"])
            throw refusal
        }
        let generation: Generation
        do {
            generation = try await pool.runIfActive {
                if !isFirst { BackgroundNiceness.apply(niceness) }
                let generation = try GenerationLoader.load(
                    path, number: number, options: loadOptions, calibration: rankerCalibration, numbers: numbers)
                // The first look at all windows, here rather than in a request.
                _ = generation.model.availability?.moment(at: wallClock())
                // What has changed of its items lies over it before it serves.
                items.prepare(generation)
                return generation
            }
        } catch {
            metrics.countSwap(error is ArtifactError ? .refused : .failed)
            logger.error("model refused", metadata: ["model.path": "\(path)", "error": "\(error)"])
            throw error
        }
        nextNumber += 1
        await swap(to: generation)
        let nanoseconds = LoopWorker.now &- started
        metrics.setGeneration(number, model: generation.label, loadNanoseconds: nanoseconds)
        planners.withLock { planners in
            let model = generation.model
            planners = [("als", model.als), ("spectral", model.spectral)].reduce(into: [:]) {
                $0[$1.0] = $1.1?.index.planner
            }
        }
        itemRows.withLock { $0 = generation.model.itemRows }
        ranker.withLock { $0 = generation.ranker.map { RankerStatus($0) } }
        metrics.countSwap(.swapped)
        logger.info(
            "model serves",
            metadata: [
                "model.name": "\(generation.label)", "model.generation": "\(number)", "model.path": "\(path)",
                "model.ranker": "\(generation.ranker.map { $0.model.word } ?? "none")",
                "model.ranker_item_parts": "\(generation.ranker.map { $0.itemParts.kind.rawValue } ?? "none")",
                "model.fold_in": "\(generation.model.foldInOrigin.map { "\($0)" } ?? "none")",
                "model.item_rows": "\(generation.model.itemRows?.rawValue ?? "none")",
                "load.milliseconds": "\(nanoseconds / 1_000_000)",
            ])
        warnOfMissingSources(generation)
        warnOfMissingNames(generation)
        warnOfUnfitRanker(generation)
        return Loaded(generation: generation, milliseconds: nanoseconds / 1_000_000)
    }

    /// A configured source that the bundle lacks makes every answer of its scenario less than it should be.
    private func warnOfMissingSources(_ generation: Generation) {
        for (name, scenario) in scenarios.sorted(by: { $0.key < $1.key }) where !name.isEmpty {
            for entry in (scenario.mix ?? generation.model.mix).sources
            where entry.source != .trending && !generation.model.has(entry.source) {
                logger.warning(
                    "a scenario names a source that the bundle does not hold; its slates are marked source_unavailable",
                    metadata: ["scenario": "\(name)", "source": "\(entry.source.rawValue)"])
            }
        }
    }

    /// What a scenario's re-ranking says of names that the bundle lacks does nothing.
    private func warnOfMissingNames(_ generation: Generation) {
        for (name, scenario) in scenarios.sorted(by: { $0.key < $1.key }) where !name.isEmpty {
            guard let reranking = scenario.reranking else { continue }
            let missing = Reranker(reranking, model: generation.model).missing
            if missing.isEmpty { continue }
            logger.warning(
                "a scenario's reranking names what the bundle does not hold; that part of it does nothing",
                metadata: ["scenario": "\(name)", "missing": "\(missing.joined(separator: ", "))"])
        }
    }

    /// A ranker orders well what is like the candidates that it was fitted with.
    private func warnOfUnfitRanker(_ generation: Generation) {
        guard let fitness = generation.ranker?.fitness else { return }
        for (name, scenario) in scenarios.sorted(by: { $0.key < $1.key })
        where !name.isEmpty && scenario.ranker != .none {
            for difference in fitness.differences(
                mix: scenario.mix ?? generation.model.mix, count: scenario.rankCandidates)
            {
                logger.warning(
                    "a scenario's candidates are not those that the ranker was fitted with; its order may be worse than it was judged to be",
                    metadata: ["scenario": "\(name)", "difference": "\(difference)"])
            }
        }
    }

    private func releaseEarlier() async {
        var released: [Generation] = []
        for worker in workers { released += await worker.shard.releaseEarlier() }
        let last = released
        released = []
        items.keep([current?.number ?? 0])
        held.withLock { $0.earlierBytes = 0 }
        try? await pool.runIfActive { withExtendedLifetime(last) {} }
    }

    /// Each shard takes the generation between two steps; what they let go is freed on the loader's thread.
    private func swap(to generation: Generation) async {
        var released: [Generation] = []
        for worker in workers { released += await worker.shard.adopt(generation) }
        // What active users ask for is made anew in the background.
        if current != nil { for worker in workers { worker.eventLoop.execute { worker.refilling.collectActive() } } }
        items.keep([generation.number, current?.number ?? 0])
        let earlier = current?.byteCount ?? 0
        held.withLock { $0 = HeldGenerations(current: generation.memory, earlierBytes: earlier) }
        current = generation
        let last = released
        released = []
        try? await pool.runIfActive { withExtendedLifetime(last) {} }
    }

    /// Loads the bundle that a LoadModel call names.
    ///
    /// - Throws: `Rejection`; `ArtifactError`.
    func loadUnderRoot(_ relative: String) async throws -> Loaded {
        guard let root else {
            throw Rejection(.permissionDenied, "this node has no models root; start it with --models-root DIR")
        }
        return try await load(ModelsFolder(root: root).path(of: relative))
    }

    /// The bundles under the models root, by path.
    func list() async -> [ModelInfo] {
        guard let root else { return [] }
        let serving = current
        return (try? await pool.runIfActive { ModelsFolder(root: root).list(serving: serving) }) ?? []
    }
}

/// Makes a generation of a bundle: opens, verifies, assembles, warms and probes it.
enum GenerationLoader {
    static func load(
        _ path: String, number: UInt64, options: RetrievalModel.Options, calibration: RankerCalibration,
        numbers: ItemNumbers
    ) throws -> Generation {
        let bundle = try Bundle(opening: path, verify: .full)
        let model = try RetrievalModel(bundle: bundle, options: options)
        let ranker = try ranker(of: bundle, model, calibration)
        let generation = Generation(
            number: number, label: "\(bundle.manifest.name)@\(bundle.manifest.version)", path: path, model: model,
            ranker: ranker, rowsByNumber: rowsByNumber(model, numbers), fingerprint: fingerprint(of: bundle.manifest),
            memory: memory(of: bundle, model, ranker))
        warm(model)
        try probe(generation)
        return generation
    }

    /// Of the files by their checksums, whatever folder they lie in.
    private static func fingerprint(of manifest: Manifest) -> UInt64 {
        let files = manifest.files.map { "\($0.path) \($0.bytes) \($0.sha256)" }.sorted()
        return XXH64.hash(([manifest.name, manifest.version, manifest.created] + files).joined(separator: "\n"))
    }

    private static func ranker(
        of bundle: Bundle, _ model: RetrievalModel, _ calibration: RankerCalibration
    ) throws -> CandidateRanker? {
        guard bundle.has(RankerArtifact.fileName) else { return nil }
        let file = try bundle.file(RankerArtifact.fileName)
        let artifact = try RankerArtifact(file)
        // All of it was copied.
        file.advise(.done)
        return try calibration.ranker(artifact, model, path: file.path).ranker
    }

    /// Gives each item a number that it keeps.
    ///
    /// - Complexity: O(items), some 200 ns each.
    private static func rowsByNumber(_ model: RetrievalModel, _ numbers: ItemNumbers) -> [UInt32] {
        var rows: [UInt32] = []
        for row in 0..<UInt32(model.items.count) {
            guard let number = numbers.numberAdding(model.items.nameBytes(row)).map(Int.init) else { continue }
            while rows.count <= number { rows.append(.max) }
            rows[number] = row
        }
        return rows
    }

    /// Touches what requests will touch, so that no loop waits for a page of a mapped file.
    private static func warm(_ model: RetrievalModel) {
        for factors in [model.als, model.spectral].compactMap({ $0 }) {
            factors.model.prefaultUsers(0..<factors.model.userCount)
        }
    }

    /// Asks for a few users' candidates, so that a bundle that cannot serve is found out before it does.
    private static func probe(_ generation: Generation) throws {
        let model = generation.model
        let generator = CandidateGenerator(model: model)
        let count = model.users.count
        for user in stride(from: 0, to: count, by: max(1, count / 8)) {
            let row = UInt32(user)
            generator.mask.begin()
            generator.begin(user: row, history: model.users.history(of: row), mix: model.mix)
            while try !generator.step() {}
        }
    }

    private static func memory(of bundle: Bundle, _ model: RetrievalModel, _ ranker: CandidateRanker?) -> [(
        part: Generation.MemoryPart, bytes: Int
    )] {
        var parts: [(part: Generation.MemoryPart, bytes: Int)] = []
        var users = 0
        var items = 0
        var index = 0
        for factors in [model.als, model.spectral].compactMap({ $0 }) {
            users += factors.model.userFactorByteCount
            items += factors.rows.byteCount
            index +=
                (factors.index.graph?.graphByteCount ?? 0) + factors.index.scan.byteCount + factors.similar.byteCount
        }
        parts.append((.userFactors, users))
        parts.append((.itemFactors, items))
        parts.append((.index, index))
        parts.append((.itemNeighbors, model.neighbors?.byteCount ?? 0))
        parts.append((.userDirectory, model.users.ids.byteCount + model.users.historyByteCount))
        parts.append(
            (.itemCatalogue, model.items.byteCount + model.attributes.byteCount + (model.availability?.byteCount ?? 0)))
        if let ranker { parts.append((.ranker, ranker.byteCount)) }
        if let content = model.content { parts.append((.content, content.byteCount)) }
        if let users = model.userNeighbors { parts.append((.userNeighbors, users.byteCount)) }
        if let foldIn = model.foldIn { parts.append((.foldIn, foldIn.byteCount)) }
        return parts
    }
}
