import ArgumentParser
import Dispatch
import FactorModels
import Foundation
import VectorMath

// How long does an iteration of ALS take on this matrix? Run by compare_als.py beside the `implicit` library.

/// A matrix in a file: rows, columns and entries as three 64-bit numbers, then `rows + 1` 64-bit offsets, then 32-bit columns.
private func readMatrix(_ path: String) throws -> SparseMatrix {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    func number(_ place: Int) -> Int {
        bytes.withUnsafeBytes { Int(Int64(littleEndian: $0.loadUnaligned(fromByteOffset: place * 8, as: Int64.self))) }
    }
    guard bytes.count >= 24 else { throw ValidationError("\(path) is too short for a matrix") }
    let (rows, columns, entries) = (number(0), number(1), number(2))
    let start = (4 + rows) * 8
    guard rows >= 0, columns >= 0, entries >= 0, bytes.count == start + entries * 4 else {
        throw ValidationError("\(path) has \(bytes.count) bytes; \(rows) rows and \(entries) entries need another size")
    }
    let names = bytes.withUnsafeBytes { bytes in
        (0..<entries).map { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + $0 * 4, as: UInt32.self)) }
    }
    return SparseMatrix(
        rowCount: rows, columnCount: columns, offsets: (0...rows).map { number(3 + $0) }, columns: names,
        values: [Float](repeating: 1, count: entries))
}

struct FactorBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factor-bench", abstract: "Time ALS on a binary matrix and write what it finds.")

    @Option(help: "The matrix, as compare_als.py writes it.") var matrix: String
    @Option(help: "Folder for users.f32 and items.f32: rank floats a row.") var output: String?
    @Option var rank = 64
    @Option var iterations = 15
    @Option var threads = 2
    @Option var regularization: Float?
    @Option var unobservedWeight: Float?
    @Option var steps: Int?
    @Option(help: "cg or cholesky.") var solver = "cg"

    func run() throws {
        var configuration = ALSConfiguration()
        configuration.rank = rank
        configuration.iterations = iterations
        if let regularization { configuration.regularization = regularization }
        if let unobservedWeight { configuration.unobservedWeight = unobservedWeight }
        if let steps { configuration.steps = steps }
        guard let solver = ALSConfiguration.Solver(rawValue: solver) else {
            throw ValidationError("--solver is cg or cholesky")
        }
        configuration.solver = solver
        let data = try readMatrix(matrix)
        var seconds: [Double] = []
        let start = DispatchTime.now().uptimeNanoseconds
        var last = start
        var objective: Double?
        let model = try ALS.fit(
            data, configuration, threads: threads,
            progress: { progress in
                let now = DispatchTime.now().uptimeNanoseconds
                seconds.append(Double(now - last) / 1e9)
                last = now
                objective = progress.objective
            })
        let total = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        if let output { try write(model, to: output) }
        seconds.sort()
        let report: [String: Any] = [
            "seconds_per_iteration": seconds[seconds.count / 2], "seconds": total, "objective": objective ?? 0,
        ]
        print(String(decoding: try JSONSerialization.data(withJSONObject: report), as: UTF8.self))
    }

    private func write(_ model: FactorModel, to folder: String) throws {
        var (users, items) = (Data(), Data())
        var factor = [Float](repeating: 0, count: model.rank)
        for user in 0..<model.userCount {
            factor.withUnsafeMutableBufferPointer { model.userFactor(UInt32(user), into: $0) }
            factor.withUnsafeBytes { users.append(contentsOf: $0) }
        }
        for item in 0..<model.itemCount {
            items.append(contentsOf: UnsafeRawBufferPointer(model.itemFactors.row(item)))
        }
        try users.write(to: URL(fileURLWithPath: "\(folder)/users.f32"))
        try items.write(to: URL(fileURLWithPath: "\(folder)/items.f32"))
    }
}

FactorBench.main()
