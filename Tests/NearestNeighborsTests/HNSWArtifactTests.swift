import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

@Suite(.ownThreads) struct HNSWArtifactTests {
    static let dimension = 9

    func sample(rows: Int, metric: SimilarityMetric = .innerProduct) throws -> (FactorMatrix, HNSWIndex) {
        var random = SeededGenerator(seed: 21)
        let matrix = random.matrix(rows: rows, dimension: Self.dimension)
        let link: SimilarityMetric? = metric == .innerProduct ? .cosine : nil
        let parameters = HNSWParameters(m: 4, efConstruction: 40, seed: 3, linkMetric: link)
        return (matrix, try HNSWIndex.build(matrix, metric: metric, parameters))
    }

    @Test("a graph comes back from a bundle as it was and answers alike", arguments: [0, 1, 2, 500])
    func roundTrip(rows: Int) throws {
        let folder = try TemporaryFolder()
        for metric in SimilarityMetric.allCases {
            let (matrix, index) = try sample(rows: rows, metric: metric)
            let path = folder.file("bundle-\(metric.rawValue)")
            let writer = try BundleWriter(destination: path, replace: false)
            try index.write(to: writer, name: "als.hnsw")
            _ = try writer.publish(
                ManifestContent(name: "graph", version: "1", counts: .init(users: 0, items: rows, interactions: 0)))
            let bundle = try Bundle(opening: path, verify: .full)
            for copyLinks in [false, true] {
                let loaded = try HNSWIndex(bundle: bundle, name: "als.hnsw", vectors: matrix, copyLinks: copyLinks)
                #expect(loaded.links == index.links)
                #expect(loaded.parameters == index.parameters && loaded.metric == metric)
                var random = SeededGenerator(seed: 22)
                for _ in 0..<20 {
                    let query = random.vector(Self.dimension)
                    let expected = try index.search(query, k: 7, efSearch: 30)
                    #expect(try loaded.search(query, k: 7, efSearch: 30) == expected)
                }
            }
        }
    }

    @Test("a graph over other vectors is refused")
    func foreignVectors() throws {
        let folder = try TemporaryFolder()
        let (matrix, index) = try sample(rows: 50)
        try index.write(path: folder.file("graph"))
        let file = try TensorFile(path: folder.file("graph"))
        #expect(throws: Never.self) { try HNSWIndex(file: file, vectors: matrix) }
        for (rows, dimension) in [(49, Self.dimension), (51, Self.dimension), (50, Self.dimension + 1)] {
            let other = FactorMatrix(rowCount: rows, columnCount: dimension) { _, _ in }
            #expect(throws: ArtifactError.self) { try HNSWIndex(file: file, vectors: other) }
        }
        let bad = FactorMatrix(rowCount: 50, columnCount: Self.dimension) { _, row in row[0] = .nan }
        #expect(throws: ArtifactError.self) { try HNSWIndex(file: file, vectors: bad) }
    }

    @Test("links, maps and entries out of range are refused by name")
    func outOfRange() throws {
        let folder = try TemporaryFolder()
        let (matrix, index) = try sample(rows: 60)
        try index.write(path: folder.file("good"))
        let good = try folder.read("good")
        let file = try TensorFile(path: folder.file("good"))
        #expect(index.graph.layers.count >= 2)
        var number = 0
        for name in file.names {
            let tensor = try file.tensor(name, .u32, shape: name.hasSuffix("links") ? [nil, nil] : [nil])
            let words = Array(tensor.elements(as: UInt32.self))
            // The tensor's first bytes, found by content.
            let start = try #require(Self.place(of: words, in: good))
            let broken: [UInt32] = [60, 1 << 31, .max - 1]
            for bad in broken {
                var bytes = good
                Swift.withUnsafeBytes(of: bad.littleEndian) { bytes.replaceSubrange(start..<start + 4, with: $0) }
                number += 1
                try folder.write(bytes, to: "bad\(number)")
                let broken = try TensorFile(path: folder.file("bad\(number)"))
                let error = #expect(throws: ArtifactError.self) { try HNSWIndex(file: broken, vectors: matrix) }
                #expect(error?.code == .invalidContent && error?.path.hasSuffix("bad\(number)") == true)
            }
        }
        var bytes = good
        let entry = try #require(Self.place(of: Array("\"entry\":\"0\"".utf8), in: good))
        bytes[entry + 9] = UInt8(ascii: "9")
        try folder.write(bytes, to: "entry")
        let broken = try TensorFile(path: folder.file("entry"))
        let error = #expect(throws: ArtifactError.self) { try HNSWIndex(file: broken, vectors: matrix) }
        #expect(error?.fault.contains("entry") == true)
    }

    private static func place(of elements: [some BitwiseCopyable], in bytes: [UInt8]) -> Int? {
        let wanted = elements.withUnsafeBytes { Array($0) }
        return (0...bytes.count - wanted.count).first { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }

    @Test("mutated and truncated files are refused or searched, never a crash", arguments: 0..<8)
    func mutations(seed: Int) throws {
        let folder = try TemporaryFolder()
        let (matrix, index) = try sample(rows: 120, metric: SimilarityMetric.allCases[seed % 3])
        try index.write(path: folder.file("good"))
        let good = try folder.read("good")
        var random = SeededGenerator(seed: UInt64(seed) + 40)
        var opened = 0
        for turn in 0..<120 {
            var bytes: [UInt8]
            if turn % 6 == 0 {
                bytes = Array(good.prefix(Int.random(in: 0..<good.count, using: &random)))
            } else if turn % 2 == 0 {
                // Other nodes instead of some: mostly a graph that opens.
                bytes = good
                for _ in 0..<3 {
                    let place = Int.random(in: 512..<good.count / 4, using: &random) * 4
                    bytes.replaceSubrange(
                        place..<place + 4, with: [UInt8.random(in: 0..<125, using: &random), 0, 0, 0])
                }
            } else {
                bytes = random.mutated(good)
            }
            try folder.write(bytes, to: "mutated")
            guard let file = try? TensorFile(path: folder.file("mutated")),
                let loaded = try? HNSWIndex(file: file, vectors: matrix)
            else { continue }
            opened += 1
            for _ in 0..<3 {
                let found = try loaded.search(random.vector(Self.dimension), k: 10, efSearch: 20)
                #expect(found.count == 10 && Set(found.map(\.row)).count == 10)
            }
        }
        // Some mutations are links to other nodes: they open, and are walked.
        #expect(opened > 0)
    }
}
