import Features
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

/// Small models that PyTorch and scikit-learn exported, with rows and what onnxruntime says of them.
struct ONNXFixture: Sendable, CustomTestStringConvertible {
    let name: String
    let schema: FeatureSchema
    /// Table rows of each categorical field, for each row.
    let ids: [[Int]]
    let dense: [[Float]]
    let outputs: [Double]
    /// Whether the outputs went through a sigmoid.
    let areProbabilities: Bool

    var testDescription: String { name }
    var path: String { "\(Self.folder)/\(name).onnx" }
    var bytes: [UInt8] { get throws { try WholeFile.read(path, bytesMax: 1 << 20) } }

    static let folder = Repository.root + "/Tests/RankingModelsTests/Resources/onnx"

    static let all: [ONNXFixture] = {
        guard let bytes = try? WholeFile.read(folder + "/expected.json", bytesMax: 1 << 20),
            let models = (try? JSONText.parse(bytes))?["models"]?.objectValue
        else { return [] }
        return models.sorted { $0.key < $1.key }.compactMap { name, model in
            guard let schema = try? FeatureSchema(json: model["schema"] ?? .null, path: name) else { return nil }
            func numbers(_ value: JSONValue?) -> [Double] { value?.arrayValue?.map { $0.doubleValue ?? .nan } ?? [] }
            return ONNXFixture(
                name: name, schema: schema, ids: model["ids"]?.arrayValue?.map { numbers($0).map { Int($0) } } ?? [],
                dense: model["dense"]?.arrayValue?.map { numbers($0).map { Float($0) } } ?? [],
                outputs: numbers(model["outputs"]), areProbabilities: model["kind"]?.stringValue == "probability")
        }
    }()

    static func named(_ name: String) throws -> ONNXFixture { try #require(all.first { $0.name == name }) }

    /// The logits of the fixture's rows.
    func logits(_ ranker: NetworkRanker) -> [Float] {
        let layout = FeatureLayout(schema)
        let rows = FeatureRows(layout)
        for (ids, dense) in zip(ids, dense) {
            let row = rows.append()
            for (number, id) in ids.enumerated() {
                rows.set(row, categorical: number, to: UInt32(layout.categorical[number].tableOffset + id))
            }
            for (number, value) in dense.enumerated() { rows.set(row, dense: number, to: value) }
        }
        return scores(ranker.weights, layout, rows)
    }
}

/// The logits of all rows.
func scores(_ weights: NetworkWeights, _ layout: FeatureLayout, _ rows: FeatureRows) -> [Float] {
    let network = Network(weights, layout: layout)
    var out = [Float](repeating: .nan, count: rows.count)
    out.withUnsafeMutableBufferPointer {
        if let base = $0.baseAddress { network.score(rows, 0..<rows.count, NetworkScratch(network), into: base) }
    }
    return out
}
