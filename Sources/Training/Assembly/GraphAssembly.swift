import Artifacts
import FactorModels
import NearestNeighbors
import VectorMath
import Vocabulary

/// The graph over a model's items, linked the way that finds most for its users.
struct GraphAssembly {
    let parameters: HNSWParameters
    let threads: Int
    let cancellation: Cancellation
    let onEvent: @Sendable (TrainingEvent) -> Void

    /// Users that the pilot asks for.
    private static let queriesMax = 200
    /// Items that the pilot looks for: as many as a source brings.
    private static let pilotK = 200

    /// Builds the graph of `model` and writes it beside the model's file.
    func build(_ model: FactorModel, into writer: BundleWriter) throws {
        let onEvent = onEvent
        let kind = model.kind.rawValue
        let step = "\(kind) graph"
        let rows = Double(max(model.itemCount, 1))
        var parameters = parameters
        let isCancelled: @Sendable () -> Bool = { [cancellation] in cancellation.isCancelled }
        // Which links find more depends on the factors: a pilot asks for some users.
        let asked = min(GraphAssembly.queriesMax, model.userCount)
        let queries = FactorMatrix(rowCount: asked, columnCount: model.rank) { query, factor in
            model.userFactor(UInt32(query * model.userCount / asked), into: factor)
        }
        parameters.linkMetric = try HNSWIndex.chooseLinkMetric(
            model.itemFactors, metric: .innerProduct, parameters, queries: queries, k: GraphAssembly.pilotK,
            threads: threads, isCancelled: isCancelled)
        let index = try HNSWIndex.build(
            model.itemFactors, metric: .innerProduct, parameters, threads: threads,
            progress: { onEvent(.progress(step: step, fraction: Double($0) / rows, detail: "")) },
            isCancelled: isCancelled)
        try index.write(to: writer, name: "\(kind).hnsw")
        let links = parameters.linkMetric?.rawValue ?? "metric"
        onEvent(
            .finished(step: step, summary: "\(index.rowCount.counted("item")), m \(parameters.m), links by \(links)"))
    }
}
