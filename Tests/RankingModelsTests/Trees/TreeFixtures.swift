import TestSupport
import Testing
import VectorMath

@testable import Artifacts
@testable import RankingModels

/// Small models that LightGBM and XGBoost wrote, with rows and what the libraries predict for them.
struct TreeFixture: Sendable, CustomTestStringConvertible {
    let name: String
    let file: String
    let rows: [Float]
    let raw: [Double]
    let predictions: [Double]

    var testDescription: String { name }
    var path: String { Self.folder + "/" + file }
    var isLightGBM: Bool { file.hasSuffix(".txt") }
    var bytes: [UInt8] { get throws { try WholeFile.read(path, bytesMax: 1 << 20) } }

    func ensemble() throws -> TreeEnsemble {
        isLightGBM ? try TreeEnsemble(lightGBM: path) : try TreeEnsemble(xgboost: path)
    }

    static let folder = Repository.root + "/Tests/RankingModelsTests/Resources/trees"

    static let all: [TreeFixture] = {
        guard let bytes = try? WholeFile.read(folder + "/expected.json", bytesMax: 1 << 20),
            let models = (try? JSONText.parse(bytes))?["models"]?.objectValue
        else { return [] }
        func doubles(_ value: JSONValue?) -> [Double] { value?.arrayValue?.map { $0.doubleValue ?? .nan } ?? [] }
        return models.sorted { $0.key < $1.key }.map { name, model in
            TreeFixture(
                name: name, file: model["file"]?.stringValue ?? "",
                rows: model["rows"]?.arrayValue?.flatMap { doubles($0).map { Float($0) } } ?? [],
                raw: doubles(model["raw"]), predictions: doubles(model["predictions"]))
        }
    }()
}

/// A model from text or bytes, without a file.
func read(_ bytes: [UInt8], lightGBM: Bool) throws(ArtifactError) -> TreeModel {
    lightGBM ? try LightGBMFile(bytes, path: "model").model() : try XGBoostFile(bytes, path: "model").model()
}

/// The instruction sets that this machine has.
let treeISAs = ["scalar", "avx2", "avx512", "neon"].filter {
    TreeTables(
        TreeParts(
            features: [], kinds: [], base: [0], isSingle: false, words: [], walk: TreeParts.Walk(), bitvectors: nil),
        isa: $0) != nil
}
