import FactorModels
import RankingModels
import VectorMath

/// A layer under training: its weights with Adam's means, and packed both ways for the products of a step.
///
/// Weights are kept transposed, `[inputs, outputs]`, padded to panels, so that a slab of inputs is a run of rows: threads take slabs.
final class TrainedLayer {
    let inputCount: Int
    let outputCount: Int
    let inputStride: Int
    let outputStride: Int
    /// Inputs that one task updates.
    static let slabRows = 48

    private let weights: DenseMatrix
    private let first: DenseMatrix
    private let second: DenseMatrix
    /// Bias, its gradient and Adam's two means, one row each.
    private let biasRows: DenseMatrix
    /// For the way forward: columns are outputs.
    private let forward: UnsafeMutablePointer<Float>
    /// For the way back: columns are inputs.
    private let backward: UnsafeMutablePointer<Float>

    init(inputs: Int, outputs: Int, random: inout NormalDeviates) {
        inputCount = inputs
        outputCount = outputs
        inputStride = DenseAlgebra.padded(inputs)
        outputStride = DenseAlgebra.padded(outputs)
        weights = DenseMatrix(rowCount: inputStride, columnCount: outputs)
        first = DenseMatrix(rowCount: inputStride, columnCount: outputs)
        second = DenseMatrix(rowCount: inputStride, columnCount: outputs)
        biasRows = DenseMatrix(rowCount: 4, columnCount: outputs)
        let count = inputStride * outputStride
        forward = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
        backward = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
        // He et al. 2015: keeps the size of activations through rectifiers.
        let deviation = (2 / Float(inputs)).squareRoot()
        for input in 0..<inputs {
            for output in 0..<outputs { weights.row(input)[output] = random.next() * deviation }
        }
        for slab in 0..<slabs { pack(slab) }
    }

    deinit {
        forward.deallocate()
        backward.deallocate()
    }

    var slabs: Int { (inputStride + Self.slabRows - 1) / Self.slabRows }

    private func range(_ slab: Int) -> Range<Int> {
        slab * Self.slabRows..<min(inputStride, (slab + 1) * Self.slabRows)
    }

    /// What the trained weights are.
    var trained: NetworkWeights.Layer {
        var values = [Float](repeating: 0, count: inputCount * outputCount)
        for input in 0..<inputCount {
            for (output, value) in weights.row(input).enumerated() { values[output * inputCount + input] = value }
        }
        return NetworkWeights.Layer(weights: values, bias: Array(biasRows.row(0)))
    }

    /// `out = max(0, bias + in * weights)`.
    func apply(_ input: UnsafePointer<Float>, rows: Int, into out: UnsafeMutablePointer<Float>) {
        DenseAlgebra.product(
            input, rowStep: inputStride, termStep: 1, rows: rows, terms: inputStride, packed: forward,
            panels: outputStride / 16, start: biasRows.base, startStep: 0, into: out, stride: outputStride, relu: true)
    }

    /// The derivative by the inputs from that by the outputs.
    func back(_ gradients: UnsafePointer<Float>, rows: Int, into out: UnsafeMutablePointer<Float>) {
        DenseAlgebra.product(
            gradients, rowStep: outputStride, termStep: 1, rows: rows, terms: outputStride, packed: backward,
            panels: inputStride / 16, start: nil, startStep: 0, into: out, stride: inputStride, relu: false)
    }

    /// Moves the weights of a slab of inputs against their gradient, and the bias with the first.
    ///
    /// - Parameters:
    ///   - input: `[rows, inputStride]`, what the layer was applied to.
    ///   - gradients: The derivative by the outputs, in panels: `[outputStride / 16][rows][16]`.
    ///   - room: `slabRows * outputStride` floats.
    func update(
        _ slab: Int, input: UnsafePointer<Float>, gradients: UnsafePointer<Float>, rows: Int, _ step: AdamStep,
        room: UnsafeMutablePointer<Float>
    ) {
        let range = range(slab)
        DenseAlgebra.product(
            input + range.lowerBound, rowStep: 1, termStep: inputStride, rows: range.count, terms: rows,
            packed: gradients, panels: outputStride / 16, start: nil, startStep: 0, into: room, stride: outputStride,
            relu: false)
        let at = range.lowerBound * outputStride
        EmbeddingKernels.adam(
            weights.base + at, gradients: room, first: first.base + at, second: second.base + at,
            count: range.count * outputStride, step)
        pack(slab)
        if slab == 0 { updateBias(gradients, rows: rows, step) }
    }

    private func updateBias(_ gradients: UnsafePointer<Float>, rows: Int, _ step: AdamStep) {
        let sums = biasRows.base + outputStride
        for panel in 0..<(outputStride / 16) {
            var sum = SIMD16<Float>()
            let base = UnsafeRawPointer(gradients + panel * rows * 16)
            for row in 0..<rows { sum += base.loadUnaligned(fromByteOffset: row * 64, as: SIMD16<Float>.self) }
            for place in 0..<16 { sums[panel * 16 + place] = sum[place] }
        }
        EmbeddingKernels.adam(
            biasRows.base, gradients: sums, first: biasRows.base + 2 * outputStride,
            second: biasRows.base + 3 * outputStride, count: outputStride, step)
    }

    private func pack(_ slab: Int) {
        let range = range(slab)
        for row in range {
            for panel in 0..<(outputStride / 16) {
                (forward + (panel * inputStride + row) * 16).update(
                    from: weights.base + row * outputStride + panel * 16, count: 16)
            }
        }
        DenseAlgebra.packTransposed(
            weights.base + range.lowerBound * outputStride, stride: outputStride, count: range.count,
            length: outputStride, into: backward + range.lowerBound * outputStride)
    }
}
