import Artifacts
import Catalog
import FactorModels
import RankingModels
import Retrieval
import Vocabulary

/// From interactions to a bundle: fits the models, builds their graphs, writes it all and publishes in one step.
///
/// A failure or a cancellation on the way leaves nothing behind.
package struct Trainer {
    private let plan: TrainingPlan
    private let cancellation: Cancellation
    private let onEvent: @Sendable (TrainingEvent) -> Void

    package init(
        _ plan: TrainingPlan, cancellation: Cancellation = Cancellation(),
        onEvent: @escaping @Sendable (TrainingEvent) -> Void = { _ in }
    ) {
        self.plan = plan
        self.cancellation = cancellation
        self.onEvent = onEvent
    }

    /// What goes into the manifest beside what was fitted.
    package struct Notes: Sendable {
        /// How good the models were found to be; `.null` when nobody looked.
        package var evaluation: JSONValue = .null
        /// Where the interactions came from.
        package var input: String = ""
        package var tuning: JSONValue = .null
        /// How the ranker did against retrieval's order.
        package var ranker: JSONValue = .null
        /// What of the file of items did not come into the bundle as it stands there; `.null` when all did.
        package private(set) var items: JSONValue = .null

        package init() {}

        /// Takes down which items and columns of `attributes` a bundle of `interactions` does not hold as numbers or at all.
        package mutating func take(_ attributes: ItemAttributes, _ interactions: Interactions) {
            var values: [String: JSONValue] = [:]
            let unused = attributes.count(outside: interactions)
            if unused > 0 { values["without_interactions"] = .int(Int64(unused)) }
            let remarks = attributes.columns.compactMap {
                column in column.fault.map { "\(column.name) is left out: \($0)" } ?? column.remark
            }
            if !remarks.isEmpty { values["columns"] = .array(remarks.map { .string($0) }) }
            if !values.isEmpty { items = .object(values) }
        }
    }

    /// Trains on `interactions` and publishes the bundle in `writer`.
    ///
    /// - Throws: `CancellationError`, `ArtifactError`, and what the fits throw.
    @discardableResult
    package func train(
        _ interactions: Interactions, attributes: ItemAttributes, ranker: RankerArtifact? = nil, notes: Notes = Notes(),
        into writer: BundleWriter
    ) throws -> Manifest {
        do {
            let data = interactions.inBundleOrder()
            try cancellation.check()
            let recent = RecentPopularity(data)
            try CatalogAssembly(data, attributes, recent).write(to: writer)
            let matrix = data.matrix(plan.confidence)
            try fitNeighbors(matrix, writer)
            if let configuration = plan.als { try fitALS(matrix, configuration, writer) }
            if let configuration = plan.spectral { try fitSpectral(matrix, configuration, writer) }
            if let ranker { try ranker.write(to: writer.file(RankerArtifact.fileName, metadata: ranker.metadata)) }
            try cancellation.check()
            return try writer.publish(try content(data, recent, notes))
        } catch {
            writer.abandon()
            throw cancellation.isCancelled ? CancellationError() : error
        }
    }

    // MARK: Models

    private var isCancelled: @Sendable () -> Bool {
        { [cancellation] in cancellation.isCancelled }
    }

    private func fitALS(_ matrix: SparseMatrix, _ configuration: ALSConfiguration, _ writer: BundleWriter) throws {
        let onEvent = onEvent
        let model = try ALS.fit(
            matrix, configuration, threads: plan.threads,
            progress: { progress in
                let objective = progress.objective.map { ", objective \($0.text(digits: 0))" } ?? ""
                onEvent(
                    .progress(
                        step: "als", fraction: progress.fraction,
                        detail: "iteration \(progress.iteration) of \(progress.iterations)\(objective)"))
            }, isCancelled: isCancelled)
        try model.write(to: writer)
        onEvent(.finished(step: "als", summary: "rank \(model.rank), \(configuration.iterations.counted("iteration"))"))
        try buildIndexes(model, writer)
    }

    private func fitSpectral(
        _ matrix: SparseMatrix, _ configuration: SpectralConfiguration, _ writer: BundleWriter
    ) throws {
        let onEvent = onEvent
        let model = try Spectral.fit(
            matrix, configuration, threads: plan.threads,
            progress: { onEvent(.progress(step: "spectral", fraction: $0, detail: "")) }, isCancelled: isCancelled)
        try model.write(to: writer)
        onEvent(.finished(step: "spectral", summary: "rank \(model.rank)"))
        try buildIndexes(model, writer)
    }

    private func fitNeighbors(_ matrix: SparseMatrix, _ writer: BundleWriter) throws {
        let onEvent = onEvent
        let neighbors = try ItemNeighbors.fit(
            matrix, plan.neighbors, threads: plan.threads,
            progress: { onEvent(.progress(step: "item_to_item", fraction: $0, detail: "")) }, isCancelled: isCancelled)
        try neighbors.write(to: writer)
        onEvent(.finished(step: "item_to_item", summary: "neighbours of \(neighbors.itemCount.counted("item"))"))
    }

    private func buildIndexes(_ model: FactorModel, _ writer: BundleWriter) throws {
        var parameters = plan.graph
        parameters.seed = plan.seed
        try GraphAssembly(
            parameters: parameters, threads: plan.threads, cancellation: cancellation, onEvent: onEvent
        ).build(model, into: writer)
        try ScanAssembly(threads: plan.threads, cancellation: cancellation, onEvent: onEvent)
            .build(model, into: writer)
    }

    // MARK: Manifest

    private func content(_ data: Interactions, _ recent: RecentPopularity, _ notes: Notes) throws -> ManifestContent {
        let mix = plan.mix ?? plan.defaultMix(hasTimes: data.times != nil)
        if let fault = mix.fault() { throw DatasetError(.unreadable, "retrieval mix: \(fault)") }
        var content = ManifestContent(
            name: plan.name, version: plan.version ?? "",
            counts: .init(users: data.userCount, items: data.itemCount, interactions: data.count))
        if plan.version == nil { content.version = content.created }
        content.training = try training(recent, notes)
        content.evaluation = notes.evaluation
        content.retrieval = try JSONValue(encoding: mix)
        return content
    }

    private func training(_ recent: RecentPopularity, _ notes: Notes) throws -> JSONValue {
        var values: [String: JSONValue] = [
            "input": .string(notes.input), "seed": .string(String(plan.seed)),
            "confidence": .string(plan.confidence.rawValue),
            "item_to_item": try JSONValue(encoding: plan.neighbors),
            "graph": ["m": .int(Int64(plan.graph.m)), "ef_construction": .int(Int64(plan.graph.efConstruction))],
        ]
        if let window = recent.window { values["recent_window_seconds"] = .int(window / 1000) }
        if let als = plan.als { values["als"] = try JSONValue(encoding: als) }
        if let spectral = plan.spectral { values["spectral"] = try JSONValue(encoding: spectral) }
        if notes.items != .null { values["items"] = notes.items }
        if notes.tuning != .null { values["tuning"] = notes.tuning }
        if notes.ranker != .null { values["ranker"] = notes.ranker }
        return .object(values)
    }
}

extension TrainingPlan {
    /// The mix for the sources that this plan makes, when nothing was tuned.
    ///
    /// Item-to-item leads: its low-pass part holds most of what spectral factors know. ALS adds a little, and candidates for
    /// everybody; without factors what is popular fills lists that stay short. Where interactions have times, tastes move
    /// with the days, and what is popular lately counts too.
    package func defaultMix(hasTimes: Bool) -> RetrievalMix {
        var sources: [RetrievalMix.Entry] = [.init(source: .itemToItem, limit: 400, weight: 1)]
        if als != nil { sources.append(.init(source: .als, limit: 400, weight: 0.2)) }
        if spectral != nil { sources.append(.init(source: .spectral, limit: 400, weight: 0.2)) }
        if als == nil, spectral == nil { sources.append(.init(source: .popular, limit: 200, weight: 0.01)) }
        if hasTimes { sources.append(.init(source: .recent, limit: 200, weight: 0.4)) }
        return RetrievalMix(sources: sources, normalisation: .zscore)
    }
}
