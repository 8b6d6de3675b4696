import CKernels

/// The door to the kernels over embeddings. Nothing is checked here: callers have checked rows and widths at their own door.
package enum EmbeddingKernels {
    // Points to a constant table of the C code.
    nonisolated(unsafe) private static let table: UnsafePointer<ck_embeddings> = {
        guard let table = ck_embeddings_of(ck_isa()) ?? ck_embeddings_of(0) else {
            preconditionFailure("no embedding kernels in this build")
        }
        return table
    }()

    /// Copies table rows side by side: `out[r * stride + f * width ...] = table[ids[r * fields + f]]`.
    package static func gather(
        _ table: UnsafeRawPointer, isHalf: Bool, width: Int, ids: UnsafePointer<UInt32>, rows: Int, fields: Int,
        into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        Self.table.pointee.gather(table, isHalf ? 1 : 0, width, ids, rows, fields, out, stride)
    }

    /// `out[r * stride ...] = start + table[ids[r]]`, what is negative cut to 0 with `relu`.
    package static func addGathered(
        _ table: UnsafeRawPointer, isHalf: Bool, width: Int, ids: UnsafePointer<UInt32>, rows: Int,
        start: UnsafePointer<Float>, relu: Bool, into out: UnsafeMutablePointer<Float>, stride: Int
    ) {
        Self.table.pointee.add_gathered(table, isHalf ? 1 : 0, width, ids, rows, start, relu ? 1 : 0, out, stride)
    }

    /// Adds to `out[r]` the inner products of all pairs of the row's fields: the second order of a factorization machine
    /// (Rendle 2010), in O(fields * width).
    package static func addPairs(
        _ input: UnsafePointer<Float>, stride: Int, rows: Int, fields: Int, width: Int,
        to out: UnsafeMutablePointer<Float>
    ) {
        table.pointee.pairs(input, stride, rows, fields, width, out)
    }

    /// Adds the derivatives of `addPairs` times `g[r]` to `gradients`.
    package static func addPairGradients(
        _ input: UnsafePointer<Float>, stride: Int, rows: Int, fields: Int, width: Int, g: UnsafePointer<Float>,
        to gradients: UnsafeMutablePointer<Float>, gradientStride: Int
    ) {
        table.pointee.pair_gradients(input, stride, rows, fields, width, g, gradients, gradientStride)
    }

    /// One step of Adam for `count` weights; see `AdamStep`.
    package static func adam(
        _ weights: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, first: UnsafeMutablePointer<Float>,
        second: UnsafeMutablePointer<Float>, count: Int, _ step: AdamStep
    ) {
        var parameters = ck_adam_step(
            rate: step.rate, beta1: AdamStep.beta1, beta2: AdamStep.beta2, epsilon: step.epsilon, shrink: step.shrink)
        table.pointee.adam(weights, gradients, first, second, count, &parameters)
    }
}

/// The numbers of Adam's n-th step (Kingma & Ba 2014, arXiv:1412.6980), with decoupled weight decay (Loshchilov & Hutter 2019).
package struct AdamStep: Sendable {
    package static let beta1: Float = 0.9
    package static let beta2: Float = 0.999

    let rate: Float
    let epsilon: Float
    let shrink: Float

    /// - Parameter number: 1 for the first step.
    package init(number: Int, learningRate: Double, weightDecay: Double) {
        // The corrections for the means that began at zero, moved out of the loop.
        let second = (1 - power(Double(Self.beta2), number)).squareRoot()
        rate = Float(learningRate * second / (1 - power(Double(Self.beta1), number)))
        epsilon = Float(1e-8 * second)
        shrink = Float(learningRate * weightDecay)
    }
}

/// `base` to a whole power, by squaring.
private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}
