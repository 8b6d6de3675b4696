import Artifacts
import Features
import VectorMath

/// Gradient-boosted trees with the schema of the features they take: what a ranker's file holds.
///
/// The model stays as the library saved it and is read, checked and laid out by the same code wherever it comes from.
package struct TreeRanker: Sendable {
    package let schema: FeatureSchema
    /// Nil where nobody knows the candidates that it was fitted to or judged by.
    package var candidates: FittedCandidates?
    package let library: TreeEnsemble.Library
    /// The file that the library saved.
    package let file: [UInt8]
    package let ensemble: TreeEnsemble
    /// Of each feature of the model the number of its field in the schema.
    package let fields: [Int]
    let model: TreeModel

    /// Highest code of a category, the largest whole number below which Float32 has all.
    static let codeMax = 1 << 24

    /// - Parameter file: What `Booster.save_model` of LightGBM (text) or XGBoost (JSON, UBJSON) wrote.
    /// - Throws: `ArtifactError` when the file is not sound, or model and schema do not fit; names the feature.
    package init(schema: FeatureSchema, file: [UInt8], path: String) throws(ArtifactError) {
        guard file.count <= TreeLimits.fileBytesMax else {
            throw ArtifactError(
                .malformed, path: path, "the model has \(file.count) bytes; at most \(TreeLimits.fileBytesMax) are read"
            )
        }
        library = file.first == UInt8(ascii: "{") ? .xgboost : .lightGBM
        model =
            switch library {
            case .lightGBM: try LightGBMFile(file, path: path).model()
            case .xgboost: try XGBoostFile(file, path: path).model()
            }
        do throws(ImportFault) {
            fields = try Self.fields(model, schema, library)
        } catch {
            throw ArtifactError(.invalidContent, path: path, error.text)
        }
        self.schema = schema
        self.file = file
        ensemble = TreeEnsemble(model, from: library)
    }

    // MARK: What fits

    /// Why trees cannot take a schema's features, naming the field; nil: they can.
    package static func fault(of schema: FeatureSchema) -> String? {
        for field in schema.fields {
            guard case .categorical(let encoding, let isMultivalued) = field.kind else { continue }
            guard !isMultivalued else {
                return "the schema's field \"\(field.name)\" takes several values, a tree tests one: leave "
                    + "\"multivalued\" out, and the first value counts"
            }
            guard encoding.tableRows <= codeMax else {
                return "the schema's field \"\(field.name)\" has \(encoding.tableRows - 1) values; trees tell "
                    + "\(codeMax - 1) apart, hash it into fewer"
            }
        }
        return nil
    }

    private static func fields(
        _ model: TreeModel, _ schema: FeatureSchema, _ library: TreeEnsemble.Library
    ) throws(ImportFault) -> [Int] {
        if let fault = schema.fault() { throw ImportFault("its feature schema cannot be used: \(fault)") }
        guard model.outputCount == 1 else {
            throw ImportFault(
                "the objective \(model.objective) gives \(model.outputCount) outputs a row; a ranker gives one: train "
                    + "with lambdarank, binary or regression")
        }
        if let fault = fault(of: schema) { throw ImportFault(fault) }
        let fields = try match(model.featureNames, schema.fields.map(\.name), library)
        var testsCategories = [Bool](repeating: false, count: fields.count)
        for tree in model.trees {
            for node in tree.nodes where node.kind == .category || node.kind == .truncatedCategory {
                testsCategories[Int(node.feature)] = true
            }
        }
        for (feature, field) in fields.enumerated() where testsCategories[feature] {
            guard case .dense = schema.fields[field].kind else { continue }
            throw ImportFault(
                "the model tests categories of \"\(schema.fields[field].name)\", which is a number in the schema; declare "
                    + "it categorical there, or train without it among the categorical features")
        }
        return fields
    }

    /// Finds the model's features among the schema's by name; where the library made the names up, by order.
    private static func match(
        _ names: [String], _ fields: [String], _ library: TreeEnsemble.Library
    ) throws(ImportFault) -> [Int] {
        let prefix = library == .lightGBM ? "Column_" : "f"
        if names.count == fields.count, names.enumerated().allSatisfy({ $1 == "\(prefix)\($0)" }) {
            return Array(fields.indices)
        }
        // LightGBM writes _ for a space.
        func written(_ name: String) -> String {
            library == .lightGBM ? String(name.map { $0.isWhitespace ? "_" : $0 }) : name
        }
        var places: [String: Int] = [:]
        for (place, field) in fields.enumerated() {
            guard places.updateValue(place, forKey: written(field)) == nil else {
                throw ImportFault("the schema's fields \"\(field)\" and another are one name to \(library.rawValue)")
            }
        }
        var found: [Int] = []
        for name in names {
            guard let place = places.removeValue(forKey: written(name)) else {
                throw ImportFault(
                    found.contains { written(fields[$0]) == written(name) }
                        ? "the model has the feature \"\(name)\" twice"
                        : "the model takes the feature \"\(name)\", which the schema lacks; it has \(fields.prefix(20))"
                )
            }
            found.append(place)
        }
        if let lost = places.values.min() {
            throw ImportFault(
                "the schema has the feature \"\(fields[lost])\", which the model does not take; it takes "
                    + "\(names.count): \(names.prefix(20))")
        }
        return found
    }
}

// ranker.safetensors
//   metadata  kind = "trees", library = "LightGBM" or "XGBoost", objective, weights_sha256 = the hash of the tensor below;
//             the schema (see StoredSchema); candidates = JSON of FittedCandidates, where they are known
//   model     U8 [bytes]: the file that the library saved
extension TreeRanker {
    static let kind = "trees"

    package var metadata: [String: String] {
        var metadata = StoredSchema(schema).metadata
        metadata["kind"] = Self.kind
        metadata["library"] = library.rawValue
        metadata["objective"] = ensemble.objective
        metadata[StoredSchema.weightsHash] = ContentHash.sha256(of: file)
        if let candidates { metadata[FittedCandidates.key] = candidates.text }
        return metadata
    }

    /// Writes all tensors; the file was begun with `metadata`.
    package func write(to writer: TensorFileWriter) throws(ArtifactError) {
        let dictionaries = try StoredSchema(schema).dictionaries()
        for (name, dictionary) in dictionaries { dictionary.declare(name, in: writer) }
        writer.declare("model", .u8, shape: [file.count])
        for (name, dictionary) in dictionaries { try dictionary.write(name, to: writer) }
        try writer.append(file, to: "model")
        try writer.finish()
    }

    /// Reads and checks a ranker's file.
    ///
    /// - Throws: `ArtifactError` naming what does not fit, and where.
    package init(_ file: TensorFile) throws(ArtifactError) {
        guard file.metadata["kind"] == Self.kind else {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its metadata says kind \(file.metadata["kind"] ?? "nothing"); \(Self.kind) is wanted")
        }
        let bytes = try file.tensor("model", .u8, shape: [nil]).array(of: UInt8.self)
        try StoredSchema.check(weights: ContentHash.sha256(of: bytes), file)
        try self.init(schema: StoredSchema(file).schema, file: bytes, path: file.path)
        candidates = try FittedCandidates.read(file)
    }
}
