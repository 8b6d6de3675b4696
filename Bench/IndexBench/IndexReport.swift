import Foundation

/// What was measured on, and what the indexes cost.
package struct IndexHeader: Encodable, Sendable {
    package struct Build: Encodable, Sendable {
        package var seconds: Double
        /// Held beside the rows.
        package var bytes: Int
        /// Everything that a search may read, for each row: the row, and what is held beside it.
        package var bytesPerRow: Double
        var m: Int?
        var efConstruction: Int?
        var linkMetric: String?
        var layers: Int?
        /// What walks read of the rows, and how long making that took.
        package var walksBy: String?
        var walkRowsSeconds: Double?
    }

    var data: String
    package var rows: Int
    package var dimension: Int
    package var queries: Int
    var metric: String
    /// How scan and hnsw hold the rows; the true neighbours and exact are of f32.
    package var rowsIn: String
    /// The instructions that the kernels use.
    var kernels: String
    var threads: Int
    var repeats: Int
    var seed: UInt64
    /// By the name of the index.
    package var indexes: [String: Build] = [:]

    /// The lines above the table.
    package var text: String {
        let built = indexes.sorted { $0.key > $1.key }.map { name, build in
            let links =
                build.linkMetric.map {
                    ", links by \($0), m \(build.m ?? 0), \(build.layers ?? 0) layers, walks by \(build.walksBy ?? "")"
                        + String(format: " (made in %.3f s)", build.walkRowsSeconds ?? 0)
                } ?? ""
            return String(
                format: "%@: built in %.2f s, %.1f MB beside the rows, %.0f bytes a row with the row (%@)", name,
                build.seconds, Double(build.bytes) / 1e6, build.bytesPerRow, rowsIn)
                + links
        }
        let first = "\(data): \(rows) rows x \(dimension), \(metric), \(queries) queries, kernels \(kernels)"
        return ([first] + built + [IndexPoint.heading]).joined(separator: "\n")
    }
}

/// An index at one setting.
package struct IndexPoint: Sendable {
    /// Points of one index lie on one curve.
    package var index: String
    package var k: Int
    package var recall: Double
    /// Recall of each fifth of the true neighbours by their rows' norm, the shortest first.
    package var recallByNorm: [Double?]
    /// Queries per second, one after the other; the median of the repeats.
    package var qps: Double
    /// The same per second of processor time: what an idle machine would give when others use this one.
    package var cpuQPS: Double
    /// Microseconds of a query (of a batch, where queries go together).
    package var p50: Double
    package var p99: Double
    package var efSearch: Int?
    /// Of the scan's bounds.
    package var confidence: Float?
    /// The share of the rows that a filter leaves.
    package var eligible: Float?
    /// What the planner chose.
    package var plan: String?
    /// Queries under way at a time.
    package var together: Int?
    /// Threads that read each scan.
    package var split: Int?
    /// Rows that were blocked for each query.
    package var blocked: Int?
    /// Microseconds that blocking, searching among the rest and mending the mask take more than the same search of all
    /// rows; the median over the queries.
    package var added: Double?
    /// Microseconds of blocking and mending alone.
    package var mask: Double?

    /// The setting in words.
    var setting: String {
        var words: [String] = []
        if let eligible { words.append("\(Self.short(Double(eligible) * 100))% \(plan ?? "")") }
        if let efSearch { words.append("ef \(efSearch)") }
        if let confidence, confidence != 1 { words.append("confidence \(Self.short(Double(confidence)))") }
        if let blocked, let added, let mask {
            words.append("\(blocked) rows " + String(format: "%+.1f us (mask %.1f)", added, mask))
        }
        return words.joined(separator: " ")
    }

    private static func short(_ value: Double) -> String { String(format: "%.4g", value) }

    private static func row(_ cells: [String]) -> String {
        zip(cells, [9, 33, 5, 7, 9, 11, 11, 9, 9]).enumerated().map { column, cell in
            let gap = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return column < 2 ? cell.0 + gap : gap + cell.0
        }.joined(separator: " ")
    }

    static let heading = row(
        ["index", "setting", "k", "recall", "shortest", "queries/s", "/cpu-s", "p50 us", "p99 us"])

    /// A line of the table; "shortest" is the recall of the fifth with the least norms.
    package var text: String {
        Self.row([
            index, setting, String(k), String(format: "%.4f", recall),
            (recallByNorm.first ?? nil).map { String(format: "%.4f", $0) } ?? "-", String(format: "%.0f", qps),
            String(format: "%.0f", cpuQPS), String(format: "%.1f", p50), String(format: "%.1f", p99),
        ])
    }
}

extension IndexPoint: Encodable {
    private enum CodingKeys: String, CodingKey {
        case index, k, recall, recallByNorm, qps, cpuQPS, p50, p99, efSearch, confidence, eligible, plan, together,
            split,
            blocked, added, mask
    }

    /// Every point has every key; what does not apply is null.
    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(index, forKey: .index)
        try values.encode(k, forKey: .k)
        try values.encode(Self.rounded(recall, 5), forKey: .recall)
        try values.encode(recallByNorm.map { $0.map { Self.rounded($0, 4) } }, forKey: .recallByNorm)
        try values.encode(Self.rounded(qps, 1), forKey: .qps)
        try values.encode(Self.rounded(cpuQPS, 1), forKey: .cpuQPS)
        try values.encode(Self.rounded(p50, 2), forKey: .p50)
        try values.encode(Self.rounded(p99, 2), forKey: .p99)
        try values.encode(efSearch, forKey: .efSearch)
        try values.encode(confidence.map { Self.rounded(Double($0), 6) }, forKey: .confidence)
        try values.encode(eligible.map { Self.rounded(Double($0), 6) }, forKey: .eligible)
        try values.encode(plan, forKey: .plan)
        try values.encode(together, forKey: .together)
        try values.encode(split, forKey: .split)
        try values.encode(blocked, forKey: .blocked)
        try values.encode(added.map { Self.rounded($0, 2) }, forKey: .added)
        try values.encode(mask.map { Self.rounded($0, 2) }, forKey: .mask)
    }

    private static func rounded(_ value: Double, _ places: Int) -> Double {
        let unit = pow(10, Double(places))
        return (value * unit).rounded() / unit
    }
}

/// A header and the points, in the order in which they were measured.
package struct IndexReport: Encodable, Sendable {
    package var header: IndexHeader
    package var points: [IndexPoint] = []

    package func json() throws -> Data { try Self.encode(self, [.prettyPrinted, .sortedKeys]) }

    /// A document in one line.
    package static func line(_ value: some Encodable) throws -> String {
        String(decoding: try encode(value, [.sortedKeys]), as: UTF8.self)
    }

    private static func encode(_ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting
        return try encoder.encode(value)
    }
}
