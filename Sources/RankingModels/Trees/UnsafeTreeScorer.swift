import Features
import Foundation
import VectorMath

/// Trees ready to score encoded rows.
///
/// A number reaches the trees as the schema encodes it, NaN where it is missing; of a category its row in the field's table
/// (from 1), NaN for what is missing or unknown.
package final class TreeScorer: Sendable {
    package let layout: FeatureLayout
    package let ensemble: TreeEnsemble
    package let attributions: TreeAttributions
    /// Of each feature of the model the field of the schema.
    package let fields: [Int]
    private let columns: [Column]

    /// Where a feature of the model lies in encoded rows.
    private enum Column: Sendable {
        case number(Int)
        case code(Int, offset: UInt32)
    }

    package init(_ ranker: TreeRanker) {
        let layout = FeatureLayout(ranker.schema)
        self.layout = layout
        ensemble = ranker.ensemble
        attributions = TreeAttributions(ranker.model)
        fields = ranker.fields
        columns = ranker.fields.map { field in
            if let number = layout.dense.firstIndex(where: { $0.field == field }) { return .number(number) }
            let place = layout.categorical.firstIndex { $0.field == field } ?? 0
            return .code(place, offset: UInt32(layout.categorical[place].tableOffset))
        }
    }

    package var byteCount: Int { ensemble.byteCount + attributions.byteCount }

    /// Rows whose values are put together at a time.
    static let rowsTogether = 256

    /// The library's predictions for rows.
    ///
    /// - Parameters:
    ///   - range: Rows of `rows`, which have this scorer's layout.
    ///   - scores: Room for `range.count`; the result of a row does not depend on the others.
    package func score(
        _ rows: FeatureRows, _ range: Range<Int>, _ scratch: TreeScratch, into scores: UnsafeMutablePointer<Float>
    ) {
        precondition(rows.layout == layout && range.upperBound <= rows.count, "rows of another layout, or too few")
        precondition(scratch.width >= columns.count, "scratch of other trees")
        var first = range.lowerBound
        while first < range.upperBound {
            let count = min(Self.rowsTogether, range.upperBound - first)
            fill(scratch.values, rows, first..<(first + count))
            ensemble.predict(
                rows: UnsafeBufferPointer(start: scratch.values, count: count * columns.count), columns: columns.count,
                into: UnsafeMutableBufferPointer(start: scores + (first - range.lowerBound), count: count))
            first += count
        }
    }

    /// What the trees see of a row, in the order of the model's features.
    package func values(_ rows: FeatureRows, _ row: Int) -> [Float] {
        precondition(rows.layout == layout && row < rows.count, "row \(row) of \(rows.count), or another layout")
        return [Float](unsafeUninitializedCapacity: columns.count) { buffer, count in
            count = columns.count
            if let base = buffer.baseAddress { fill(base, rows, row..<(row + 1)) }
        }
    }

    private func fill(_ values: UnsafeMutablePointer<Float>, _ rows: FeatureRows, _ range: Range<Int>) {
        let (width, numbers, codes) = (columns.count, layout.dense.count, layout.categorical.count)
        for (feature, column) in columns.enumerated() {
            var out = values + feature
            switch column {
            case .number(let number):
                for row in range {
                    out.pointee = rows.dense[row * numbers + number]
                    out += width
                }
            case .code(let place, let offset):
                for row in range {
                    let code = rows.ids[row * codes + place] - offset
                    out.pointee = code == 0 ? .nan : Float(code)
                    out += width
                }
            }
        }
    }

    /// A prediction as log-odds where it is a probability; other predictions as they are.
    package func logit(of score: Float) -> Float {
        guard givesProbabilities else { return score }
        let probability = min(max(Double(score), 1e-9), 1 - 1e-9)
        return Float(log(probability / (1 - probability)))
    }

    package var givesProbabilities: Bool {
        switch ensemble.transform {
        case .sigmoid, .singleSigmoid: true
        default: false
        }
    }
}

/// Room for the values of some rows; one for each thread.
package final class TreeScratch {
    let values: UnsafeMutablePointer<Float>
    let width: Int

    package init(_ scorer: TreeScorer) {
        width = scorer.fields.count
        values = .allocate(capacity: max(width, 1) * TreeScorer.rowsTogether)
    }

    deinit { values.deallocate() }
}
