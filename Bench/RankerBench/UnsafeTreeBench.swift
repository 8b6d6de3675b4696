import Artifacts
import Foundation
import RankingModels
import VectorMath

/// How many rows per second does an ensemble of trees score, on one thread?
package struct TreeBench {
    package struct Point: Sendable {
        package let batch: Int
        /// Median over the rounds.
        package let rowsPerSecond: Double
        package let microsecondsPerCall: Double
        /// Half the range of the rounds over their median.
        package let spread: Double

        package var text: String {
            let rate = Int(rowsPerSecond.rounded())
            let call = (microsecondsPerCall * 100).rounded() / 100
            let percent = (spread * 1000).rounded() / 10
            return "batch \(batch): \(rate) rows/s, \(call) us a call, ±\(percent) %"
        }
    }

    package let ensemble: TreeEnsemble
    private let rows: [Float]
    private var columns: Int { ensemble.featureCount }
    package var rowCount: Int { rows.count / columns }

    /// - Parameters:
    ///   - model: A text file is LightGBM's, one that begins with a brace XGBoost's.
    ///   - rows: Float32, little-endian, row-major, as many columns as the model has features; NaN where missing.
    package init(model: String, rows: String) throws {
        let start = try WholeFile.read(model, bytesMax: TreeLimits.fileBytesMax).first
        ensemble =
            start == UInt8(ascii: "{") ? try TreeEnsemble(xgboost: model) : try TreeEnsemble(lightGBM: model)
        let bytes = try WholeFile.read(rows, bytesMax: 4 << 30)
        guard !bytes.isEmpty, bytes.count % (4 * ensemble.featureCount) == 0 else {
            throw ArtifactError(
                .sizeMismatch, path: rows,
                "\(bytes.count) bytes are no rows of \(ensemble.featureCount) Float32 values, as the model wants")
        }
        self.rows = stride(from: 0, to: bytes.count, by: 4).map { at in
            Float(
                bitPattern: UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16
                    | UInt32(bytes[at + 3]) << 24)
        }
    }

    package var heading: String {
        "\(ensemble.library.rawValue) \(ensemble.objective): \(ensemble.treeCount) trees, \(ensemble.leafCount) leaves, "
            + "\(columns) features, \(ensemble.byteCount) bytes; \(rowCount) rows"
    }

    /// Scores all rows, `[rows, outputsPerRow]`, in batches.
    package func predictions(batch: Int) -> [Double] {
        scores(batch: batch, outputs: ensemble.outputsPerRow, raw: false)
    }

    package func rawScores(batch: Int) -> [Double] {
        scores(batch: batch, outputs: ensemble.rawOutputsPerRow, raw: true)
    }

    private func scores(batch: Int, outputs: Int, raw: Bool) -> [Double] {
        var result: [Double] = []
        result.reserveCapacity(rowCount * outputs)
        for first in stride(from: 0, to: rowCount, by: batch) {
            let end = min(first + batch, rowCount)
            let part = Array(rows[first * columns..<end * columns])
            var scores = [Double](repeating: 0, count: (end - first) * outputs)
            if raw {
                ensemble.rawScores(rows: part, columns: columns, into: &scores)
            } else {
                ensemble.predict(rows: part, columns: columns, into: &scores)
            }
            result += scores
        }
        return result
    }

    /// Times calls of `batch` rows at changing places.
    ///
    /// - Parameters:
    ///   - rounds: Medians are taken over them.
    ///   - seconds: Of each round.
    ///   - form: Forces a way through the trees, which then gives scores before the transform; nil as in service.
    package func measure(batch: Int, rounds: Int, seconds: Double, form: TreeForm? = nil) -> Point {
        let batch = min(batch, rowCount)
        var predictions = [Float](repeating: 0, count: batch * ensemble.outputsPerRow)
        var scores = [Double](repeating: 0, count: batch * ensemble.rawOutputsPerRow)
        let places = max(1, rowCount - batch)
        var place = 0
        var times: [Double] = []
        rows.withUnsafeBufferPointer { rows in
            predictions.withUnsafeMutableBufferPointer { predictions in
                scores.withUnsafeMutableBufferPointer { scores in
                    func calls(_ count: Int) -> Double {
                        let start = ContinuousClock.now
                        for _ in 0..<count {
                            let part = UnsafeBufferPointer(rebasing: rows[place * columns..<(place + batch) * columns])
                            if let form {
                                ensemble.rawScores(rows: part, columns: columns, form: form, into: scores)
                            } else {
                                ensemble.predict(rows: part, columns: columns, into: predictions)
                            }
                            place = (place + batch) % places
                        }
                        return (ContinuousClock.now - start) / .seconds(1)
                    }
                    var count = 1
                    while calls(count) < seconds / 4, count < 1 << 24 { count *= 2 }
                    for _ in 0..<rounds { times.append(calls(count) / Double(count)) }
                }
            }
        }
        times.sort()
        let median = times[times.count / 2]
        return Point(
            batch: batch, rowsPerSecond: Double(batch) / median, microsecondsPerCall: median * 1e6,
            spread: (times[times.count - 1] - times[0]) / 2 / median)
    }

    /// Writes values as little-endian Float64.
    package static func write(_ values: [Double], to path: String) throws {
        let bits = values.map(\.bitPattern.littleEndian)
        try bits.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: path)) }
    }
}
