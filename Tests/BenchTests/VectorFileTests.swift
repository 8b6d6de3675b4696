import Foundation
import IndexBench
import TestSupport
import Testing
import VectorMath

@Suite(.ownThreads) struct VectorFileTests {
    private static func word(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
    private static func floats(_ values: [Float]) -> [UInt8] { values.flatMap { word($0.bitPattern) } }

    private static func numpy(
        _ type: String, order: String = "False", shape: String = "(3, 2)", _ values: [UInt8]
    ) -> [UInt8] {
        let header = "{'descr': '\(type)', 'fortran_order': \(order), 'shape': \(shape), }"
        let text = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(text.utf8) + values
    }

    private static let values: [Float] = [1, 2, 3, 4, 5, 250]
    private static let bytes: [UInt8] = [1, 2, 3, 4, 5, 250]
    private static func whole(_ values: [UInt32]) -> [UInt8] { values.flatMap(word) }

    /// The rows (1, 2), (3, 4), (5, 250) in every format.
    private static let files: [String: [UInt8]] = [
        "a.fbin": word(3) + word(2) + floats(values),
        "a.u8bin": word(3) + word(2) + bytes,
        "a.fvecs": [0, 2, 4].flatMap { word(2) + floats(Array(values[$0..<$0 + 2])) },
        "a.bvecs": [0, 2, 4].flatMap { word(2) + bytes[$0..<$0 + 2] },
        "a.npy": numpy("<f4", floats(values)),
        "bytes.npy": numpy("|u1", bytes),
        "t10k-images-idx3-ubyte": [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2] + bytes,
        "a.idx3-ubyte": [0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1] + bytes,
        "a.idx": [0, 0, 0xd, 2, 0, 0, 0, 3, 0, 0, 0, 2] + values.flatMap { word($0.bitPattern).reversed() },
    ]

    /// The neighbours (0, 2), (1, 0), (2, 1).
    private static let neighbours: [String: [UInt8]] = [
        "a.ibin": word(3) + word(2) + whole([0, 2, 1, 0, 2, 1]),
        "a.ivecs": whole([2, 0, 2, 2, 1, 0, 2, 2, 1]),
        "a.npy": numpy("<i4", whole([0, 2, 1, 0, 2, 1])),
    ]

    @Test(arguments: files.keys.sorted())
    func `Every format gives the rows that were written`(name: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(#require(Self.files[name]), to: name)
        let matrix = try VectorFile.matrix(folder.file(name))
        #expect(matrix.rowCount == 3 && matrix.columnCount == 2)
        #expect((0..<3).flatMap { Array(matrix.row($0)) } == Self.values)
        #expect(try VectorFile.matrix(folder.file(name), rowsMax: 2).rowCount == 2)
    }

    @Test(arguments: neighbours.keys.sorted())
    func `Every format gives the neighbours that were written`(name: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(#require(Self.neighbours[name]), to: name)
        let path = folder.file(name)
        #expect(try VectorFile.neighbours(path, queries: 3, wanted: 2, rowCount: 3) == [[0, 2], [1, 0], [2, 1]])
        #expect(try VectorFile.neighbours(path, queries: 2, wanted: 1, rowCount: 3) == [[0], [1]])
        for (queries, wanted, rows, words) in [
            (4, 2, 3, "has the neighbours of 3 queries; 4 are asked"), (3, 3, 3, "has 2 neighbours of each query"),
            (3, 2, 2, "query 0 has row 2 among its neighbours; there are rows 0 to 1"),
        ] {
            let error = #expect(throws: IndexBenchError.self) {
                try VectorFile.neighbours(path, queries: queries, wanted: wanted, rowCount: rows)
            }
            #expect(error?.message.contains(words) == true && error?.message.hasPrefix(path) == true)
        }
    }

    @Test(arguments: [
        ("a.fbin", word(3) + word(2) + floats([1, 2]), "its header says 3 x 2 values of 4 bytes, and 8 bytes follow"),
        ("a.fbin", word(.max) + word(.max) + floats([1]), "is cut off or something else"),
        ("a.fbin", word(0) + word(2), "holds nothing"),
        ("a.fbin", [1, 2, 3], "3 bytes are fewer than its header takes"),
        ("a.fbin", word(1) + word(2) + floats([1, .nan]), "row 0 holds a NaN or an infinity"),
        ("a.fbin", word(2) + word(1) + floats([1, -.infinity]), "row 1 holds a NaN or an infinity"),
        ("a.fbin", word(1) + word(1) + floats([1e30]), "row 0 holds 1e+30"),
        ("a.fbin", word(1) + word(8193) + floats(.init(repeating: 1, count: 8193)), "rows of 8193 columns"),
        ("a.fvecs", word(2) + floats([1, 2]) + word(1) + floats([1, 2]), "row 1 says 1 columns, row 0 says 2"),
        ("a.bvecs", word(2) + [1, 2, 3], "no whole number of rows"), ("a.fvecs", word(0), "has no columns"),
        ("a.npy", Array("NUMPY, or not".utf8), "does not begin as .npy files do"),
        ("a.npy", numpy("<f8", floats(values + values)), "values of type <f8; save them as <f4"),
        ("a.npy", numpy("<f4", order: "True", floats(values)), "column order"),
        ("a.npy", numpy("<f4", shape: "(6,)", floats(values)), "has 1 dimensions"),
        ("a.npy", numpy("<f4", shape: "(3, -2)", floats(values)), "names no type, order and shape"),
        ("idx1-ubyte", [1, 0, 8, 1, 0, 0, 0, 1, 7], "does not begin as IDX files do"),
        ("idx1-ubyte", [0, 0, 9, 1, 0, 0, 0, 1, 7], "IDX type 9"),
        ("idx3-ubyte", [0, 0, 8, 3] + [UInt8](repeating: 255, count: 12), "beyond any file"),
        ("idx3-ubyte", [0x1f, 0x8b, 8, 0], "is compressed; unpack it first"), ("a.fbin.gz", [0], "is compressed"),
        ("a.ibin", word(1) + word(1) + word(1), "holds whole numbers"),
        ("a.csv", [1], "tells none of the formats"), ("a.fbin", [], "is empty"),
    ])
    func `A file at fault is named with the fault`(name: String, content: [UInt8], words: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(content, to: name)
        let error = #expect(throws: IndexBenchError.self) { try VectorFile.matrix(folder.file(name)) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(error?.message.hasPrefix(folder.file(name)) == true)
    }

    @Test func `What is no file of vectors at all is named, too`() throws {
        let folder = try TemporaryFolder()
        let neighbours = Data(Self.neighbours["a.ibin"] ?? [])
        #expect(throws: IndexBenchError("\(folder.path) is a folder")) { try VectorFile.matrix(folder.path) }
        #expect(throws: IndexBenchError("\(folder.file("no.fbin")): there is no such file")) {
            try VectorFile.matrix(folder.file("no.fbin"))
        }
        var twice = neighbours
        twice[12] = 0
        let error = #expect(throws: IndexBenchError.self) {
            try VectorFile.neighbours(in: twice, named: "t.ibin", queries: 3, wanted: 2, rowCount: 3)
        }
        #expect(error?.message == "t.ibin: query 0 has a row twice among its neighbours")
        #expect(throws: IndexBenchError.self) {
            try VectorFile.neighbours(
                in: Data(Self.files["a.fbin"] ?? []), named: "t.fbin", queries: 3, wanted: 2, rowCount: 3)
        }
    }

    @Test func `Files that are cut off or changed are read or refused, and never more than they hold`() throws {
        let seed: UInt64 = 20_261_121
        var random = SeededGenerator(seed: seed)
        func feed(_ bytes: [UInt8], _ name: String, areNeighbours: Bool) {
            let data = Data(bytes)
            do {
                if areNeighbours {
                    let rows = try VectorFile.neighbours(in: data, named: name, queries: 3, wanted: 2, rowCount: 3)
                    #expect(rows.count == 3 && rows.allSatisfy { $0.count == 2 && $0.allSatisfy { $0 < 3 } })
                } else {
                    let matrix = try VectorFile.matrix(in: data, named: name)
                    #expect(matrix.rowCount * matrix.columnCount <= bytes.count && matrix.rowCount > 0)
                    #expect(matrix.isFinite, "\(name) of seed \(seed)")
                }
            } catch { #expect(error.message.hasPrefix(name), "\(error)") }
        }
        for (files, areNeighbours) in [(Self.files, false), (Self.neighbours, true)] {
            for (name, content) in files.sorted(by: { $0.key < $1.key }) {
                for end in 0..<content.count {
                    feed(Array(content[..<end]), name, areNeighbours: areNeighbours)
                }
                for _ in 0..<2000 { feed(random.mutated(content), name, areNeighbours: areNeighbours) }
            }
        }
    }
}
