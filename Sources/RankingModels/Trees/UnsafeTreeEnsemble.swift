import Artifacts
import VectorMath

/// An ensemble of decision trees that LightGBM or XGBoost trained, ready to score rows.
///
/// Immutable; any number of threads may ask it at once. It allocates scratch for each call and keeps none.
/// See docs/ranking-trees.md for the files it reads and what it refuses.
package struct TreeEnsemble: Sendable {
    /// Whose file it was.
    package enum Library: String, Sendable, CaseIterable {
        case lightGBM = "LightGBM"
        case xgboost = "XGBoost"
    }

    package let library: Library
    /// As the file names it: `binary`, `rank:ndcg` ...; `custom` where it names none.
    package let objective: String
    /// One for each feature of a row, in its order.
    package let featureNames: [String]
    /// Outputs of `predict` for a row: 1, or the classes or targets.
    package let outputsPerRow: Int
    /// Outputs of `rawScores` for a row; they differ for `multi:softmax`, which predicts a class.
    package let rawOutputsPerRow: Int
    package let treeCount: Int
    package let leafCount: Int
    private let tables: TreeTables
    let transform: ScoreTransform
    private let divisor: Double

    package var featureCount: Int { featureNames.count }
    /// Bytes of memory that the trees take.
    package var byteCount: Int { tables.byteCount }

    /// Reads a text file as `Booster.save_model` of LightGBM writes it.
    ///
    /// - Throws: `ArtifactError` with the file, the tree and the field, for a file that is not sound, goes beyond
    ///   `TreeLimits`, or asks for something that is not evaluated here.
    package init(lightGBM path: String) throws(ArtifactError) {
        let bytes = try WholeFile.read(path, bytesMax: TreeLimits.fileBytesMax)
        self.init(try LightGBMFile(bytes, path: path).model(), from: .lightGBM)
    }

    /// Reads a JSON or UBJSON file as `Booster.save_model` of XGBoost (1.2 or later) writes it.
    ///
    /// - Throws: As `init(lightGBM:)`.
    package init(xgboost path: String) throws(ArtifactError) {
        let bytes = try WholeFile.read(path, bytesMax: TreeLimits.fileBytesMax)
        self.init(try XGBoostFile(bytes, path: path).model(), from: .xgboost)
    }

    init(_ model: TreeModel, from library: Library) {
        guard let own = Self(model, from: library, isa: nil) else {
            preconditionFailure("the instruction set in use is not there")
        }
        self = own
    }

    /// - Parameter isa: See `TreeTables`.
    init?(_ model: TreeModel, from library: Library, isa: String?) {
        guard let tables = TreeTables(TreeLayout.parts(model), isa: isa) else { return nil }
        self.tables = tables
        self.library = library
        objective = model.objective
        featureNames = model.featureNames
        rawOutputsPerRow = model.outputCount
        outputsPerRow = model.transform.outputCount(model.outputCount)
        treeCount = model.trees.count
        leafCount = model.trees.reduce(0) { $0 + $1.leaves.count }
        transform = model.transform
        divisor = model.divisor
    }

    /// The predictions of the library for some rows: probabilities, rates, or scores to rank by.
    ///
    /// - Parameters:
    ///   - rows: Row-major, `[rows, columns]`; NaN where a value is missing.
    ///   - columns: `featureCount`.
    ///   - predictions: `[rows, outputsPerRow]`.
    /// - Complexity: See docs/ranking-trees.md; a call of one row takes another way than a call of many.
    package func predict(
        rows: UnsafeBufferPointer<Float>, columns: Int, into predictions: UnsafeMutableBufferPointer<Float>
    ) {
        evaluate(rows, columns, outputs: outputsPerRow, room: predictions.count, form: nil) { sums, count in
            for row in 0..<count {
                transform.apply(
                    count: rawOutputsPerRow, sum: { sums[row * rawOutputsPerRow + $0] / divisor },
                    store: { predictions[row * outputsPerRow + $0] = Float($1) })
            }
        }
    }

    /// The same in double precision.
    package func predict(
        rows: UnsafeBufferPointer<Float>, columns: Int, into predictions: UnsafeMutableBufferPointer<Double>
    ) {
        evaluate(rows, columns, outputs: outputsPerRow, room: predictions.count, form: nil) { sums, count in
            for row in 0..<count {
                transform.apply(
                    count: rawOutputsPerRow, sum: { sums[row * rawOutputsPerRow + $0] / divisor },
                    store: { predictions[row * outputsPerRow + $0] = $1 })
            }
        }
    }

    /// The sums of leaves before the objective's transform (and before a random forest's average, as LightGBM has it),
    /// `[rows, rawOutputsPerRow]`.
    ///
    /// - Parameter form: For tests and comparisons; all give the same, bit for bit.
    package func rawScores(
        rows: UnsafeBufferPointer<Float>, columns: Int, form: TreeForm? = nil,
        into scores: UnsafeMutableBufferPointer<Double>
    ) {
        evaluate(rows, columns, outputs: rawOutputsPerRow, room: scores.count, form: form) { sums, count in
            for i in 0..<count * rawOutputsPerRow { scores[i] = sums[i] }
        }
    }

    /// `predict` for arrays.
    package func predict(rows: [Float], columns: Int, into predictions: inout [Float]) {
        rows.withUnsafeBufferPointer { rows in
            predictions.withUnsafeMutableBufferPointer { predict(rows: rows, columns: columns, into: $0) }
        }
    }

    package func predict(rows: [Float], columns: Int, into predictions: inout [Double]) {
        rows.withUnsafeBufferPointer { rows in
            predictions.withUnsafeMutableBufferPointer { predict(rows: rows, columns: columns, into: $0) }
        }
    }

    /// `rawScores` for arrays.
    package func rawScores(rows: [Float], columns: Int, form: TreeForm? = nil, into scores: inout [Double]) {
        rows.withUnsafeBufferPointer { rows in
            scores.withUnsafeMutableBufferPointer { rawScores(rows: rows, columns: columns, form: form, into: $0) }
        }
    }

    private func evaluate(
        _ rows: UnsafeBufferPointer<Float>, _ columns: Int, outputs: Int, room: Int, form: TreeForm?,
        _ body: (UnsafeMutablePointer<Double>, Int) -> Void
    ) {
        precondition(columns == featureCount, "rows of \(columns) features; the trees were trained on \(featureCount)")
        let count = columns == 0 ? 0 : rows.count / columns
        precondition(count * columns == rows.count, "\(rows.count) values are no rows of \(columns)")
        precondition(room == count * outputs, "room for \(room) outputs; \(count) rows have \(count * outputs)")
        guard let values = rows.baseAddress, count > 0 else { return }
        withUnsafeTemporaryAllocation(of: Double.self, capacity: count * rawOutputsPerRow) { sums in
            guard let base = sums.baseAddress else { return }
            tables.evaluate(values, stride: columns, rowCount: count, form: form, into: base)
            body(base, count)
        }
    }
}
