import Artifacts
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct EvaluationReportTests {
    private var report: EvaluationReport {
        var metrics = RankingMetrics(k: 20, itemCounts: [3, 2, 1], trainingUsers: 4)
        metrics.add(ranking: [0, 1], relevant: [1])
        var report = EvaluationReport(k: 20)
        report.users = 1
        report.testInteractions = 3
        report.unknownItems = 2
        report.test = "test.csv"
        report.rows = [
            .init(source: "popular", result: metrics.result()),
            .init(source: EvaluationReport.servedName, result: metrics.result()),
        ]
        report.index = [
            .init(kind: "als", k: 20, efSearch: 200, recall: 0.9875, queries: 10, isServed: true),
            .init(kind: "spectral", k: 20, efSearch: 200, recall: nil, queries: 0, isServed: false),
        ]
        return report
    }

    @Test func `The JSON holds each metric by name for each source and for what is served`() throws {
        let json = try JSONText.parse(Array(JSONText.print(report.json, indented: true).utf8))
        #expect(json["served"]?["recall@20"]?.doubleValue == 1)
        #expect(json["sources"]?["popular"]?["ndcg@20"]?.doubleValue == report["popular"]?.ndcg)
        #expect(json["sources"]?["popular"]?.objectValue?.count == 10)
        #expect(json["index"]?["als"]?["recall@20"]?.doubleValue == 0.9875)
        #expect(json["index"]?["spectral"]?["recall@20"] == .null)
        #expect(json["unknown_items"]?.intValue == 2)
    }

    @Test func `The table is aligned and says what was left out`() {
        let lines = report.table.split(separator: "\n").map(String.init)
        #expect(Set(lines.prefix(3).map(\.count)).count == 1)
        #expect(lines[0].hasPrefix("source") && lines[0].contains("recall@20"))
        #expect(lines[2].hasPrefix("served "))
        #expect(report.table.contains("2 interactions with items that the bundle does not know"))
        #expect(report.table.contains("index als: recall@20 0.9875 of exact search"))
        #expect(!report.table.contains("users that the bundle does not know"))
    }

    @Test func `Numbers are printed with the digits asked for`() {
        #expect((0.18749).text(digits: 3) == "0.187" && (0.9996).text(digits: 3) == "1.000")
        #expect((-2.5).text(digits: 1) == "-2.5" && (12.0).text(digits: 0) == "12")
        #expect((0.05).text(digits: 2) == "0.05" && (-0.001).text(digits: 2) == "0.00")
    }
}
