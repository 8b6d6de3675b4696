import VectorMath

/// Where activations live while rows pass through a network; one for each thread, used again without allocation.
package final class NetworkScratch {
    /// Input rows: `[Network.rowsTogether, input stride]`.
    let input: UnsafeMutablePointer<Float>
    /// A number for each row.
    let parts: UnsafeMutablePointer<Float>
    private let near: UnsafeMutablePointer<Float>
    private let far: UnsafeMutablePointer<Float>
    /// Activations in fewer bits.
    private let narrow: UnsafeMutableRawPointer
    private let scales: UnsafeMutablePointer<Float>

    package convenience init(_ network: Network) {
        self.init(layers: network.layers, inputStride: network.inputStride)
    }

    init(layers: [DenseLayer], inputStride: Int) {
        let rows = Network.rowsTogether
        let widest = layers.reduce(inputStride) { max($0, $1.outputStride, $1.inputStride) }
        func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
            let base = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
            base.update(repeating: 0, count: count)
            return base
        }
        input = floats(rows * inputStride)
        parts = floats(rows)
        near = floats(rows * widest)
        far = floats(rows * widest)
        scales = floats(rows)
        narrow = AlignedMemory.allocate(byteCount: rows * widest * 2)
    }

    deinit {
        input.deallocate()
        parts.deallocate()
        near.deallocate()
        far.deallocate()
        scales.deallocate()
        narrow.deallocate()
    }

    /// Applies layers with rectifiers to rows.
    ///
    /// - Parameter isSigned: Whether the rows hold negative values; what layers hand on never does.
    /// - Returns: The last layer's activations, its `outputStride` apart; valid until the next call.
    func forward(
        _ layers: ArraySlice<DenseLayer>, _ rows: UnsafePointer<Float>, stride: Int, rows count: Int, isSigned: Bool
    ) -> UnsafePointer<Float> {
        guard let precision = layers.first?.precision else { return rows }
        return switch precision {
        case .f32: forwardFloats(layers, rows, stride: stride, rows: count)
        case .bf16: forwardHalves(layers, rows, stride: stride, rows: count)
        case .int8: forwardBytes(layers, rows, stride: stride, rows: count, isSigned: isSigned)
        }
    }

    /// Applies one layer without a rectifier to rows that may hold negative values.
    ///
    /// - Parameter out: The layer's `outputStride` floats from row to row.
    func apply(
        _ layer: DenseLayer, _ rows: UnsafePointer<Float>, stride: Int, rows count: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        switch layer.precision {
        case .f32: layer.apply(rows, stride: stride, rows: count, relu: false, into: out)
        case .bf16:
            let halves = narrow.bindMemory(to: UInt16.self, capacity: 1)
            for row in 0..<count {
                layer.narrow(rows + row * stride, count: layer.inputStride, into: halves + row * layer.inputStride)
            }
            layer.apply(halves, rows: count, relu: false, narrow: false, into: out)
        case .int8:
            let bytes = narrow.bindMemory(to: UInt8.self, capacity: 1)
            layer.toBytes(rows, stride: stride, rows: count, isSigned: true, into: bytes, scales: scales)
            layer.apply(bytes, scales: scales, isSigned: true, rows: count, relu: false, into: out)
        }
    }

    private func forwardFloats(
        _ layers: ArraySlice<DenseLayer>, _ rows: UnsafePointer<Float>, stride: Int, rows count: Int
    ) -> UnsafePointer<Float> {
        var (from, fromStride, to, next) = (rows, stride, near, far)
        for layer in layers {
            layer.apply(from, stride: fromStride, rows: count, relu: true, into: to)
            (from, fromStride) = (UnsafePointer(to), layer.outputStride)
            swap(&to, &next)
        }
        return from
    }

    private func forwardHalves(
        _ layers: ArraySlice<DenseLayer>, _ rows: UnsafePointer<Float>, stride: Int, rows count: Int
    ) -> UnsafePointer<Float> {
        guard let first = layers.first else { return rows }
        let halves = narrow.bindMemory(to: UInt16.self, capacity: 1)
        for row in 0..<count {
            first.narrow(rows + row * stride, count: first.inputStride, into: halves + row * first.inputStride)
        }
        // Halves go from one half of the floats' room to the other.
        var (from, to, next) = (UnsafePointer(halves), UnsafeMutableRawPointer(near), UnsafeMutableRawPointer(far))
        for (number, layer) in layers.enumerated() {
            let isLast = number == layers.count - 1
            layer.apply(from, rows: count, relu: true, narrow: !isLast, into: to)
            if isLast { return UnsafePointer(to.bindMemory(to: Float.self, capacity: 1)) }
            from = UnsafePointer(to.bindMemory(to: UInt16.self, capacity: 1))
            swap(&to, &next)
        }
        return rows
    }

    private func forwardBytes(
        _ layers: ArraySlice<DenseLayer>, _ rows: UnsafePointer<Float>, stride: Int, rows count: Int, isSigned: Bool
    ) -> UnsafePointer<Float> {
        let bytes = narrow.bindMemory(to: UInt8.self, capacity: 1)
        var (from, fromStride, isSigned) = (rows, stride, isSigned)
        for layer in layers {
            layer.toBytes(from, stride: fromStride, rows: count, isSigned: isSigned, into: bytes, scales: scales)
            layer.apply(bytes, scales: scales, isSigned: isSigned, rows: count, relu: true, into: near)
            (from, fromStride, isSigned) = (UnsafePointer(near), layer.outputStride, false)
        }
        return from
    }
}
