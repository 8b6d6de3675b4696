import Artifacts
import Catalog
import FactorModels
import NearestNeighbors
import VectorMath
import Vocabulary

/// Everything of a bundle that retrieval needs: users, items, factors, indexes, neighbours. Immutable; shared by all shards.
package final class RetrievalModel: Sendable {
    /// Choices made at load, not at training.
    package struct Options: Sendable, Equatable {
        /// How factors are searched: by measured cost, always exactly, or by the bundle's graph.
        package var index = SearchPlanner.Mode.auto
        /// Recall that a search which is not exact must reach when the factors are loaded, to be chosen by cost; 1: none is.
        package var recallMin = SearchPlanner.Calibration().recallMin
        /// Breadth of a walk where `index` is `hnsw`; raised to the number of candidates wanted.
        package var efSearch = 200

        /// How the items' factors are held that searches score by; f32 where half precision cannot hold the values.
        package var itemRows = RowPrecision.f32

        /// What walks over the bundle's graph read of the items' factors.
        package var graphRows = GraphRows.auto

        /// Keeps graphs that no search would walk, to measure them.
        package var keepsGraphs = false

        /// Whether scans of requests that wait together take turns; nil: where that gains something.
        package var sharesScans: Bool?

        /// Sources beside those of the bundle's mix that somebody will ask for. What `content` and `user_to_user` search is
        /// made at load, and only where the mix or this names them.
        package var sources: Set<RetrievalSource> = []

        /// Whether what folds users in is made at load, where there are ALS factors.
        package var foldsIn = false

        /// Threads that make the indexes; nil: one for each core.
        package var threads: Int?

        package init(
            index: SearchPlanner.Mode = .auto, recallMin: Double = SearchPlanner.Calibration().recallMin,
            itemRows: RowPrecision = .f32, graphRows: GraphRows = .auto
        ) {
            self.index = index
            self.recallMin = recallMin
            self.itemRows = itemRows
            self.graphRows = graphRows
        }
    }

    /// A factor model with the indexes over its items.
    package struct Factors: Sendable {
        package let model: FactorModel
        /// The items' factors as searches score by them.
        package let rows: RowMatrix
        /// The items by inner product with a user's factor.
        package let index: PlannedIndex
        /// The same rows by angle, for items like an item.
        package let similar: ScanIndex
    }

    package let users: UserDirectory
    package let items: ItemCatalog
    package let attributes: AttributeIndex
    /// Nil when every item is always available.
    package let availability: ItemAvailability?
    package let als: Factors?
    package let spectral: Factors?
    package let neighbors: ItemNeighbors?
    /// Nil where no mix asks for it, and where the items have nothing in common.
    package let content: ContentIndex?
    /// Nil where no mix asks for it, and without factors.
    package let userNeighbors: UserNeighbors?
    /// Nil where nobody asked for it (`Options.foldsIn`), and without ALS factors.
    package let foldIn: FoldIn?
    /// Where the numbers that users are folded in by come from; nil where they are not.
    package let foldInOrigin: FoldInParameters.Origin?
    /// What training found best.
    package let mix: RetrievalMix
    package let options: Options

    /// Loads from an opened bundle.
    ///
    /// - Throws: `ArtifactError` naming file and fault when the parts do not fit together.
    package convenience init(bundle: Bundle, options: Options = Options()) throws {
        let counts = bundle.manifest.counts
        func factors(_ kind: FactorKind) throws -> Factors? {
            guard bundle.has(kind.rawValue) else { return nil }
            let threads = options.threads ?? Parallel.coreCount
            var model = try FactorModel(bundle: bundle, kind: kind)
            // Before its indexes are held against it: a wrong factor file is not to be blamed on them.
            try Self.check(kind.rawValue, model, counts.users, counts.items)
            var rows = RowMatrix(model.itemFactors, in: options.itemRows, threads: threads)
            if rows.precision == .f32 {
                model = model.withOwnItemFactors(threads: threads)
                rows = .floats(model.itemFactors)
            }
            // Saved codes are of the file's floats.
            defer { if rows.precision == .f16 { model.adviseItemFactorsDone() } }
            let graph = "\(kind.rawValue).hnsw"
            func scan(_ name: String, _ metric: SimilarityMetric) throws -> ScanIndex? {
                guard bundle.has(name) else { return nil }
                let saved = try ScanIndex(
                    bundle: bundle, name: name, vectors: model.itemFactors, metric: metric, threads: threads)
                return rows.precision == .f32 ? saved : try saved?.scored(by: rows, threads: threads)
            }
            return try Self.factors(
                model, rows: rows,
                graph: bundle.has(graph) && (options.index != .scan || options.keepsGraphs)
                    ? try HNSWIndex(
                        bundle: bundle, name: graph, rows: rows, copyLinks: true, graphRows: options.graphRows) : nil,
                scan: scan("\(kind.rawValue).scan", .innerProduct), similar: scan("\(kind.rawValue).similar", .cosine),
                options: options)
        }
        let mix = try Self.mix(of: bundle)
        // Factors first: what is in memory twice for a moment, mapped and copied, is so before the rest is in memory at all.
        let (als, spectral) = (try factors(.als), try factors(.spectral))
        let users = try UserDirectory(bundle: bundle)
        let items = try ItemCatalog(bundle: bundle)
        try self.init(
            users: users, items: items, als: als, spectral: spectral,
            neighbors: bundle.has("item_to_item") ? ItemNeighbors(bundle: bundle) : nil, mix: mix, options: options,
            foldInParameters: { $0.foldIn(manifest: bundle.manifest) })
    }

    /// The mix that a bundle names.
    ///
    /// - Throws: `ArtifactError` when it cannot be served.
    package static func mix(of bundle: Bundle) throws(ArtifactError) -> RetrievalMix {
        guard bundle.manifest.retrieval != .null else { return .unknownUser }
        return try RetrievalMix(manifest: bundle.manifest.retrieval, path: bundle.path)
    }

    /// Puts a model together from parts in memory.
    ///
    /// - Parameter foldInParameters: How users are folded in to ALS factors; nil: they are not.
    /// - Throws: `ArtifactError` when row counts disagree.
    package init(
        users: UserDirectory, items: ItemCatalog, als: Factors?, spectral: Factors?, neighbors: ItemNeighbors?,
        mix: RetrievalMix, options: Options = Options(),
        foldInParameters: (FactorModel) -> (parameters: FoldInParameters, origin: FoldInParameters.Origin)? = {
            $0.foldIn.map { ($0, .factors) }
        }
    ) throws {
        for (name, factors) in [("als", als), ("spectral", spectral)] {
            guard let factors else { continue }
            try Self.check(name, factors.model, users.count, items.count)
        }
        if let neighbors, neighbors.itemCount != items.count {
            throw ArtifactError(
                .invalidContent, path: "item_to_item.safetensors",
                "neighbours of \(neighbors.itemCount) items in a bundle of \(items.count)")
        }
        self.users = users
        self.items = items
        attributes = AttributeIndex(items)
        availability = items.details.availability.map { ItemAvailability($0) }
        self.als = als
        self.spectral = spectral
        self.neighbors = neighbors
        func isWanted(_ source: RetrievalSource) -> Bool {
            options.sources.contains(source) || mix.sources.contains { $0.source == source }
        }
        let content = isWanted(.content) ? ContentIndex(items) : nil
        self.content = content?.isEmpty == true ? nil : content
        userNeighbors =
            isWanted(.userToUser) ? try (als ?? spectral).map { try UserNeighbors($0.model, options: options) } : nil
        let folding = options.foldsIn ? als.flatMap { foldInParameters($0.model) } : nil
        foldInOrigin = folding?.origin
        foldIn = als.flatMap { als in
            folding.map {
                FoldIn(items: als.rows, parameters: $0.parameters, threads: options.threads ?? Parallel.coreCount)
            }
        }
        self.mix = mix
        self.options = options
    }

    private static func check(_ name: String, _ model: FactorModel, _ users: Int, _ items: Int) throws {
        guard model.userCount == users, model.itemCount == items else {
            throw ArtifactError(
                .invalidContent, path: "\(name).safetensors",
                """
                factors of \(model.userCount) users and \(model.itemCount) items in a bundle of \(users) users and \
                \(items) items
                """)
        }
    }

    /// A factor model with its indexes, measured with the factors of some of its users.
    ///
    /// - Parameters:
    ///   - scan: The items by inner product; nil: it is made.
    ///   - similar: The items by angle; nil: it is made.
    package static func factors(
        _ model: FactorModel, rows: RowMatrix, graph: HNSWIndex?, scan: ScanIndex? = nil,
        similar: ScanIndex? = nil, options: Options
    ) throws -> Factors {
        var calibration = SearchPlanner.Calibration()
        calibration.mode = options.index
        calibration.recallMin = options.recallMin
        calibration.efSearch = options.efSearch
        calibration.keepsGraph = options.keepsGraphs
        let count = min(model.userCount, SearchPlanner.Calibration.queriesMax)
        let queries = FactorMatrix(rowCount: count, columnCount: model.rank) { row, factor in
            model.userFactor(UInt32(row * model.userCount / count), into: factor)
        }
        let index = try PlannedIndex(
            scan: scan ?? ScanIndex(rows, metric: .innerProduct, threads: options.threads), graph: graph,
            queries: queries, calibration: calibration, clock: ThreadClock.nanoseconds)
        return Factors(
            model: model, rows: rows, index: index,
            similar: try similar ?? ScanIndex(rows, metric: .cosine, threads: options.threads))
    }

    /// How the items' factors are held; nil where there are none.
    package var itemRows: RowPrecision? { (als ?? spectral)?.rows.precision }

    /// Whether the bundle can serve `source`.
    package func has(_ source: RetrievalSource) -> Bool {
        switch source {
        case .als: als != nil
        case .spectral: spectral != nil
        case .itemToItem: neighbors != nil
        case .popular, .recent: true
        case .content: content != nil
        case .userToUser: userNeighbors != nil
        // What trends is no matter of a bundle.
        case .trending: false
        }
    }

    /// Whether scans of `index` are to take turns.
    func sharesScans(of index: PlannedIndex) -> Bool { options.sharesScans ?? index.scan.gainsTogether }

    /// How many requests that wait together are to be served at the same time at most, so that their scans can take turns.
    package var togetherWidth: Int {
        switch options.sharesScans {
        case .some(true): .max
        case .some(false): 1
        case .none: [als, spectral].reduce(1) { max($0, $1?.index.scan.togetherWidth ?? 1) }
        }
    }

    package func factors(of source: RetrievalSource) -> Factors? {
        switch source {
        case .als: als
        case .spectral: spectral
        case .itemToItem, .popular, .recent, .content, .userToUser, .trending: nil
        }
    }
}
