import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import FactorModels

@Suite(.ownThreads) struct FactorArtifactTests {
    private let folder: TemporaryFolder
    private let data = SparseMatrix.random(users: 60, items: 50, perUser: 6, seed: 31)

    init() throws { folder = try TemporaryFolder(inMemory: true) }

    /// Writes what `body` writes and opens it without checksums, as damage inside a file is the subject here.
    private func bundle(_ name: String, _ body: (BundleWriter) throws -> Void) throws -> Bundle {
        let writer = try BundleWriter(destination: folder.file(name))
        try body(writer)
        _ = try writer.publish(
            ManifestContent(name: "m", version: "1", counts: .init(users: 60, items: 50, interactions: 1)))
        return try Bundle(opening: folder.file(name), verify: .sizes)
    }

    @Test(arguments: FactorKind.allCases)
    func `factors come back as they were written`(kind: FactorKind) throws {
        let model: FactorModel
        if kind == .als {
            var configuration = ALSConfiguration()
            configuration.rank = 21
            model = try ALS.fit(data, configuration, threads: 1)
        } else {
            model = try Spectral.fit(data, SpectralConfiguration(), threads: 1)
        }
        let read = try FactorModel(bundle: bundle("factors") { try model.write(to: $0) }, kind: kind)
        #expect(read.rank == model.rank && read.userCount == 60 && read.itemCount == 50)
        var (a, b) = ([Float](repeating: 0, count: model.rank), [Float](repeating: 1, count: model.rank))
        for user in 0..<UInt32(60) {
            a.withUnsafeMutableBufferPointer { model.userFactor(user, into: $0) }
            b.withUnsafeMutableBufferPointer { read.userFactor(user, into: $0) }
            #expect(a == b)
        }
        for item in 0..<50 { #expect(Array(model.itemFactors.row(item)) == Array(read.itemFactors.row(item))) }
        read.prefaultUsers(0..<60)
    }

    @Test func `neighbours come back as they were written`() throws {
        let model = try ItemNeighbors.fit(data, ItemNeighborsConfiguration(), threads: 1)
        let read = try ItemNeighbors(bundle: bundle("neighbours") { try model.write(to: $0) })
        #expect(read.itemCount == 50)
        for item in 0..<UInt32(50) {
            #expect(Array(model.neighbors(of: item).rows) == Array(read.neighbors(of: item).rows))
            #expect(Array(model.neighbors(of: item).weights) == Array(read.neighbors(of: item).weights))
        }
    }

    @Test(arguments: [
        ([0, 2, 3] as [UInt64], [1, 2, 0] as [UInt32], [2, 1, 1] as [Float]),  // row 2 of 2 items
        ([0, 2, 3], [1, 1, 0], [2, 1, 1]),  // a neighbour twice
        ([0, 1, 2], [0, 0], [1, 1]),  // its own neighbour
        ([0, 5, 2], [1, 0], [1, 1]),  // offsets past the end
        ([0, 2, 1], [1, 0], [1, 1]),  // offsets that fall
        ([1, 1, 2], [1, 0], [1, 1]),  // offsets that do not begin at 0
        ([0, .max, 2], [1, 0], [1, 1]),  // an offset no Int can hold
        ([0, 1, 2], [1, 0], [1, .nan]),  // no number
        ([0, 1, 2], [1, .max], [1, 1]),
        ([], [], []),
    ])
    func `damaged neighbours are refused`(offsets: [UInt64], rows: [UInt32], weights: [Float]) throws {
        let bundle = try bundle("damaged") { bundle in
            let writer = try bundle.file("item_to_item")
            writer.declare("offsets", .u64, shape: [offsets.count])
            writer.declare("rows", .u32, shape: [rows.count])
            writer.declare("weights", .f32, shape: [weights.count])
            try writer.append(offsets, to: "offsets")
            try writer.append(rows, to: "rows")
            try writer.append(weights, to: "weights")
            try writer.finish()
        }
        #expect(throws: ArtifactError.self) { try ItemNeighbors(bundle: bundle) }
    }

    @Test(arguments: [
        ("3", [1, 2, 3, 4] as [Float], [0, 0, 0] as [UInt16]),  // a rank past the row
        ("0", [1, 2], [0]),
        ("x", [1, 2], [0]),
        ("2", [1, .infinity], [0, 0]),
        ("2", [1, 2], [0, 0x7c00]),  // an infinite half
        ("2", [], []),
    ])
    func `damaged factors are refused`(rank: String, items: [Float], users: [UInt16]) throws {
        let bundle = try bundle("damaged") { bundle in
            let writer = try bundle.file("als", metadata: ["rank": rank])
            writer.declare("item_factors", .f32, shape: [items.count / 2, 2])
            let columns = Int(rank).map { max($0, 1) } ?? 1
            writer.declare("user_factors", .f16, shape: [users.count / columns, columns])
            try writer.append(items, to: "item_factors")
            try writer.append(users, to: "user_factors")
            try writer.finish()
        }
        #expect(throws: ArtifactError.self) { try FactorModel(bundle: bundle, kind: .als) }
    }

    @Test func `values past what a half can hold are clamped`() throws {
        let (users, items) = (DenseMatrix(rowCount: 1, columnCount: 2), DenseMatrix(rowCount: 1, columnCount: 2))
        users.row(0)[0] = 1e9
        users.row(0)[1] = -1e9
        let model = FactorModel(kind: .als, users: users, items: items)
        var factor: [Float] = [0, 0]
        factor.withUnsafeMutableBufferPointer { model.userFactor(0, into: $0) }
        #expect(factor == [65504, -65504])
    }
}
