import ArgumentParser
import FactorModels
import Foundation
import IndexBench
import TestSupport
import Testing
import VectorMath

import class Artifacts.BundleWriter
import struct Artifacts.ManifestContent

@testable import martlet_bench

@Suite(.ownThreads) struct IndexSweepTests {
    private func small(_ change: (inout IndexBenchConfiguration) -> Void = { _ in }) -> IndexBenchConfiguration {
        var configuration = IndexBenchConfiguration()
        configuration.source = .made(.hubs, dimension: 12)
        configuration.rowsMax = 400
        configuration.queriesMax = 30
        configuration.ks = [5, 20]
        configuration.efSearch = [5, 20, 400]
        configuration.repeats = 1
        change(&configuration)
        return configuration
    }

    @Test func `A sweep has a point for each setting, and exact ones find everything`() throws {
        let sweep = try IndexSweep(
            small {
                $0.together = 4
                $0.split = 2
                $0.eligible = [0.1, 1]
                $0.blocked = 100_000
                $0.confidences = [1, 0.3]
            })
        #expect(sweep.header.indexes.keys.sorted() == ["hnsw", "scan"])
        #expect(sweep.header.indexes.values.allSatisfy { $0.bytes > 0 && $0.seconds > 0 })
        var told = 0
        let report = try sweep.run { _ in told += 1 }
        #expect(told == report.points.count)
        for k in [5, 20] {
            let points = report.points.filter { $0.k == k }
            #expect(
                points.map(\.index).filter { $0 != "hnsw" } == [
                    "exact", "scan x4", "scan /2", "scan", "scan", "planned", "planned", "blocked", "seen",
                ])
            #expect(
                points.compactMap { $0.index == "hnsw" ? $0.efSearch : nil } == (k == 5 ? [5, 20, 400] : [20, 400]))
            for point in points where point.blocked != nil {
                // No more rows are blocked than there are.
                #expect(point.blocked == sweep.header.rows && point.added != nil && (point.mask ?? -1) >= 0)
            }
            for point in points where point.blocked == nil {
                #expect((0...1).contains(point.recall) && point.recallByNorm.count == 5)
                #expect(point.qps > 0 && point.cpuQPS > 0 && point.p99 >= point.p50)
                let isExact = ["exact", "scan x4", "scan /2"].contains(point.index) || point.confidence == 1
                if isExact || point.efSearch == 400 {
                    #expect(point.recall == 1 && point.recallByNorm.allSatisfy { ($0 ?? 1) == 1 }, "\(point)")
                }
                #expect(
                    (point.plan != nil) == (point.index == "planned") && (point.eligible != nil) == (point.plan != nil))
            }
        }
    }

    @Test func `What walks read makes a curve each, over one graph`() throws {
        let sweep = try IndexSweep(
            small {
                $0.kinds = [.hnsw]
                $0.graphRows = [.rows, .f16, .int8]
            })
        let header = sweep.header.indexes
        #expect(header.keys.sorted() == ["hnsw f16", "hnsw int8", "hnsw rows"])
        #expect(header.allSatisfy { $0.key == "hnsw \($0.value.walksBy ?? "")" })
        // A line of codes, and halves of a line, of each of 12 dimensions.
        let beside = header.mapValues(\.bytes)
        #expect((beside["hnsw int8"] ?? 0) - (beside["hnsw rows"] ?? 0) == 400 * 64)
        #expect((beside["hnsw f16"] ?? 0) - (beside["hnsw rows"] ?? 0) == 400 * 64)
        let points = try sweep.run().points
        #expect(
            points.filter { $0.k == 20 }.map(\.index) == [
                "hnsw rows", "hnsw f16", "hnsw int8", "hnsw rows", "hnsw f16", "hnsw int8",
            ])
        #expect(points.allSatisfy { $0.efSearch != 400 || $0.recall == 1 })
        #expect(throws: IndexBenchError.self) { try IndexSweep(small { $0.graphRows = [] }) }
        #expect(throws: IndexBenchError.self) { try IndexSweep(small { $0.graphRows = [.int8, .int8] }) }
    }

    @Test func `The JSON has every key at every point, and the plot a curve for each index`() throws {
        let report = try IndexSweep(small { $0.eligible = [0.1] }).run()
        let json = try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
        let header = try #require(json["header"] as? [String: Any])
        for key in ["rows", "dimension", "metric", "kernels"] { #expect(header[key] != nil, "\(key)") }
        let scan = try #require((header["indexes"] as? [String: [String: Any]])?["scan"])
        #expect(scan["seconds"] is Double && scan["bytes"] is Int)
        let points = try #require(json["points"] as? [[String: Any]])
        #expect(points.count == report.points.count)
        let keys = [
            "added", "blocked", "confidence", "cpuQPS", "efSearch", "eligible", "index", "k", "mask", "p50", "p99",
            "plan", "qps", "recall",
            "recallByNorm", "split", "together",
        ]
        #expect(points.allSatisfy { $0.keys.sorted() == keys && ($0["recallByNorm"] as? [Any])?.count == 5 })
        let svg = report.svg
        #expect(svg.components(separatedBy: "<polyline").count == 1 + 2 * 3)
        #expect(svg.contains(">hnsw<") && svg.contains(">scan<") && svg.contains(">exact<") && !svg.contains("planned"))
    }

    @Test func `Rows of one length are all in one fifth`() throws {
        let report = try IndexSweep(
            small {
                $0.source = .made(.unit, dimension: 8)
                $0.kinds = [.exact]
            }
        ).run()
        #expect(report.points.allSatisfy { $0.recall == 1 && $0.recallByNorm.compactMap { $0 }.allSatisfy { $0 == 1 } })
    }

    @Test func `Turns are answered one by one, and what is none is told`() throws {
        let sweep = try IndexSweep(small(), forTurns: true)
        #expect(try sweep.turn("exact 20").recall == 1)
        let point = try sweep.turn("hnsw 5 7")
        #expect(point.k == 5 && point.efSearch == 7)
        for line in [
            "", "hnsw", "hnsw 5", "hnsw 5 0", "exact 0", "exact 21", "scan 5", "exact x", "hnsw 5 7 9", "exact -3",
        ] {
            #expect(throws: IndexBenchError.self, "\(line)") { try sweep.turn(line) }
        }
    }

    @Test func `Files that do not fit together are refused`() throws {
        let folder = try TemporaryFolder()
        func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        func rows(_ count: Int, _ columns: Int, _ name: String) throws -> String {
            try folder.write(
                word(UInt32(count)) + word(UInt32(columns))
                    + (0..<count * columns).flatMap { word(Float($0 % 7 - 3).bitPattern) }, to: name)
            return folder.file(name)
        }
        let (eight, three) = (try rows(8, 3, "rows.fbin"), try rows(2, 3, "queries.fbin"))
        let four = try rows(2, 4, "wide.fbin")
        try folder.write(word(2) + word(2) + word(0) + word(9) + word(1) + word(2), to: "truth.ibin")
        func fault(_ queries: String, k: Int, truth: String? = nil) -> String? {
            let configuration = small {
                $0.source = .files(rows: eight, queries: queries)
                $0.ks = [k]
                $0.truth = truth
            }
            do { _ = try IndexSweep(configuration) } catch { return "\(error)" }
            return nil
        }
        #expect(fault(three, k: 2) == nil)
        #expect(fault(four, k: 2) == "rows.fbin: rows have 3 columns, queries 4")
        #expect(fault(three, k: 9) == "k is 9, and there are 8 rows (rows.fbin)")
        #expect(
            fault(three, k: 2, truth: folder.file("truth.ibin"))?.contains("has row 9 among its neighbours") == true)
        #expect(fault(three, k: 3, truth: folder.file("truth.ibin"))?.contains("k wants 3") == true)
    }

    @Test func `A bundle gives its item factors as rows and a sample of its user factors as queries`() throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 5)
        func dense(_ rows: Int) -> DenseMatrix {
            let matrix = DenseMatrix(rowCount: rows, columnCount: 6)
            for row in 0..<rows {
                for i in 0..<6 { matrix.base[row * matrix.stride + i] = Float.random(in: -1...1, using: &random) }
            }
            return matrix
        }
        let model = FactorModel(kind: .spectral, users: dense(50), items: dense(120))
        let writer = try BundleWriter(destination: folder.file("model"))
        try model.write(to: writer)
        _ = try writer.publish(
            ManifestContent(name: "m", version: "1", counts: .init(users: 50, items: 120, interactions: 1)))
        func sweep(_ factors: FactorKind?) throws -> IndexSweep {
            try IndexSweep(small { $0.source = .bundle(folder.file("model"), factors: factors) })
        }
        let header = try sweep(nil).header
        #expect(header.rows == 120 && header.dimension == 6 && header.queries == 30)
        let report = try sweep(.spectral).run()
        #expect(report.points.filter { $0.index == "scan" }.allSatisfy { $0.recall == 1 })
        let error = #expect(throws: IndexBenchError.self) { try sweep(.als) }
        #expect(error?.message.hasSuffix("has no als factors; it has spectral") == true)
    }

    @Test(arguments: [
        (["--rows", "a.fbin"], "--rows needs --queries"), (["--queries", "a.fbin"], "--queries needs --rows"),
        (["--bundle", "b", "--shape", "unit"], "exclude each other"), (["--factors", "als"], "without --bundle"),
        (["--rows", "a.fbin", "--queries", "a.fbin", "--dimension", "3"], "not made"),
        (["--k", "0"], "--k: counts from 1"), (["--k", "10,x"], "--k: 'x' is not a count"),
        (["--k", "600"], "--ef has no value of 600 or more"), (["--ef", "1,,2"], "--ef: '' is not a count"),
        (["--indexes", "ivf"], "'ivf' is not one of exact, scan, hnsw"), (["--confidence", "1.5"], "at most 1"),
        (["--eligible", "0"], "--eligible: shares"), (["--eligible", "nan"], "--eligible: shares"),
        (["--blocked", "0"], "--blocked is 0"),
        (["--indexes", "hnsw", "--blocked", "8"], "--blocked has no effect"),
        (["--indexes", "hnsw", "--together", "8"], "--together has no effect"),
        (["--indexes", "hnsw", "--split", "2"], "--split has no effect"), (["--split", "0"], "--split is 0"),
        (["--indexes", "scan", "--m", "8"], "--m has no effect without hnsw"),
        (["--indexes", "exact,scan", "--ef", "100"], "--ef has no effect without hnsw"),
        (["--indexes", "scan", "--seed", "1"], "--seed has no effect without hnsw"),
        (["--indexes", "hnsw", "--confidence", "0.9"], "--confidence has no effect without scan"),
        (["--recall-min", "0.9"], "--recall-min has no effect without --eligible or --blocked"),
        (["--indexes", "exact", "--rows-in", "f16"], "--rows-in has no effect without scan or hnsw"),
        (["--threads", "0"], "--threads is 0"),
        (["--repeats", "-1"], "--repeats is -1"), (["--m", "1"], "m is 1; it is 2 to 128"),
        (["--dimension", "9000"], "--dimension is 9000"), (["--row-count", "0"], "--row-count is 0"),
        (["--turns", "--json", "x"], "--turns writes no --json"),
    ])
    func `Options that cannot be are refused with a sentence`(arguments: [String], words: String) {
        do {
            _ = try MartletBench.parseAsRoot(["index"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(MartletBench.message(for: error).contains(words), "\(MartletBench.message(for: error))")
            #expect(MartletBench.exitCode(for: error) == .validationFailure)
        }
    }

    @Test func `The command writes both files whole, and nothing when the data are at fault`() throws {
        let folder = try TemporaryFolder()
        let common = ["--query-count", "10", "--ef", "20", "--repeats", "1", "--indexes", "scan,hnsw"]
        let outputs = ["--json", folder.file("points.json"), "--plot", folder.file("curves.svg")]
        func run(_ arguments: [String]) throws {
            var command = try MartletBench.parseAsRoot(["index"] + arguments + common + outputs)
            try command.run()
        }
        #expect(throws: ExitCode(1)) { try run(["--row-count", "15", "--k", "20", "--dimension", "4"]) }
        #expect(throws: ExitCode(1)) { try run(["--rows", "none.fbin", "--queries", "none.fbin", "--k", "5"]) }
        #expect(try folder.entries().isEmpty)
        try run(["--row-count", "100", "--k", "5", "--dimension", "4"])
        #expect(try folder.entries() == ["curves.svg", "points.json"])
        let json = try JSONSerialization.jsonObject(with: Data(try folder.read("points.json"))) as? [String: Any]
        #expect((json?["points"] as? [Any])?.count == 2)
        #expect(throws: (any Error).self) {
            var command = try MartletBench.parseAsRoot(["index", "--json", folder.file("none/x.json")])
            try command.run()
        }
    }
}
