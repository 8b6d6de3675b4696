import Artifacts
import Dispatch
import FactorModels
import Foundation
import Retrieval
import VectorMath

/// How long does it take to fold a user in, and is what comes out the exact solution?
package struct FoldInBench {
    package struct Configuration {
        /// Nil: made-up factors.
        package var bundle: String?
        package var items = 50_000
        package var rank = 64
        package var histories = [1, 10, 50, 200, 1000]
        package var repeats = 2000
        package var rowPrecision = RowPrecision.f32
        package var isWeighted = false
        /// Nil: the quicker one.
        package var form: RidgeSystem.Form?
        package var seed: UInt64 = 1

        package init() {}
    }

    /// What one length of history took.
    package struct Result: Codable, Sendable {
        package let history: Int
        package let form: String
        package let p50Microseconds: Double
        package let p99Microseconds: Double
        /// The same in processor time of the thread, which other programs disturb less.
        package let p99ProcessorMicroseconds: Double
        /// Least of some histories, against a Float64 solve.
        package let cosine: Double
    }

    package let foldIn: FoldIn
    package let gramMilliseconds: Double
    private let rows: RowMatrix
    private let configuration: Configuration

    package init(_ configuration: Configuration, threads: Int) throws {
        self.configuration = configuration
        let matrix: FactorMatrix
        let parameters: FoldInParameters
        if let path = configuration.bundle {
            let bundle = try Bundle(opening: path, verify: .sizes)
            let model = try FactorModel(bundle: bundle, kind: .als).withOwnItemFactors(threads: threads)
            matrix = model.itemFactors
            parameters = model.foldIn(manifest: bundle.manifest).parameters
        } else {
            matrix = FactorMatrix(rowCount: configuration.items, columnCount: configuration.rank) { row, values in
                var random = NormalDeviates(seed: configuration.seed, stream: UInt64(row))
                for n in values.indices { values[n] = 0.3 * random.next() / (1 + Float(n)).squareRoot() }
            }
            parameters = FoldInParameters(
                unobservedWeight: 0.02, regularization: 0.002, regularizationExponent: 1)
        }
        rows = RowMatrix(matrix, in: configuration.rowPrecision, threads: threads)
        let start = DispatchTime.now().uptimeNanoseconds
        foldIn = FoldIn(items: rows, parameters: parameters, threads: threads)
        gramMilliseconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6
    }

    /// What the report begins with.
    package var heading: String {
        let milliseconds = String(format: "%.1f", gramMilliseconds)
        return "\(foldIn.itemCount) items of rank \(foldIn.rank) (\(rows.precision.rawValue)), \(Kernels.isa); "
            + "Gram matrix and spectrum \(milliseconds) ms, \(foldIn.byteCount) bytes"
    }

    /// Histories and what they were folded in to.
    package struct Sample: Sendable {
        package var histories: [[UInt32]] = []
        package var weights: [[Float]] = []
        package var factors: [[Float]] = []
    }

    /// Folds histories of `count` items in, each another one: rows come from memory as they do in requests.
    package func run(_ count: Int, keeping sampleCount: Int = 8) throws -> (result: Result, sample: Sample) {
        var sample = Sample()
        let scratch = foldIn.makeScratch()
        var factor = [Float](repeating: 0, count: foldIn.rank)
        var times: [UInt64] = []
        var processorTimes: [UInt64] = []
        times.reserveCapacity(configuration.repeats)
        processorTimes.reserveCapacity(configuration.repeats)
        var random = NormalDeviates(seed: configuration.seed &+ 7, stream: UInt64(count))
        var least = 1.0
        for repeated in -max(5, configuration.repeats / 20)..<configuration.repeats {
            let history = (0..<count).map { _ -> UInt32 in
                // Popular items stand first.
                let place = abs(random.next()) / 4
                return min(UInt32(place * place * Float(foldIn.itemCount)), UInt32(foldIn.itemCount - 1))
            }
            let weights = history.map { _ in configuration.isWeighted ? abs(random.next()) + 0.1 : 1 }
            let processorStart = ThreadClock.nanoseconds()
            let start = DispatchTime.now().uptimeNanoseconds
            try factor.withUnsafeMutableBufferPointer { factor in
                try history.withUnsafeBufferPointer { history in
                    try weights.withUnsafeBufferPointer { weights in
                        _ = try foldIn.solve(
                            rows: history, weights: weights, into: factor, scratch: scratch, form: configuration.form)
                    }
                }
            }
            let end = DispatchTime.now().uptimeNanoseconds
            let processorEnd = ThreadClock.nanoseconds()
            if repeated >= 0 {
                times.append(end - start)
                processorTimes.append(processorEnd - processorStart)
            }
            if sample.histories.count < sampleCount {
                sample.histories.append(history)
                sample.weights.append(weights)
                sample.factors.append(factor)
                if count > 0 { least = min(least, Self.cosine(factor, exact(history, weights))) }
            }
        }
        times.sort()
        processorTimes.sort()
        func microseconds(_ times: [UInt64], _ part: Double) -> Double {
            Double(times[min(times.count - 1, Int(Double(times.count) * part))]) / 1000
        }
        let form = configuration.form ?? foldIn.form(for: count)
        let result = Result(
            history: count, form: "\(form)", p50Microseconds: microseconds(times, 0.5),
            p99Microseconds: microseconds(times, 0.99),
            p99ProcessorMicroseconds: microseconds(processorTimes, 0.99), cosine: least)
        return (result, sample)
    }

    private static func cosine(_ a: [Float], _ b: [Double]) -> Double {
        let dot = zip(a, b).reduce(0.0) { $0 + Double($1.0) * $1.1 }
        let squares = a.reduce(0.0) { $0 + Double($1) * Double($1) } * b.reduce(0.0) { $0 + $1 * $1 }
        return squares > 0 ? dot / squares.squareRoot() : 1
    }

    /// The system as it is written down, by Cholesky in Float64.
    private func exact(_ history: [UInt32], _ weights: [Float]) -> [Double] {
        let rank = foldIn.rank
        let parameters = foldIn.parameters
        let lambda = parameters.lambda(observed: weights.reduce(0.0) { $0 + Double($1) }, items: foldIn.itemCount)
        var matrix = gram.map { $0 * parameters.unobservedWeight }
        var right = [Double](repeating: 0, count: rank)
        var row = [Float](repeating: 0, count: rank)
        for (item, weight) in zip(history, weights) {
            row.withUnsafeMutableBufferPointer { rows.copy(item, into: $0) }
            for i in 0..<rank {
                let left = Double(weight) * Double(row[i])
                right[i] += left
                for j in 0..<rank { matrix[i * rank + j] += left * Double(row[j]) }
            }
        }
        for i in 0..<rank { matrix[i * rank + i] += lambda }
        return Self.solved(&matrix, right)
    }

    private var gram: [Double] { DenseAlgebra.gram(rows, threads: 1).values }

    private static func solved(_ a: inout [Double], _ right: [Double]) -> [Double] {
        let n = right.count
        var x = right
        for i in 0..<n {
            for j in 0..<i { a[i * n + i] -= a[i * n + j] * a[i * n + j] }
            a[i * n + i] = a[i * n + i].squareRoot()
            for r in (i + 1)..<max(n, i + 1) {
                for j in 0..<i { a[r * n + i] -= a[r * n + j] * a[i * n + j] }
                a[r * n + i] /= a[i * n + i]
            }
            for j in 0..<i { x[i] -= a[i * n + j] * x[j] }
            x[i] /= a[i * n + i]
        }
        for i in (0..<n).reversed() {
            for r in (i + 1)..<max(n, i + 1) { x[i] -= a[r * n + i] * x[r] }
            x[i] /= a[i * n + i]
        }
        return x
    }

    /// Writes items, histories and factors for another program to fold in, too.
    package func write(_ samples: [Sample], results: [Result], to folder: String) throws {
        var items = Data()
        var row = [Float](repeating: 0, count: foldIn.rank)
        for item in 0..<UInt32(foldIn.itemCount) {
            row.withUnsafeMutableBufferPointer { rows.copy(item, into: $0) }
            row.withUnsafeBytes { items.append(contentsOf: $0) }
        }
        try items.write(to: URL(fileURLWithPath: "\(folder)/items.f32"))
        let report: [String: Any] = [
            "rank": foldIn.rank, "items": foldIn.itemCount,
            "unobserved_weight": foldIn.parameters.unobservedWeight,
            "regularization": foldIn.parameters.regularization,
            "regularization_exponent": foldIn.parameters.regularizationExponent,
            "lengths": zip(results, samples).map { result, sample -> [String: Any] in
                [
                    "history": result.history, "p50_us": result.p50Microseconds, "p99_us": result.p99Microseconds,
                    "histories": sample.histories.map { $0.map(Int.init) },
                    "weights": sample.weights.map { $0.map(Double.init) },
                    "factors": sample.factors.map { $0.map(Double.init) },
                ]
            },
        ]
        try JSONSerialization.data(withJSONObject: report).write(to: URL(fileURLWithPath: "\(folder)/fold_in.json"))
    }
}
