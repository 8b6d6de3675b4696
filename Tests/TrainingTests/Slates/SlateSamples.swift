import EventLog
import Features
import TestSupport
import Vocabulary

@testable import Training

/// Writes slates into the log of a folder, and the schema beside them.
func writeSlates(_ path: String, _ slates: [LoggedSlate], schema: FeatureSchema? = nil) throws {
    let storage = try FileStorage(path: path, creates: true)
    let writer = try LogWriter(
        storage, LogConfiguration(sync: .never), clock: { 0 }, wallClock: { 1_700_000_000_000 }, outcome: { _ in })
    for slate in slates { _ = try writer.append(kind: RecordKind.slates.rawValue, SlateRecord.encode(slate)) }
    writer.close()
    if let schema {
        let file = try storage.create(LoggedSlate.schemaFileName(schema.hash))
        try file.write(Array(schema.text.utf8))
    }
}

extension FeatureSchema {
    var text: String { JSONPrinter.text(self) }
}

/// A slate of plain items, one number as feature.
func slate(
    _ id: String, user: String = "u", seconds: UInt64 = 0, shown: [String], others: [String] = [],
    numbers: [Float]? = nil, schema: String = "s"
) -> LoggedSlate {
    var slate = LoggedSlate(requestID: id, user: user)
    slate.timeMilliseconds = 1_700_000_000_000 + seconds * 1000
    slate.shownCount = shown.count
    slate.items = shown + others
    slate.scores = slate.items.indices.map { -Float($0) }
    slate.itemSources = slate.items.map { _ in 1 }
    slate.sources = ["als"]
    slate.places = slate.items.indices.map { UInt32($0 + 1) }
    slate.propensities = shown.map { _ in 1 }
    slate.itemMarks = shown.map { _ in [] }
    slate.candidateCount = slate.items.count
    slate.bestCount = others.count
    if let numbers {
        var features = LoggedFeatures(schema: schema)
        features.items = numbers.indices.map { UInt32($0) }
        features.numbers = [numbers]
        slate.features = features
    }
    return slate
}
