import Foundation
import IndexBench
import TestSupport
import Testing

@testable import martlet_bench

@Suite(.ownThreads) struct ChurnRunTests {
    @Test func `A run tells of each kind of change, of searches before and after, and of each moment`() throws {
        var configuration = ChurnConfiguration()
        configuration.rows = 300
        configuration.dimension = 8
        configuration.operations = 900
        configuration.efConstruction = 40
        configuration.queries = 20
        configuration.moments = 3
        var told = 0
        var run = try ChurnRun(configuration)
        let report = try run.run { _ in told += 1 }
        #expect(report.changes.map(\.kind) == ["insert", "update", "delete"])
        #expect(report.changes.reduce(0) { $0 + $1.count } == 900)
        #expect(report.changes.allSatisfy { $0.perSecond > 0 && $0.longest >= $0.p99 && $0.p99 >= $0.p50 })
        #expect(told == 3 && report.moments.map(\.changes) == [300, 600, 900])
        #expect(report.moments.allSatisfy { $0.recall > 0.9 && $0.usedSlots >= $0.rows && $0.megabytes > 0 })
        #expect(report.moments.last.map { $0.repairs > 0 } == true)
        #expect(report.searches.count == 6)
        #expect(report.searches.compactMap(\.recall).allSatisfy { $0 > 0.9 })
        #expect(report.text.contains("mutable, during changes"))
        let json = try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
        #expect((json["moments"] as? [Any])?.count == 3)
    }

    @Test func `Settings that cannot be are refused before anything is made`() throws {
        for arguments in [
            ["--rows", "0"], ["--operations", "0"], ["--k", "0"], ["--ef", "0"], ["--dimension", "5000"], ["--m", "1"],
            ["--tombstone-ratio", "0.9"], ["--readers", "-1"], ["--moments", "0"], ["--metric", "hamming"],
        ] {
            #expect(throws: (any Error).self, "\(arguments)") { try ChurnCommand.parse(arguments) }
        }
        let settings = try ChurnCommand.parse(["--rows", "50", "--links", "cosine", "--ef", "20"]).settings()
        #expect(settings.rows == 50 && settings.linkMetric == .cosine && settings.efSearch == 20)
    }
}
