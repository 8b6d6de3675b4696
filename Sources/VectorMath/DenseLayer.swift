import CKernels

/// How activations and weights of a layer are multiplied.
package enum LayerPrecision: String, Sendable, CaseIterable, Codable {
    case f32
    /// Both in bfloat16, sums in Float32.
    case bf16
    /// Weights in signed bytes with a scale for each output, activations in bytes with a scale for each row, exact sums.
    case int8

    /// Precisions that this machine computes faster than, or as fast as, those before them.
    package static var supported: [LayerPrecision] {
        guard ck_isa() != Int32(CK_SCALAR), ck_layers_of(ck_isa()) != nil else { return [.f32] }
        return ck_has_fast_bf16() != 0 ? [.f32, .bf16, .int8] : [.f32, .int8]
    }
}

/// A layer of a network, ready to be applied: `out = bias + in * weights^T`, what is negative cut to 0 where asked.
///
/// The result of a row does not depend on the rows beside it, nor on their number.
/// `@unchecked Sendable`: nothing is written after `init`.
package final class DenseLayer: @unchecked Sendable {
    package let inputCount: Int
    package let outputCount: Int
    package let precision: LayerPrecision
    /// Floats of an input row: `inputCount` padded; what is past `inputCount` must be finite and is multiplied by 0.
    package var inputStride: Int { DenseAlgebra.padded(inputCount) }
    /// Floats of an output row: `outputCount` padded; what is past `outputCount` is 0.
    package var outputStride: Int { DenseAlgebra.padded(outputCount) }
    /// Bytes of the packed weights.
    package let byteCount: Int

    private let packed: UnsafeMutableRawPointer
    private let bias: UnsafeMutablePointer<Float>
    private let columnScales: UnsafeMutablePointer<Float>
    private let columnSums: UnsafeMutablePointer<Int32>
    private let algebra: UnsafePointer<ck_algebra>
    private let layers: UnsafePointer<ck_layers>

    /// Packs weights.
    ///
    /// - Parameters:
    ///   - weights: Shape `[outputs, inputs]`, row-major, finite.
    ///   - bias: Shape `[outputs]`.
    ///   - precision: Computed by scalar code where the machine has no instructions for it.
    ///   - isa: The instruction set, a CK_ number; for tests. Nil: the machine's.
    package init(
        weights: [Float], bias values: [Float], inputs: Int, precision: LayerPrecision, isa: Int32? = nil
    ) {
        let outputs = values.count
        precondition(inputs >= 1 && outputs >= 1 && weights.count == inputs * outputs, "weights of another shape")
        inputCount = inputs
        outputCount = outputs
        self.precision = precision
        let chosen = isa ?? ck_isa()
        guard let algebra = ck_algebra_of(chosen) ?? ck_algebra_of(Int32(CK_SCALAR)),
            let layers = ck_layers_of(precision == .bf16 && ck_has_fast_bf16() == 0 ? Int32(CK_SCALAR) : chosen)
                ?? ck_layers_of(Int32(CK_SCALAR))
        else { preconditionFailure("no dense kernels in this build") }
        self.algebra = algebra
        self.layers = layers
        let columns = DenseAlgebra.padded(outputs)
        let rows = DenseAlgebra.padded(inputs)
        byteCount = Self.byteCount(inputs: inputs, outputs: outputs, precision)
        packed = AlignedMemory.allocate(byteCount: byteCount)
        bias = Self.floats(columns)
        for (at, value) in values.enumerated() { bias[at] = value }
        columnScales = Self.floats(columns)
        columnSums = AlignedMemory.allocate(byteCount: columns * 4).bindMemory(to: Int32.self, capacity: columns)
        columnSums.update(repeating: 0, count: columns)
        // Rows padded like the activations, so that both have the same steps.
        var padded = [Float](repeating: 0, count: rows * outputs)
        for output in 0..<outputs {
            for input in 0..<inputs { padded[output * rows + input] = weights[output * inputs + input] }
        }
        switch precision {
        case .f32:
            ck_pack_transposed(
                padded, rows, outputs, rows, packed.bindMemory(to: Float.self, capacity: rows * columns))
        case .bf16:
            ck_pack_bf16(padded, rows, outputs, rows, packed.bindMemory(to: UInt16.self, capacity: rows * columns))
        case .int8:
            ck_pack_i8(
                padded, rows, outputs, rows, packed.bindMemory(to: Int8.self, capacity: rows * columns), columnScales,
                columnSums)
        }
    }

    deinit {
        packed.deallocate()
        bias.deallocate()
        columnScales.deallocate()
        columnSums.deallocate()
    }

    /// Bytes of the packed weights of a layer.
    package static func byteCount(inputs: Int, outputs: Int, _ precision: LayerPrecision) -> Int {
        let numbers = DenseAlgebra.padded(inputs) * DenseAlgebra.padded(outputs)
        return switch precision {
        case .f32: numbers * 4
        case .bf16: numbers * 2
        case .int8: numbers
        }
    }

    private static func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        let base = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
        base.update(repeating: 0, count: count)
        return base
    }

    /// Applies the layer to rows of Float32; needs `precision` f32.
    ///
    /// - Parameters:
    ///   - input: `inputStride` or more floats from one row to the next: `stride`.
    ///   - start: What sums begin at, `startStride` floats from row to row, in place of the bias; may be `output`.
    ///   - output: `outputStride` floats from row to row.
    package func apply(
        _ input: UnsafePointer<Float>, stride: Int, rows: Int, start: UnsafePointer<Float>? = nil,
        startStride: Int = 0, relu: Bool, into output: UnsafeMutablePointer<Float>
    ) {
        precondition(precision == .f32 && stride >= inputStride, "rows of \(stride) floats for \(inputStride)")
        algebra.pointee.product(
            input, stride, 1, rows, inputStride, packed.assumingMemoryBound(to: Float.self), outputStride / 16,
            start ?? UnsafePointer(bias), startStride, output, outputStride, relu ? 1 : 0)
    }

    /// Applies the layer to rows of bfloat16; needs `precision` bf16.
    ///
    /// - Parameter narrow: Writes bfloat16, else Float32; `outputStride` values from row to row.
    package func apply(
        _ input: UnsafePointer<UInt16>, rows: Int, relu: Bool, narrow: Bool, into output: UnsafeMutableRawPointer
    ) {
        precondition(precision == .bf16, "the layer is packed in \(precision)")
        layers.pointee.bf16(
            input, inputStride, rows, inputStride / 2, packed.assumingMemoryBound(to: UInt16.self), outputStride / 16,
            bias, relu ? 1 : 0, output, outputStride, narrow ? 1 : 0)
    }

    /// Applies the layer to rows of bytes; needs `precision` int8.
    ///
    /// - Parameters:
    ///   - scales: What one unit is worth, for each row.
    ///   - isSigned: Whether 0 is at 128.
    package func apply(
        _ input: UnsafePointer<UInt8>, scales: UnsafePointer<Float>, isSigned: Bool, rows: Int, relu: Bool,
        into output: UnsafeMutablePointer<Float>
    ) {
        precondition(precision == .int8, "the layer is packed in \(precision)")
        var bytes = ck_byte_rows(bytes: input, stride: inputStride, scales: scales, zero: isSigned ? 128 : 0)
        var weights = ck_byte_weights(
            packed: packed.assumingMemoryBound(to: Int8.self), scales: columnScales, sums: columnSums)
        layers.pointee.u8(
            &bytes, rows, inputStride / 4, &weights, outputStride / 16, bias, relu ? 1 : 0, output, outputStride)
    }

    /// Rounds padded rows to bfloat16.
    package func narrow(_ rows: UnsafePointer<Float>, count: Int, into out: UnsafeMutablePointer<UInt16>) {
        layers.pointee.narrow(rows, count, out)
    }

    /// Rounds `rows` padded rows to bytes and says what a unit of each is worth.
    package func toBytes(
        _ input: UnsafePointer<Float>, stride: Int, rows: Int, isSigned: Bool, into out: UnsafeMutablePointer<UInt8>,
        scales: UnsafeMutablePointer<Float>
    ) {
        layers.pointee.to_bytes(
            input, stride, rows, inputStride, isSigned ? 1 : 0, out, inputStride, scales)
    }
}
