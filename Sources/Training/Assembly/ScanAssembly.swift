import Artifacts
import FactorModels
import NearestNeighbors
import VectorMath

/// The scan indexes over a model's items: made once here, so that no load has to.
struct ScanAssembly {
    let threads: Int
    let cancellation: Cancellation
    let onEvent: @Sendable (TrainingEvent) -> Void

    /// Makes the indexes of `model` by inner product and by angle and writes them beside the model's file.
    func build(_ model: FactorModel, into writer: BundleWriter) throws {
        let kind = model.kind.rawValue
        var bytes = 0
        for (name, metric) in [("scan", SimilarityMetric.innerProduct), ("similar", .cosine)] {
            try cancellation.check()
            let index = try ScanIndex(model.itemFactors, metric: metric, threads: threads)
            try index.write(to: writer, name: "\(kind).\(name)")
            bytes += index.byteCount
        }
        let each = bytes / max(1, model.itemCount)
        onEvent(
            .finished(
                step: "\(kind) scan", summary: "\(model.itemCount.counted("item")), \(each) bytes each, two indexes"))
    }
}
