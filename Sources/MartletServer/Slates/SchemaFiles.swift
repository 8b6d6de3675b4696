import Artifacts
import EventLog
import Features
import Foundation

/// The feature schemas of logged slates: `schema-<SHA-256>.json` beside the segments.
///
/// A file whose slates are gone for their age goes with the next new one.
struct SchemaFiles: Sendable {
    private let storage: any LogStorage
    private let retention: Duration

    init(_ storage: any LogStorage, retention: Duration) {
        self.storage = storage
        self.retention = retention
    }

    /// Writes a schema anew, so that its file is as young as its youngest use.
    func write(_ schema: FeatureSchema, hash: String) throws(LogError) {
        let staged = "schema.partial"
        try? storage.remove(staged)
        let file = try storage.create(staged)
        try file.write(Array(JSONText.print(schema.json(), indented: false).utf8))
        try storage.rename(staged, to: LoggedSlate.schemaFileName(hash))
        removeOld()
    }

    private func removeOld() {
        let oldest = Date(timeIntervalSinceNow: -Double(retention.components.seconds) * 2 - 86_400)
        for name in (try? storage.names()) ?? [] where LoggedSlate.isSchemaFileName(name) {
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(storage.path)/\(name)")
            guard let changed = attributes?[.modificationDate] as? Date, changed < oldest else { continue }
            try? storage.remove(name)
        }
    }
}
