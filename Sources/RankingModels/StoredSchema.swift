import Artifacts
import Catalog
import Features

// What rankers' files have in common, whatever scores:
//   metadata        kind, features = JSON of the schema with the sizes of its dictionaries in place of their values,
//                   features_sha256 = the hash of the whole schema, weights_sha256 = the hash of what scores;
//                   files of other tools may lack both hashes
//   dictionary.N.*  values of the dictionary of field N (bytes, offsets, table)

/// The schema as a ranker's file holds it.
struct StoredSchema {
    let schema: FeatureSchema

    init(_ schema: FeatureSchema) { self.schema = schema }

    /// Reads and checks the schema of a file.
    ///
    /// - Throws: `ArtifactError` naming the field at fault, or a hash of another schema.
    init(_ file: TensorFile) throws(ArtifactError) {
        let features = try Self.json("features", file)
        schema = try FeatureSchema(json: features, path: file.path) { (name, count) throws(ArtifactError) in
            let number = features["fields"]?.arrayValue?.firstIndex { $0["name"]?.stringValue == name } ?? 0
            if count == 0 { return [] }
            let values = try IDDictionary(
                file, "dictionary.\(number)", count: count, what: "value of the field \"\(name)\"")
            return (0..<UInt32(values.count)).map { values.string($0) }
        }
        if let hash = file.metadata["features_sha256"], hash != schema.hash {
            throw ArtifactError(
                .invalidContent, path: file.path,
                "its features have the SHA-256 \(schema.hash); the weights were made for \(hash)")
        }
    }

    var metadata: [String: String] {
        [
            "features": JSONText.print(schema.json(dictionaries: false), indented: false),
            "features_sha256": schema.hash,
        ]
    }

    /// The key of the metadata.
    static let weightsHash = "weights_sha256"

    /// Compares what was read with what was written, where the file tells.
    ///
    /// - Throws: `ArtifactError` when they differ.
    static func check(weights hash: String, _ file: TensorFile) throws(ArtifactError) {
        guard let written = file.metadata[weightsHash], written != hash else { return }
        throw ArtifactError(
            .checksumMismatch, path: file.path,
            "its weights have the SHA-256 \(hash) and were written with \(written): the file is damaged; copy it again, or train it anew"
        )
    }

    func dictionaries() throws(ArtifactError) -> [(String, IDDictionary)] {
        var found: [(String, IDDictionary)] = []
        for (number, field) in schema.fields.enumerated() {
            guard case .categorical(.dictionary(let values), _) = field.kind, !values.isEmpty else { continue }
            found.append(("dictionary.\(number)", try IDDictionary(values, what: "value of \"\(field.name)\"")))
        }
        return found
    }

    static func json(_ key: String, _ file: TensorFile) throws(ArtifactError) -> JSONValue {
        guard let text = file.metadata[key] else {
            throw ArtifactError(.invalidContent, path: file.path, "its metadata lacks \"\(key)\"")
        }
        do throws(JSONText.Fault) {
            return try JSONText.parse(Array(text.utf8))
        } catch {
            throw ArtifactError(.malformed, path: file.path, "its metadata \"\(key)\" is not JSON: \(error)")
        }
    }
}
