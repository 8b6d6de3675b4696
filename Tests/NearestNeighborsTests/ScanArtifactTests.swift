import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

@Suite(.ownThreads) struct ScanArtifactTests {
    @Test("an index comes back from a bundle and gives the exact answers", arguments: SimilarityMetric.allCases)
    func roundTrip(metric: SimilarityMetric) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 8)
        for (rows, dimension) in [(0, 4), (1, 1), (17, 20), (400, 36), (700, 64), (300, 90), (150, 300)] {
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let path = folder.file("\(rows)")
            let writer = try BundleWriter(destination: path)
            let made = try ScanIndex(matrix, metric: metric)
            try made.write(to: writer, name: "als.scan")
            _ = try writer.publish(
                ManifestContent(name: "scan", version: "1", counts: .init(users: 0, items: rows, interactions: 0)))
            let index = try #require(
                try ScanIndex(
                    bundle: Bundle(opening: path), name: "als.scan", vectors: matrix, metric: metric, threads: 2))
            #expect(index.byteCount == made.byteCount)
            let exact = try ExactIndex(matrix, metric: metric)
            for k in [1, 9, 200] {
                let query = random.vector(dimension)
                let found = try index.search(query, k: k)
                #expect(found == (try exact.search(query, k: k)), "\(rows) x \(dimension), k \(k)")
                let predicate = RowPredicate(rowCount: rows) { $0 % 3 == 0 }
                #expect(
                    try index.search(query, k: k, where: predicate) == exact.search(query, k: k, where: predicate))
            }
        }
    }

    @Test("an index of other vectors is refused, one of another version is not taken")
    func foreign() throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 9)
        let matrix = random.matrix(rows: 200, dimension: 64)
        try ScanIndex(matrix, metric: .innerProduct).write(path: folder.file("scan"))
        let file = try TensorFile(path: folder.file("scan"))
        func open(_ vectors: FactorMatrix, _ metric: SimilarityMetric = .innerProduct) throws -> ScanIndex? {
            try ScanIndex(file: file, vectors: vectors, metric: metric, threads: 1)
        }
        #expect(try open(matrix) != nil)
        #expect(throws: ArtifactError.self) { try open(matrix, .cosine) }
        #expect(throws: ArtifactError.self) { try open(random.matrix(rows: 199, dimension: 64)) }
        #expect(throws: ArtifactError.self) { try open(random.matrix(rows: 200, dimension: 65)) }
        let others = random.matrix(rows: 200, dimension: 64)
        let error = #expect(throws: ArtifactError.self) { try open(others) }
        #expect(error?.fault.contains("not those of its vector") == true)
        let bad = FactorMatrix(rowCount: 200, columnCount: 64) { _, row in row[3] = .infinity }
        #expect(throws: ArtifactError.self) { try open(bad) }

        let bytes = try folder.read("scan")
        let version = Array("\"version\":\"1\"".utf8)
        let place = try #require((0..<bytes.count).first { bytes[$0...].starts(with: version) })
        var newer = bytes
        newer[place + version.count - 2] = UInt8(ascii: "9")
        try folder.write(newer, to: "newer")
        #expect(
            try ScanIndex(
                file: TensorFile(path: folder.file("newer")), vectors: matrix, metric: .innerProduct, threads: 1) == nil
        )
    }

    @Test("mutated and truncated files are refused or searched, never a crash", arguments: 0..<6)
    func mutations(seed: Int) throws {
        let folder = try TemporaryFolder()
        let metric = SimilarityMetric.allCases[seed % 3]
        var random = SeededGenerator(seed: UInt64(seed) + 70)
        let matrix = random.matrix(rows: 150, dimension: seed < 3 ? 40 : 270)
        try ScanIndex(matrix, metric: metric).write(path: folder.file("good"))
        let good = try folder.read("good")
        var opened = 0
        for turn in 0..<120 {
            var bytes = random.mutated(good)
            if turn % 6 == 0 { bytes = Array(good.prefix(Int.random(in: 0..<good.count, using: &random))) }
            try folder.write(bytes, to: "bad")
            defer { try? folder.remove("bad") }
            guard let file = try? TensorFile(path: folder.file("bad")),
                let index = try? ScanIndex(file: file, vectors: matrix, metric: metric, threads: 1)
            else { continue }
            opened += 1
            for k in [1, 30, 500] {
                let found = try index.search(random.vector(matrix.columnCount), k: k)
                #expect(found.allSatisfy { $0.row < 150 } && Set(found.map(\.row)).count == found.count)
            }
        }
        #expect(opened > 0)
    }
}
