import Artifacts

/// Which features a ranker takes, where they come from and how they are encoded.
///
/// Stands in a bundle beside the ranker's weights. Training and serving compute features by the same schema with the same
/// code; `hash` says whether two schemas are one.
package struct FeatureSchema: Sendable, Equatable {
    /// What the key `version` says at most: 2 of a schema with live features, which programs of version 1 do not know.
    package static let formatVersion = 2
    package static let fieldsMax = 512
    /// Rows of all embedding tables together.
    package static let tableRowsMax = 1 << 28
    package static let nameBytesMax = 128

    /// Categorical fields in the order in which the network takes their embeddings, and dense ones in the order of their
    /// numbers, which come after.
    package var fields: [FeatureField]

    package init(fields: [FeatureField]) { self.fields = fields }

    /// What is wrong with it, naming the field; nil: nothing.
    package func fault() -> String? {
        guard (1...Self.fieldsMax).contains(fields.count) else {
            return "\(fields.count) fields; 1 to \(Self.fieldsMax) are possible"
        }
        var names: Set<String> = []
        var rows = 0
        for field in fields {
            guard !field.name.isEmpty, field.name.utf8.count <= Self.nameBytesMax else {
                return "a field's name has \(field.name.utf8.count) bytes; 1 to \(Self.nameBytesMax) are possible"
            }
            guard names.insert(field.name).inserted else { return "the field \"\(field.name)\" stands twice" }
            if let fault = field.fault() { return "the field \"\(field.name)\" has \(fault)" }
            rows += field.tableRows
            guard rows <= Self.tableRowsMax else {
                return "tables of more than \(Self.tableRowsMax) rows; hash the field \"\(field.name)\" into fewer"
            }
        }
        return nil
    }

    /// Why a network cannot take its features, naming the field; nil: it can.
    package func networkFault() -> String? {
        for field in fields {
            guard case .dense(_, missing: nil) = field.kind else { continue }
            return
                "the field \"\(field.name)\" declares no \"missing\", the number that stands in for a value that is not "
                + "there; trees take such values as they are, a network needs one (\"missing\": 0)"
        }
        return nil
    }

    /// Of this schema: as low as its features allow.
    package var version: Int { fields.contains { $0.source.live != nil } ? 2 : 1 }

    /// The SHA-256 of the schema's canonical JSON text, dictionaries included.
    package var hash: String { ContentHash.sha256(of: JSONText.print(json(), indented: false)) }
}

extension FeatureField {
    /// Rows of its embedding table; 0 for numbers.
    package var tableRows: Int {
        if case .categorical(let encoding, _) = kind { encoding.tableRows } else { 0 }
    }

    func fault() -> String? {
        if source.live != nil, case .categorical = kind { return "a category of a live feature, which is a number" }
        if let timeToLive {
            guard source.live != nil else { return "a time-to-live, which live features alone have" }
            guard (1...LiveSource.timeToLiveMax).contains(timeToLive) else {
                return "a time-to-live of \(timeToLive) seconds; 1 to \(LiveSource.timeToLiveMax) are possible"
            }
        }
        switch kind {
        case .dense(let normalisation, let missing):
            if let missing, !missing.isFinite { return "\(missing) for missing values, which is not finite" }
            return normalisation.fault()
        case .categorical(let encoding, _):
            switch encoding {
            case .dictionary(let values):
                guard Set(values).count == values.count else { return "a value twice in its dictionary" }
                return values.count < FeatureSchema.tableRowsMax ? nil : "\(values.count) values"
            case .hashed(let buckets):
                return (1..<FeatureSchema.tableRowsMax).contains(buckets) ? nil : "\(buckets) buckets"
            case .rows(let count):
                guard source == .userID || source == .itemID else {
                    return "encoding \"rows\", which is for user.id and item.id alone"
                }
                return (1..<FeatureSchema.tableRowsMax).contains(count) ? nil : "\(count) rows"
            }
        }
    }
}
