import Foundation
import Vocabulary

/// One `k` under one filter on one data set: what each plan took.
package struct PlannerCell: Encodable, Sendable {
    package struct Plan: Encodable, Sendable {
        package var plan: SearchPlan
        package var microseconds: Double
        package var recall: Double
        /// Within what the sample can tell.
        package var reachesRecall: Bool
        /// What the planner thought; 0 where it did not consider the plan.
        var expectedMicroseconds: Double
        var efSearch: Int?
        var confidence: Float?
    }

    package var data: String
    package var rows: Int
    package var dimension: Int
    package var metric: String
    package var k: Int
    package var share: Float
    package var eligible: Int
    /// The planner's choice first.
    package var plans: [Plan]

    package var chosen: Plan { plans[0] }
    /// The quickest of those that reach the recall; the exact ones do.
    package var best: Plan {
        plans.filter(\.reachesRecall).min { $0.microseconds < $1.microseconds } ?? plans[0]
    }
    /// The chosen plan's time by the best one's, less the slack where that is more generous; at least 1.
    package var ratio: Double {
        let slack = PlannerBenchConfiguration.slackMicroseconds
        if chosen.microseconds <= best.microseconds + slack { return 1 }
        return chosen.microseconds / best.microseconds
    }
    /// Whether the choice is good: near the best, and finding enough.
    package var holds: Bool { ratio <= PlannerBenchConfiguration.ratioMax && chosen.reachesRecall }

    private enum CodingKeys: String, CodingKey {
        case data, rows, dimension, metric, k, share, eligible, plans, best, ratio, holds
    }

    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(data, forKey: .data)
        try values.encode(rows, forKey: .rows)
        try values.encode(dimension, forKey: .dimension)
        try values.encode(metric, forKey: .metric)
        try values.encode(k, forKey: .k)
        try values.encode(share, forKey: .share)
        try values.encode(eligible, forKey: .eligible)
        try values.encode(plans, forKey: .plans)
        try values.encode(best.plan, forKey: .best)
        try values.encode(ratio, forKey: .ratio)
        try values.encode(holds, forKey: .holds)
    }
}

/// All cells, and what they say of the planner.
package struct PlannerReport: Encodable, Sendable {
    package var recallMin: Double
    package var kernels: String
    package var cells: [PlannerCell] = []

    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }

    private static let worstShown = 20

    /// The worst cells and the summary.
    package var text: String {
        let worst = cells.sorted {
            ($0.chosen.reachesRecall ? 0 : 1, $0.ratio) > ($1.chosen.reachesRecall ? 0 : 1, $1.ratio)
        }
        .prefix(Self.worstShown).filter { $0.ratio > 1 || !$0.chosen.reachesRecall }
        var lines = [
            "", Self.row(["worst cells", "k", "eligible", "chosen", "us", "thought", "recall", "best", "us", "ratio"]),
        ]
        lines += worst.map { cell in
            let (chosen, best) = (cell.chosen, cell.best)
            return Self.row([
                "\(cell.data), \(cell.rows) x \(cell.dimension), \(cell.metric)", "\(cell.k)",
                Self.number(Double(cell.share)), chosen.plan.rawValue, Self.number(chosen.microseconds),
                Self.number(chosen.expectedMicroseconds), String(format: "%.4f", chosen.recall), best.plan.rawValue,
                Self.number(best.microseconds), String(format: "%.2f", cell.ratio),
            ])
        }
        lines += ["", Self.heading, Self.summary("all", cells)]
        for plan in SearchPlan.allCases {
            lines.append(Self.summary("chosen \(plan.rawValue)", cells.filter { $0.chosen.plan == plan }))
        }
        for plan in SearchPlan.allCases {
            lines.append(Self.summary("best \(plan.rawValue)", cells.filter { $0.best.plan == plan }))
        }
        for rows in Set(cells.map(\.rows)).sorted() {
            lines.append(Self.summary("\(rows) rows", cells.filter { $0.rows == rows }))
        }
        for share in Set(cells.map(\.share)).sorted(by: >) {
            lines.append(
                Self.summary("\(Self.number(Double(share))) eligible", cells.filter { $0.share == share }))
        }
        return lines.joined(separator: "\n")
    }

    private static let heading = summaryRow([
        "cells", "", "within 1.25x", "within 1.5x", "worst", "missed recall", "all hold",
    ])

    private static func summary(_ name: String, _ cells: [PlannerCell]) -> String {
        guard !cells.isEmpty else { return summaryRow([name, "0", "-", "-", "-", "-", "-"]) }
        func share(_ holds: (PlannerCell) -> Bool) -> String {
            String(format: "%.1f %%", 100 * Double(cells.count(where: holds)) / Double(cells.count))
        }
        return summaryRow([
            name, "\(cells.count)", share { $0.ratio <= PlannerBenchConfiguration.ratioMax }, share { $0.ratio <= 1.5 },
            String(format: "%.2f", cells.map(\.ratio).max() ?? 1), share { !$0.chosen.reachesRecall }, share(\.holds),
        ])
    }

    private static func row(_ cells: [String]) -> String {
        padded(cells, [48, 5, 8, 16, 8, 8, 7, 16, 8, 6], left: [0, 3, 7])
    }
    private static func summaryRow(_ cells: [String]) -> String { padded(cells, [24, 6, 13, 12, 7, 14, 9], left: [0]) }

    private static func padded(_ cells: [String], _ widths: [Int], left: Set<Int>) -> String {
        zip(cells, widths).enumerated().map { column, cell in
            let gap = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return left.contains(column) ? cell.0 + gap : gap + cell.0
        }.joined(separator: " ")
    }

    static func number(_ value: Double) -> String { String(format: value < 100 ? "%.3g" : "%.0f", value) }
}
