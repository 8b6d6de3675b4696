import Artifacts
import EventLog
import Features
import Vocabulary

/// What a slate log teaches a ranker: of each slate the items that were shown and ranked, with their features as they were
/// served, and whether the user answered.
package struct SlateExamples: Sendable {
    /// One slate.
    struct List: Sendable {
        var user: String
        /// Milliseconds since 1970.
        var time: UInt64
        var features: LoggedFeatures
        /// One for each row of the features.
        var labels: [Bool]
        /// The same: one over the item's propensity, at most `weightMax`.
        var weights: [Float]
    }

    package struct Report: Sendable, Equatable {
        package var slates = 0
        /// Slates that teach, the examples in them, and those that were answered.
        package var lists = 0
        package var examples = 0
        package var positives = 0
        // Left out:
        package var open = 0
        package var withoutFeatures = 0
        /// Served with another feature schema, or one whose file is gone.
        package var otherSchema = 0
        /// Features that do not fit their schema.
        package var misfits = 0
        package var letGo = 0
        /// Examples of places that chance had filled.
        package var drawn = 0
        package var clipped = 0
    }

    /// That of most slates; their features are taken as they are.
    package let schema: FeatureSchema
    package let schemaHash: String
    let lists: [List]
    package let report: Report

    /// Slates that are kept, the newest.
    static let listsMax = 1 << 19
    /// A place that was hardly ever given to an item counts no more than this many.
    static let weightMax: Float = 10
}

extension SlateExamples {
    /// Reads a slate log.
    ///
    /// - Parameter path: The folder of the slates, where the schemas lie too.
    /// - Returns: Nil where no slate holds features whose schema can be read; what there was instead.
    /// - Throws: `LogError`, what `onProgress` throws.
    /// - Complexity: two passes over the slates; the features of the shown items are in memory.
    package static func read(
        _ join: SlateJoin, _ slates: LogArchive, onProgress: (Int) throws -> Void = { _ in }
    ) throws -> (examples: SlateExamples?, report: Report, join: SlateJoinReport) {
        var counts: [String: Int] = [:]
        var seen = 0
        let found = try join.forEach(slates) { joined in
            seen += 1
            if seen & 0xFF == 0 { try onProgress(seen) }
            guard !joined.isOpen, let features = joined.slate.features else { return }
            if counts[features.schema] != nil || counts.count < 1000 { counts[features.schema, default: 0] += 1 }
        }
        let ordered = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let schema = ordered.lazy.compactMap { hash, _ in SlateSchema.read(hash, beside: slates.path) }.first
        guard let schema else {
            return (nil, Report(slates: found.joined, open: found.open, otherSchema: counts.values.reduce(0, +)), found)
        }
        var pass = Pass(schema.hash, schema.schema)
        let joinReport = try join.forEach(slates) { joined in
            seen += 1
            if seen & 0xFF == 0 { try onProgress(seen) }
            pass.take(joined)
        }
        let examples = pass.finish()
        return (examples.lists.isEmpty ? nil : examples, examples.report, joinReport)
    }

    /// Some of the slates, to learn from.
    struct Lessons {
        fileprivate let lists: [List]
        /// Users who chose something there.
        let users: Set<String>

        /// Adds them to labelled rows, as lists; weights are scaled to a mean of 1.
        func append(to rows: LabelledRows) {
            let reader = SlateRows(rows.rows.layout)
            let sum = lists.reduce(0.0) { $0 + $1.weights.reduce(0) { $0 + Double($1) } }
            let count = lists.reduce(0) { $0 + $1.weights.count }
            let scale = sum > 0 ? Float(Double(count) / sum) : 1
            for list in lists {
                for row in list.labels.indices {
                    rows.append(label: list.labels[row], weight: list.weights[row] * scale) { rows, at in
                        reader.set(at, row, list.features, rows)
                    }
                }
                rows.endList()
            }
        }
    }

    /// The slates that are wanted.
    func lessons(_ isWanted: (List) -> Bool) -> Lessons {
        let wanted = lists.filter(isWanted)
        return Lessons(lists: wanted, users: Set(wanted.lazy.filter { $0.labels.contains(true) }.map(\.user)))
    }

    /// The reading that collects.
    private struct Pass {
        let hash: String
        let schema: FeatureSchema
        let rows: SlateRows
        var report = Report()
        var lists: [List] = []
        var oldest = 0

        init(_ hash: String, _ schema: FeatureSchema) {
            self.hash = hash
            self.schema = schema
            rows = SlateRows(FeatureLayout(schema))
        }

        mutating func take(_ joined: JoinedSlate) {
            report.slates += 1
            if joined.isOpen {
                report.open += 1
                return
            }
            guard let features = joined.slate.features?.ofFirst(joined.slate.shownCount), !features.items.isEmpty else {
                report.withoutFeatures += 1
                return
            }
            guard features.schema == hash else {
                report.otherSchema += 1
                return
            }
            guard rows.fits(features) else {
                report.misfits += 1
                return
            }
            let labels = features.items.map { joined.answers[Int($0)] > 0 }
            let weights = features.items.map { item in
                let propensity = joined.slate.propensities[Int(item)]
                return propensity > 0 && propensity < 1 ? min(1 / propensity, SlateExamples.weightMax) : 1
            }
            let list = List(
                user: joined.slate.user, time: joined.slate.timeMilliseconds, features: features, labels: labels,
                weights: weights)
            if lists.count < SlateExamples.listsMax {
                lists.append(list)
            } else {
                lists[oldest] = list
                oldest = (oldest + 1) % SlateExamples.listsMax
                report.letGo += 1
            }
        }

        consuming func finish() -> SlateExamples {
            report.lists = lists.count
            for list in lists {
                report.examples += list.labels.count
                report.positives += list.labels.count { $0 }
                report.drawn += list.weights.count { $0 != 1 }
                report.clipped += list.weights.count { $0 == SlateExamples.weightMax }
            }
            return SlateExamples(schema: schema, schemaHash: hash, lists: lists, report: report)
        }
    }
}

/// The feature schemas that lie beside a slate log.
package enum SlateSchema {
    /// Nil where the file is not there, or is not what its name says.
    package static func read(_ hash: String, beside path: String) -> (hash: String, schema: FeatureSchema)? {
        // A hash comes out of a record: nothing but digits may become part of a path.
        guard !hash.isEmpty, hash.utf8.count <= 64, hash.allSatisfy({ $0.isHexDigit && $0.isASCII }) else { return nil }
        let name = LoggedSlate.schemaFileName(hash)
        guard let bytes = try? FileStorage(path: path, creates: false).read(name),
            let json = try? JSONText.parse(bytes), let schema = try? FeatureSchema(json: json, path: name),
            schema.hash == hash
        else { return nil }
        return (hash, schema)
    }
}
