import CandidateRanking
import Features
import RankingModels
import Retrieval
import Vocabulary

/// Writes users' candidates with what the users chose among them and the features that a ranker would see of each: what
/// other libraries' trees learn from.
///
/// The features are computed by the schema with the code that serves, so a model of them scores alike wherever it runs.
package struct ExampleExport {
    /// Columns before those of the features, in their order.
    package static let columns = ["label", "part", "user", "item"]

    package struct Configuration: Sendable {
        /// Candidates of a user, in training as in serving.
        package var candidates = 200
        /// Users that are written, at most, those to stop by among them.
        package var usersMax = 20_000
        /// Candidates that were not chosen, for each that was; nil: all, so that lists are whole.
        package var negatives: Int?
        /// Whether the users by whom `RankerFit.assess` judges trees of this window are left out; with its seed.
        package var keepsApart = true
        /// What happened when: users are asked for at moments of later choices. Nil: when the model was made.
        package var timeline: EventTimeline?
        package var seed: UInt64 = 1
        package var threads = 1

        package init() {}
    }

    /// What was written.
    package struct Summary: Sendable, Equatable {
        package var users = 0
        package var rows = 0
        package var chosen = 0
        /// Users without a choice among their candidates, who teach nothing.
        package var without = 0
        /// Users that were left out to judge by.
        package var keptApart = 0
    }

    /// What a ranker that learns from the rows was fitted to.
    package var candidates: FittedCandidates { FittedCandidates(count: configuration.candidates, of: model) }

    private let configuration: Configuration
    private let model: RetrievalModel
    private let plan: FeaturePlan

    /// Values that are held in memory as text at a time, of up to 20 bytes each.
    private static let valuesTogether = 4_000_000

    /// - Throws: `ArtifactError` naming a feature that the model cannot give; `DatasetError` for a schema of which no table
    ///   can be made.
    package init(
        _ configuration: Configuration, _ model: RetrievalModel, schema: FeatureSchema, path: String
    ) throws {
        if let taken = schema.fields.first(where: { Self.columns.contains($0.name) }) {
            throw DatasetError(
                .unreadable,
                "\(path): the field \"\(taken.name)\" has the name of a column of its own (\(Self.columns)); name it otherwise"
            )
        }
        if let fault = TreeRanker.fault(of: schema) { throw DatasetError(.unreadable, "\(path): \(fault)") }
        self.configuration = configuration
        self.model = model
        plan = try FeaturePlan(schema, model, path: path)
    }

    /// Says why examples of a window cannot be as of moments.
    ///
    /// - Throws: `DatasetError`.
    package static func checkTimes(_ window: RankerWindow, _ timeline: EventTimeline?) throws(DatasetError) {
        try RankerFit.checkTimes(window, timeline)
    }

    /// Writes a CSV with a header: label (1: chosen), part (`train`, or `valid` for a tenth of the window's users), user,
    /// item, then the features in the schema's order; rows of a user follow one another in retrieval's order.
    ///
    /// Numbers are as the schema encodes them, exact; of a category stands its row in the field's table, from 1. What is
    /// missing or unknown is empty.
    ///
    /// - Parameters:
    ///   - later: What users chose after what the model was fitted to.
    ///   - write: Takes the text in parts of some megabytes.
    /// - Throws: `DatasetError` when nobody chose one of the candidates; what `write` throws; `CancellationError`.
    package func run(
        _ later: Interactions, cancellation: Cancellation = Cancellation(), onProgress: (Double) -> Void = { _ in },
        write: ([UInt8]) throws -> Void
    ) throws -> Summary {
        var examples = CandidateExamples(
            model: model, candidatesMax: configuration.candidates, threads: configuration.threads,
            timeline: configuration.timeline)
        var cases = try examples.shuffledCases(later, seed: configuration.seed, usersMin: 1)
        var limits = UserDeal.Limits()
        limits.stopping = min(limits.stopping, configuration.usersMax / 10)
        limits.learning = configuration.usersMax - min(limits.stopping, cases.count / 10)
        let deal = UserDeal(cases.count, judges: configuration.keepsApart, limits)
        var summary = Summary()
        summary.keptApart = deal.judging.count
        var parts = [Array(cases[deal.learning]), Array(cases[deal.stopping])]
        if let timeline = configuration.timeline, plan.live.items {
            for part in parts.indices {
                parts[part].sort { ($0.moment ?? .min, $0.user) < ($1.moment ?? .min, $1.user) }
            }
            examples.replays = ItemReplays(timeline)
        }
        cases = parts[0] + parts[1]
        let (kept, learn) = (cases.count, deal.learning.count)
        let names = Self.columns + plan.schema.fields.map(\.name)
        try write(Array((names.map(Self.quoted).joined(separator: ",") + "\n").utf8))
        let usersTogether = max(1, min(256, Self.valuesTogether / (configuration.candidates * names.count)))
        for first in stride(from: 0, to: kept, by: usersTogether) {
            try cancellation.check()
            let end = min(first + usersTogether, kept)
            // A run is of one part.
            for run in [first..<max(first, min(learn, end)), max(first, min(learn, end))..<end] where !run.isEmpty {
                let part = run.lowerBound < learn ? "train" : "valid"
                let texts = try examples.forEach(
                    Array(cases[run]), plan, make: { (text: [UInt8](), counts: Summary()) }
                ) { made, one, request, features in append(one, request, features, part, to: &made.text, &made.counts) }
                for made in texts {
                    try write(made.text)
                    summary.users += made.counts.users
                    summary.rows += made.counts.rows
                    summary.chosen += made.counts.chosen
                    summary.without += made.counts.without
                }
            }
            onProgress(Double(end) / Double(kept))
        }
        guard summary.users > 0 else {
            throw DatasetError(
                .empty,
                "none of what users chose later was among their candidates; there is nothing for a ranker to learn")
        }
        return summary
    }

    private func append(
        _ one: CandidateExamples.Case, _ request: RankingRequest, _ features: CandidateFeatures, _ part: String,
        to text: inout [UInt8], _ counts: inout Summary
    ) {
        let relevant = Set(one.relevant)
        let chosen = request.candidates.reduce(0) { $0 + (relevant.contains($1.row) ? 1 : 0) }
        guard chosen > 0 else {
            counts.without += 1
            return
        }
        counts.users += 1
        counts.chosen += chosen
        let others = max(request.candidates.count - chosen, 1)
        let share = configuration.negatives.map { Double($0 * chosen) / Double(others) } ?? 1
        var random = SplitMix64(seed: configuration.seed &+ UInt64(one.user) &* 0x9E37_79B9_7F4A_7C15)
        let user = Self.quoted(model.users.name(one.user))
        for (row, candidate) in request.candidates.enumerated() {
            let isChosen = relevant.contains(candidate.row)
            guard isChosen || share >= 1 || random.unit() < share else { continue }
            counts.rows += 1
            text.append(
                contentsOf: "\(isChosen ? 1 : 0),\(part),\(user),\(Self.quoted(model.items.name(candidate.row)))".utf8)
            for value in values(features.rows, row) {
                text.append(UInt8(ascii: ","))
                text.append(contentsOf: value.utf8)
            }
            text.append(UInt8(ascii: "\n"))
        }
    }

    /// The texts of a row's features in the order of the schema.
    private func values(_ rows: FeatureRows, _ row: Int) -> [String] {
        let layout = plan.layout
        var texts = [String](repeating: "", count: plan.schema.fields.count)
        for number in layout.dense.indices {
            let value = rows.number(row, number)
            // All digits of the Float32, so that nobody's rounding moves it over a threshold.
            if !value.isNaN { texts[layout.dense[number].field] = "\(Double(value))" }
        }
        for (place, field) in layout.categorical.enumerated() {
            let code = rows.id(row, place) - UInt32(field.tableOffset)
            if code > 0 { texts[field.field] = "\(code)" }
        }
        return texts
    }

    /// A field of a CSV (RFC 4180).
    static func quoted(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }) else { return text }
        var out = "\""
        for character in text.unicodeScalars {
            if character == "\"" { out.unicodeScalars.append("\"") }
            out.unicodeScalars.append(character)
        }
        return out + "\""
    }
}

extension FeatureSchema {
    /// The features that a model's data give, as trees take them: numbers as they are, missing ones missing, of attributes
    /// with at most `valuesMax` values the first as a category. The item itself is left out; trees would learn it by heart.
    ///
    /// - Parameters:
    ///   - hasTimes: Whether the model holds nothing that came after the choices that are learnt from; else nothing that tells
    ///     of time is among them, as it would mean another thing in serving.
    ///   - timeline: For features of users' live state; nil: without them.
    package static func forTrees(
        _ model: RetrievalModel, hasTimes: Bool, timeline: EventTimeline? = nil, valuesMax: Int = 1024
    ) -> FeatureSchema {
        var fields: [FeatureField] = []
        let schema = RankerSchema(hasTimes: hasTimes, hasItemIDs: false, timeline: timeline).unfitted(model)
        for var field in schema.fields {
            switch field.kind {
            case .dense: field.kind = .dense(.none, missing: nil)
            case .categorical(let encoding, _):
                guard encoding.tableRows <= valuesMax + 1 else { continue }
                field.kind = .categorical(encoding, isMultivalued: false)
            }
            if ExampleExport.columns.contains(field.name) { field.name += "_value" }
            fields.append(field)
        }
        return FeatureSchema(fields: fields)
    }
}
