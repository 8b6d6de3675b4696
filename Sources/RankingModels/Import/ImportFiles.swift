import Artifacts
import Features

/// The small files beside the weights.
package enum ImportFiles {
    /// A schema of features as JSON (docs/ranker-import.md).
    package static func schema(_ path: String) throws(ArtifactError) -> FeatureSchema {
        try FeatureSchema(json: try json(path, bytesMax: ImportLimits.schemaBytesMax), path: path)
    }

    /// The candidates that a schema's file tells beside the features, as `martlet ranker export-examples` writes them; nil
    /// where it does not.
    package static func candidates(_ path: String) throws(ArtifactError) -> FittedCandidates? {
        guard let value = try json(path, bytesMax: ImportLimits.schemaBytesMax)[FittedCandidates.key] else {
            return nil
        }
        guard let found = FittedCandidates(json: value) else {
            throw ArtifactError(.invalidContent, path: path, "its \(FittedCandidates.wanted)")
        }
        return found
    }

    /// New names of tensors by old ones; null leaves one out.
    package static func names(_ path: String) throws(ArtifactError) -> [String: String?] {
        guard let members = try json(path, bytesMax: ImportLimits.namesBytesMax).objectValue else {
            throw ArtifactError(.malformed, path: path, "it is no JSON object of names by names")
        }
        var names: [String: String?] = [:]
        for (name, value) in members {
            switch value {
            case .string(let text): names.updateValue(text, forKey: name)
            case .null: names.updateValue(nil, forKey: name)
            default:
                throw ArtifactError(
                    .malformed, path: path, "\"\(name)\" is neither a name nor null (to leave the tensor out)")
            }
        }
        return names
    }

    private static func json(_ path: String, bytesMax: Int) throws(ArtifactError) -> JSONValue {
        let bytes = try WholeFile.read(path, bytesMax: bytesMax)
        do throws(JSONText.Fault) {
            return try JSONText.parse(bytes)
        } catch {
            throw ArtifactError(.malformed, path: path, "it is not JSON: \(error)")
        }
    }
}
