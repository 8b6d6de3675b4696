import TestSupport
import Testing

@testable import Artifacts
@testable import RankerBench
@testable import martlet_bench

/// The measurement of trees, tiny.
@Suite(.ownThreads) struct TreeBenchTests {
    private static let model =
        Repository.root + "/Tests/RankingModelsTests/Resources/trees/lightgbm_binary_categories.txt"

    private func rows(_ values: [Float]) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(value.bitPattern >> UInt32(8 * $0) & 255) } }
    }

    @Test func `a model and rows are measured`() throws {
        let folder = try TemporaryFolder()
        try folder.write(rows((0..<60).map { Float($0 % 7) }), to: "rows")
        let bench = try TreeBench(model: Self.model, rows: folder.file("rows"))
        #expect(bench.rowCount == 10)
        #expect(bench.heading.contains("3 trees, 21 leaves, 6 features"))
        #expect(bench.predictions(batch: 3) == bench.predictions(batch: 10))
        #expect(bench.rawScores(batch: 1) == bench.rawScores(batch: 10))
        for batch in [1, 4, 100] {
            let point = bench.measure(batch: batch, rounds: 3, seconds: 0.001)
            #expect(point.batch == min(batch, 10) && point.rowsPerSecond > 0)
        }
    }

    @Test func `rows that do not fit the model are refused by name`() throws {
        let folder = try TemporaryFolder()
        try folder.write([UInt8](repeating: 0, count: 25), to: "rows")
        let error = try #require(throws: ArtifactError.self) {
            try TreeBench(model: Self.model, rows: folder.file("rows"))
        }
        #expect(error.description.contains("rows: 25 bytes are no rows of 6 Float32 values"))
    }

    @Test func `batches are counts`() {
        #expect(throws: (any Error).self) { try TreesCommand.parse(["--model", "m", "--rows", "r", "--batch", "0"]) }
        #expect(throws: Never.self) { try TreesCommand.parse(["--model", "m", "--rows", "r", "--batch", "1,64"]) }
    }
}
