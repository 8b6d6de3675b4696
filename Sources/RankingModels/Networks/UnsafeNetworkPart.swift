import Features
import VectorMath

/// What one part writes: the first layer's sums and the sum of embeddings.
final class PartRoom {
    let first: UnsafeMutablePointer<Float>
    let sum: UnsafeMutablePointer<Float>
    let input: UnsafeMutablePointer<Float>

    init(width: Int, firstStride: Int, inputs: Int) {
        first = SplitNetwork.floats(firstStride)
        sum = SplitNetwork.floats(width)
        input = SplitNetwork.floats(inputs)
    }

    deinit {
        first.deallocate()
        sum.deallocate()
        input.deallocate()
    }
}

/// The share of some sides in a network's first layer, sums of embeddings and linear terms.
///
/// `@unchecked Sendable`: nothing is written after `init`.
final class Part: @unchecked Sendable {
    let inputStride: Int
    let denseLinear: [Float]
    private let weights: NetworkWeights
    private let layer: DenseLayer?
    private let categorical: [Int]
    private let dense: [Int]
    private let outputs: Int
    private let bias: Float

    init(
        _ weights: NetworkWeights, _ layout: FeatureLayout, hasBias: Bool = true,
        where isMine: (FeatureSide) -> Bool
    ) {
        self.weights = weights
        bias = hasBias ? weights.bias : 0
        denseLinear =
            weights.denseLinear.isEmpty ? [Float](repeating: 0, count: layout.dense.count) : weights.denseLinear
        categorical = layout.categorical.indices.filter { isMine(layout.categorical[$0].side) }
        dense = layout.dense.indices.filter { isMine(layout.dense[$0].side) }
        let first = weights.layers[0]
        let width = weights.shape.embeddingWidth
        outputs = first.bias.count
        let columns =
            categorical.flatMap { field in (0..<width).map { field * width + $0 } }
            + dense.map { layout.categorical.count * width + $0 }
        let start = hasBias ? first.bias : [Float](repeating: 0, count: outputs)
        guard !columns.isEmpty else {
            // One input that is always 0 leaves the bias.
            let layer = DenseLayer(
                weights: [Float](repeating: 0, count: outputs), bias: start, inputs: 1, precision: .f32)
            self.layer = layer
            inputStride = layer.inputStride
            return
        }
        let layer = DenseLayer(
            weights: (0..<outputs).flatMap { output in columns.map { first.weights[output * first.inputs + $0] } },
            bias: start, inputs: columns.count, precision: .f32)
        self.layer = layer
        inputStride = layer.inputStride
    }

    /// Computes the part of a row into `room`.
    ///
    /// - Returns: What it adds to the logit by itself: bias, linear terms, and the squares that pairs must not count.
    func apply(_ rows: FeatureRows, _ row: Int, _ room: PartRoom) -> Float {
        let shape = weights.shape
        let width = shape.embeddingWidth
        var logit = bias
        room.sum.update(repeating: 0, count: width)
        room.input.update(repeating: 0, count: inputStride)
        var squares: Float = 0
        for (place, field) in categorical.enumerated() {
            let values = values(rows, row, field)
            let share = 1 / Float(values.count)
            if shape.hasLinear { logit += values.reduce(0) { $0 + weights.linear[Int($1)] } * share }
            for at in 0..<width {
                let x = values.reduce(0) { $0 + weights.table[Int($1) * width + at] } * share
                room.input[place * width + at] = x
                room.sum[at] += x
                squares += x * x
            }
        }
        for (place, number) in dense.enumerated() {
            let x = rows.dense[row * rows.layout.dense.count + number]
            room.input[categorical.count * width + place] = x
            if shape.hasLinear { logit += x * denseLinear[number] }
        }
        layer?.apply(room.input, stride: inputStride, rows: 1, relu: false, into: room.first)
        return logit - (shape.hasPairs ? squares / 2 : 0)
    }

    private func values(_ rows: FeatureRows, _ row: Int, _ field: Int) -> ArraySlice<UInt32> {
        if let place = rows.bagFields.firstIndex(of: field) {
            let bag = rows.bag(row, place)
            if !bag.isEmpty { return bag }
        }
        return [rows.ids[row * rows.layout.categorical.count + field]]
    }
}
