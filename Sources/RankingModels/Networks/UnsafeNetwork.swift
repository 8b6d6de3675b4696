import Features
import VectorMath

/// A network ready to score rows.
///
/// `@unchecked Sendable`: nothing is written after `init`.
package final class Network: @unchecked Sendable {
    package let layout: FeatureLayout
    package let shape: NetworkShape
    package let precision: LayerPrecision
    /// Rows that pass through the layers together, so that their activations stay in the near caches.
    package static let rowsTogether = 128

    let layers: [DenseLayer]
    let inputCount: Int
    /// Floats of an input row.
    let inputStride: Int
    /// Bytes of embeddings and packed layers.
    package let byteCount: Int
    private let tables: NetworkTables
    private var isHalf: Bool { tables.isHalf }
    private var table: UnsafeMutableRawPointer { tables.embeddings }
    var linear: UnsafeMutablePointer<Float> { tables.linear }
    let denseLinear: [Float]
    let output: UnsafeMutablePointer<Float>
    private let bias: Float

    /// - Parameters:
    ///   - weights: Checked against the layout.
    ///   - precision: Of the perceptron.
    ///   - halfTables: Keeps embeddings as IEEE halves.
    ///   - other: A network of the same weights, whose tables this one reads, too; nil: it has its own.
    package init(
        _ weights: NetworkWeights, layout: FeatureLayout, precision: LayerPrecision = .f32, halfTables: Bool = false,
        sharingTablesOf other: Network? = nil
    ) {
        precondition(weights.fault(layout) == nil, "weights that do not fit: \(weights.fault(layout) ?? "")")
        self.layout = layout
        shape = weights.shape
        self.precision = precision
        inputCount = weights.shape.inputs(layout)
        inputStride = DenseAlgebra.padded(max(inputCount, 1))
        layers = weights.layers.map {
            DenseLayer(weights: $0.weights, bias: $0.bias, inputs: $0.inputs, precision: precision)
        }
        byteCount =
            weights.table.count * (halfTables ? 2 : 4) + weights.linear.count * 4
            + layers.reduce(0) { $0 + $1.byteCount }
        precondition(
            other == nil || other?.isHalf == halfTables && other?.layout == layout, "tables of another network")
        tables = other?.tables ?? NetworkTables(weights, isHalf: halfTables)
        denseLinear = weights.denseLinear
        output = NetworkTables.copy(weights.output)
        bias = weights.bias
    }

    deinit { output.deallocate() }

    /// Bytes of a network that is made of `weights`.
    package static func byteCount(_ weights: NetworkWeights, _ precision: LayerPrecision) -> Int {
        weights.table.count * 4 + weights.linear.count * 4
            + weights.layers.reduce(0) {
                $0 + DenseLayer.byteCount(inputs: $1.inputs, outputs: $1.bias.count, precision)
            }
    }

    /// The logits of rows, before any sigmoid.
    ///
    /// - Parameters:
    ///   - range: Rows of `rows`, which have this network's layout.
    ///   - logits: Room for `range.count`; the result of a row does not depend on the others.
    /// - Complexity: O(rows * weights of the perceptron); allocates nothing.
    package func score(
        _ rows: FeatureRows, _ range: Range<Int>, _ scratch: NetworkScratch, into logits: UnsafeMutablePointer<Float>
    ) {
        precondition(rows.layout == layout && range.upperBound <= rows.count, "rows of another layout, or too few")
        var first = range.lowerBound
        while first < range.upperBound {
            let count = min(Self.rowsTogether, range.upperBound - first)
            let out = logits + (first - range.lowerBound)
            out.update(repeating: bias, count: count)
            if shape.hasLinear { addLinear(rows, first, count, to: out) }
            if shape.embeddingWidth > 0 {
                embed(rows, first, count, into: scratch.input)
                if shape.hasPairs {
                    EmbeddingKernels.addPairs(
                        scratch.input, stride: inputStride, rows: count, fields: layout.categorical.count,
                        width: shape.embeddingWidth, to: out)
                }
            }
            if shape.isDeep {
                setDense(rows, first, count, into: scratch.input)
                addDeep(count, scratch, to: out)
            }
            first += count
        }
    }

    private func addLinear(_ rows: FeatureRows, _ first: Int, _ count: Int, to out: UnsafeMutablePointer<Float>) {
        let fields = layout.categorical.count
        let dense = layout.dense.count
        for row in first..<(first + count) {
            var sum: Float = 0
            let ids = rows.ids + row * fields
            for field in 0..<fields { sum += linear[Int(ids[field])] }
            for (place, field) in rows.bagFields.enumerated() {
                let bag = rows.bag(row, place)
                guard !bag.isEmpty else { continue }
                var mean: Float = 0
                for id in bag { mean += linear[Int(id)] }
                sum += mean / Float(bag.count) - linear[Int(ids[field])]
            }
            for number in 0..<dense { sum += rows.dense[row * dense + number] * denseLinear[number] }
            out[row - first] += sum
        }
    }

    /// The embeddings of rows side by side.
    private func embed(_ rows: FeatureRows, _ first: Int, _ count: Int, into input: UnsafeMutablePointer<Float>) {
        let (fields, width) = (layout.categorical.count, shape.embeddingWidth)
        EmbeddingKernels.gather(
            table, isHalf: isHalf, width: width, ids: rows.ids + first * fields, rows: count, fields: fields,
            into: input,
            stride: inputStride)
        for (place, field) in rows.bagFields.enumerated() {
            for row in first..<(first + count) {
                let bag = rows.bag(row, place)
                if bag.count > 1 { pool(bag, into: input + (row - first) * inputStride + field * width) }
            }
        }
    }

    /// One embedding.
    func embed(_ id: UnsafePointer<UInt32>, into out: UnsafeMutablePointer<Float>) {
        EmbeddingKernels.gather(
            table, isHalf: isHalf, width: shape.embeddingWidth, ids: id, rows: 1, fields: 1, into: out,
            stride: shape.embeddingWidth)
    }

    /// The mean of table rows.
    func pool(_ bag: ArraySlice<UInt32>, into out: UnsafeMutablePointer<Float>) {
        let width = shape.embeddingWidth
        withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { one in
            guard let base = one.baseAddress else { return }
            out.update(repeating: 0, count: width)
            for id in bag {
                withUnsafePointer(to: id) { embed($0, into: base) }
                for place in 0..<width { out[place] += base[place] }
            }
            let share = 1 / Float(bag.count)
            for place in 0..<width { out[place] *= share }
        }
    }

    private func setDense(_ rows: FeatureRows, _ first: Int, _ count: Int, into input: UnsafeMutablePointer<Float>) {
        let dense = layout.dense.count
        let at = inputCount - dense
        for row in 0..<count {
            let to = input + row * inputStride
            for number in 0..<dense { to[at + number] = rows.dense[(first + row) * dense + number] }
            for place in inputCount..<inputStride { to[place] = 0 }
        }
    }

    private func addDeep(_ count: Int, _ scratch: NetworkScratch, to out: UnsafeMutablePointer<Float>) {
        let last = scratch.forward(layers[...], scratch.input, stride: inputStride, rows: count, isSigned: true)
        let width = layers[layers.count - 1].outputStride
        let parts = scratch.parts
        Kernels.dot(output, rows: last, stride: width, count: count, dimension: width, into: parts)
        for row in 0..<count { out[row] += parts[row] }
    }
}

/// What a network looks up by the IDs of a row: embeddings, and a weight for each ID. Networks of the same weights share it.
///
/// `@unchecked Sendable`: nothing is written after `init`.
final class NetworkTables: @unchecked Sendable {
    let embeddings: UnsafeMutableRawPointer
    let linear: UnsafeMutablePointer<Float>
    let isHalf: Bool

    init(_ weights: NetworkWeights, isHalf: Bool) {
        self.isHalf = isHalf
        let values = weights.table.count
        embeddings = AlignedMemory.allocate(byteCount: max(values, 1) * (isHalf ? 2 : 4))
        if isHalf {
            Kernels.narrow(
                weights.table, count: values, into: embeddings.bindMemory(to: UInt16.self, capacity: max(values, 1)))
        } else {
            embeddings.bindMemory(to: Float.self, capacity: max(values, 1)).update(from: weights.table, count: values)
        }
        linear = Self.copy(weights.linear)
    }

    deinit {
        embeddings.deallocate()
        linear.deallocate()
    }

    static func copy(_ values: [Float]) -> UnsafeMutablePointer<Float> {
        let count = DenseAlgebra.padded(max(values.count, 1))
        let base = AlignedMemory.allocate(byteCount: count * 4).bindMemory(to: Float.self, capacity: count)
        base.update(repeating: 0, count: count)
        base.update(from: values, count: values.count)
        return base
    }
}
