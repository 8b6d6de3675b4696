import FactorModels
import Features
import VectorMath

/// The last step to a logit under training: weights of the last layer's outputs, of the dense numbers, and the bias.
final class TrainedHead {
    private let width: Int
    private let dense: Int
    /// Values, gradients and Adam's two means: outputs, dense weights, bias.
    private let rows: DenseMatrix
    private let padded: Int

    init(width: Int, dense: Int, random: NormalDeviates) {
        self.width = width
        self.dense = dense
        padded = DenseAlgebra.padded(max(width, 1))
        rows = DenseMatrix(rowCount: 4, columnCount: padded + dense + 1)
        var random = random
        let deviation = (1 / Float(max(width, 1))).squareRoot()
        for at in 0..<width { rows.base[at] = random.next() * deviation }
    }

    var output: [Float] { Array(UnsafeBufferPointer(start: rows.base, count: width)) }
    var denseLinear: [Float] { Array(UnsafeBufferPointer(start: rows.base + padded, count: dense)) }
    var bias: Float { rows.base[padded + dense] }

    /// What the last layer's activations add to the logit.
    func sum(_ activations: UnsafePointer<Float>) -> Float {
        var sum: Float = 0
        withUnsafeMutablePointer(to: &sum) {
            Kernels.dot(rows.base, rows: activations, stride: padded, count: 1, dimension: padded, into: $0)
        }
        return sum
    }

    func denseSum(_ numbers: UnsafePointer<Float>) -> Float {
        var sum: Float = 0
        for at in 0..<dense { sum += numbers[at] * rows.base[padded + at] }
        return sum
    }

    /// The derivative by the activations, of a derivative by the logit.
    func spread(_ g: Float, into out: UnsafeMutablePointer<Float>) {
        for at in 0..<padded { out[at] = at < width ? g * rows.base[at] : 0 }
    }

    /// Moves the weights against their gradients.
    func update(
        activations: UnsafePointer<Float>?, stride: Int, data: LabelledRows, batch: ArraySlice<Int32>,
        g: UnsafePointer<Float>, _ step: AdamStep
    ) {
        let sums = rows.base + rows.stride
        sums.update(repeating: 0, count: rows.stride)
        let numbers = data.rows.layout.dense.count
        for (place, example) in batch.enumerated() {
            if let activations {
                let row = activations + place * stride
                for at in 0..<width { sums[at] += g[place] * row[at] }
            }
            for at in 0..<dense { sums[padded + at] += g[place] * data.rows.dense[Int(example) * numbers + at] }
            sums[padded + dense] += g[place]
        }
        EmbeddingKernels.adam(
            rows.base, gradients: sums, first: rows.base + 2 * rows.stride, second: rows.base + 3 * rows.stride,
            count: rows.stride, step)
    }
}
