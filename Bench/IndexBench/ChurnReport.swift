import Foundation

/// What became of an index under changes.
package struct ChurnReport: Encodable, Sendable {
    /// One kind of change.
    package struct Changes: Encodable, Sendable {
        package var kind: String
        package var count: Int
        /// By one thread that does nothing else, readers beside.
        package var perSecond: Double
        package var p50: Double
        package var p99: Double
        package var longest: Double
    }

    /// Searches at one time; microseconds.
    package struct Searches: Encodable, Sendable {
        package var name: String
        /// Of each thread.
        package var perSecond: Double
        package var p50: Double
        package var p99: Double
        /// Nil during changes: the moments tell.
        package var recall: Double?
    }

    /// The index after some changes.
    package struct Moment: Encodable, Sendable {
        package var changes: Int
        package var rows: Int
        package var recall: Double
        package var usedSlots: Int
        package var deadSlots: Int
        package var megabytes: Double
        package var repairs: Int
        package var relinkedNodes: Int
    }

    package var data: String
    package var kernels: String
    package var seed: UInt64
    package var k: Int
    package var efSearch: Int
    package var readers: Int
    package var buildSeconds = 0.0
    package var churnSeconds = 0.0
    package var sealSeconds = 0.0
    package var changes: [Changes] = []
    package var searches: [Searches] = []
    package var moments: [Moment] = []

    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }

    package var text: String {
        var lines = [
            "\(data), k \(k), ef \(efSearch), readers \(readers), kernels \(kernels)",
            String(
                format: "built in %.2f s; changed for %.1f s; sealed in %.2f s", buildSeconds, churnSeconds,
                sealSeconds),
            Self.row(["change", "count", "/s", "p50 us", "p99 us", "longest us"]),
        ]
        for change in changes {
            lines.append(
                Self.row([
                    change.kind, String(change.count), Self.short(change.perSecond), Self.tenth(change.p50),
                    Self.tenth(change.p99), Self.tenth(change.longest),
                ]))
        }
        lines.append(Self.row(["searches", "recall", "/s", "p50 us", "p99 us"]))
        for search in searches {
            lines.append(
                Self.row([
                    search.name, search.recall.map { String(format: "%.4f", $0) } ?? "-", Self.short(search.perSecond),
                    Self.tenth(search.p50), Self.tenth(search.p99),
                ]))
        }
        lines.append(Self.row(["after changes", "recall", "rows", "slots", "dead", "MB", "repairs", "relinked"]))
        for moment in moments {
            lines.append(
                Self.row([
                    String(moment.changes), String(format: "%.4f", moment.recall), String(moment.rows),
                    String(moment.usedSlots), String(moment.deadSlots), Self.tenth(moment.megabytes),
                    String(moment.repairs), String(moment.relinkedNodes),
                ]))
        }
        return lines.joined(separator: "\n")
    }

    private static func short(_ value: Double) -> String { String(format: "%.0f", value) }
    private static func tenth(_ value: Double) -> String { String(format: "%.1f", value) }

    private static func row(_ cells: [String]) -> String {
        cells.enumerated().map { column, cell in
            let gap = String(repeating: " ", count: max(0, (column == 0 ? 28 : 10) - cell.count))
            return column == 0 ? cell + gap : gap + cell
        }.joined(separator: " ")
    }
}
