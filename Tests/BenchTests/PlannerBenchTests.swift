import ArgumentParser
import Foundation
import IndexBench
import TestSupport
import Testing
import Vocabulary

@testable import martlet_bench

@Suite(.ownThreads) struct PlannerBenchTests {
    private func small(_ change: (inout PlannerBenchConfiguration) -> Void = { _ in }) -> PlannerBenchConfiguration {
        var configuration = PlannerBenchConfiguration()
        configuration.rowCounts = [600]
        configuration.shapes = [.hubs]
        configuration.dimensions = [8]
        configuration.metrics = [.innerProduct]
        configuration.ks = [1, 20]
        configuration.shares = [1, 0.9, 0.1]
        configuration.repeats = 1
        change(&configuration)
        return configuration
    }

    @Test func `Each cell has the chosen plan first, all exact ones, and a verdict`() throws {
        var told = 0
        let report = try PlannerBench(small { $0.metrics = [.innerProduct, .l2] }).run { _ in told += 1 }
        #expect(told == 2 && report.cells.count == 2 * 6)
        for cell in report.cells {
            let plans = Set(cell.plans.map(\.plan))
            #expect(plans.contains(.scan) && plans.contains(.lookUp) == (cell.share < 1))
            #expect(cell.eligible == 600 || cell.share < 1)
            for plan in cell.plans {
                #expect(plan.microseconds > 0 && (0...1).contains(plan.recall))
                if !plan.plan.isApproximate { #expect(plan.recall == 1 && plan.reachesRecall) }
            }
            #expect(cell.best.reachesRecall && cell.ratio >= 1)
            #expect(cell.plans.filter(\.reachesRecall).allSatisfy { $0.microseconds >= cell.best.microseconds })
        }
        let json = try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
        let cells = try #require(json["cells"] as? [[String: Any]])
        #expect(cells.count == 12 && cells.allSatisfy { ($0["plans"] as? [Any])?.isEmpty == false })
        #expect(report.text.contains("within 1.25x") && report.text.contains("600 rows"))
    }

    @Test func `Shapes, dimensions and metrics are tried one at a time unless crossed`() throws {
        func names(_ isCrossed: Bool) throws -> Int {
            let report = try PlannerBench(
                small {
                    $0.shapes = [.hubs, .noise]
                    $0.dimensions = [8, 4]
                    $0.rowCounts = [40]
                    $0.ks = [1]
                    $0.shares = [1]
                    $0.isCrossed = isCrossed
                }
            ).run()
            return report.cells.count
        }
        #expect(try names(false) == 3)
        #expect(try names(true) == 4)
    }

    @Test func `A share that leaves no row and a k past the rows have no cell`() throws {
        let report = try PlannerBench(
            small {
                $0.ks = [1, 601]
                $0.shares = [1, 0.001]
            }
        ).run()
        #expect(report.cells.map(\.k) == [1])
    }

    @Test(arguments: [
        (["--rows", "a.fbin"], "--rows needs --queries"), (["--bundle", "b", "--shape", "unit"], "exclude each other"),
        (["--factors", "als"], "without --bundle"), (["--bundle", "b", "--dimension", "3"], "not made"),
        (["--bundle", "b", "--crossed"], "not made"), (["--shape", "cube"], "'cube' is not one of hubs, unit, noise"),
        (["--k", "0"], "--k: counts from 1"), (["--k", "1,x"], "--k: 'x' is not a count"),
        (["--eligible", "1.5"], "--eligible: shares"), (["--row-count", "1"], "--row-count: counts from 2"),
        (["--metric", "dot"], "'dot' is not one of inner_product, cosine, l2"),
        (["--recall-min", "2"], "--recall-min: a share"), (["--repeats", "0"], "--repeats is 0"),
        (["--dimension", "0"], "--dimension: counts from 1"), (["--threads", "0"], "--threads is 0"),
    ])
    func `Options that cannot be are refused with a sentence`(arguments: [String], words: String) {
        do {
            _ = try MartletBench.parseAsRoot(["planner"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(MartletBench.message(for: error).contains(words), "\(MartletBench.message(for: error))")
            #expect(MartletBench.exitCode(for: error) == .validationFailure)
        }
    }

    @Test func `The command writes its file whole, and nothing when the data are at fault`() throws {
        let folder = try TemporaryFolder()
        func run(_ arguments: [String]) throws {
            var command = try MartletBench.parseAsRoot(
                ["planner", "--k", "5", "--eligible", "1,.5", "--json", folder.file("cells.json")] + arguments)
            try command.run()
        }
        #expect(throws: ExitCode(1)) { try run(["--rows", "none.fbin", "--queries", "none.fbin"]) }
        #expect(try folder.entries().isEmpty)
        try run(["--row-count", "100", "--dimension", "4", "--shape", "hubs", "--metric", "cosine"])
        #expect(try folder.entries() == ["cells.json"])
    }
}
