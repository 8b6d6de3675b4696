import Features
import VectorMath

/// A network cut by side: what it makes of a user and a context is computed once for a request, what it makes of an item once
/// for a generation.
///
/// The first layer and the embeddings' sums are linear in the sides, so they add up:
///
/// ```
/// first layer   = max(0, request part + item part + cross numbers * weights)
/// sum of pairs  = (|s|^2 - sum of squares) / 2      s = request's sum + item's sum of embeddings
/// ```
/// Only the further layers are left for each candidate. Item parts are IEEE halves, `item count * first layer * 2` bytes.
/// `@unchecked Sendable`: nothing is written after `init`.
package final class SplitNetwork: @unchecked Sendable {
    package let layout: FeatureLayout
    package let precision: LayerPrecision
    package let itemCount: Int
    /// Numbers of the dense fields that differ from candidate to candidate, in their order.
    package let crossNumbers: [Int]
    /// Floats of a candidate's row of cross numbers.
    package let crossStride: Int
    package let byteCount: Int

    let further: [DenseLayer]
    let firstStride: Int
    private let shape: NetworkShape
    /// What a request's own row is scored by: everything but the item and the cross numbers.
    private let request: Part
    private let cross: DenseLayer?
    private let output: UnsafeMutablePointer<Float>
    private let itemParts: UnsafeMutablePointer<UInt16>
    private let itemSums: UnsafeMutablePointer<Float>
    private let itemLogits: UnsafeMutablePointer<Float>

    /// Cuts a network.
    ///
    /// - Parameters:
    ///   - items: The encoded item features, a row an item.
    ///   - itemBytesMax: For the items' parts.
    /// - Returns: Nil where it cannot be cut (no layers, a cross feature that is categorical) or the parts would take more.
    package init?(
        _ weights: NetworkWeights, layout: FeatureLayout, precision: LayerPrecision, items: FeatureRows,
        itemBytesMax: Int
    ) {
        func isPerCandidate(_ side: FeatureSide) -> Bool { side == .cross || side == .live }
        guard let first = weights.layers.first, items.layout == layout, items.count > 0,
            !layout.categorical.contains(where: { isPerCandidate($0.side) })
        else { return nil }
        let outputs = first.bias.count
        firstStride = DenseAlgebra.padded(outputs)
        let width = weights.shape.embeddingWidth
        byteCount = items.count * (firstStride * 2 + (width + 1) * 4)
        guard byteCount <= itemBytesMax else { return nil }
        self.layout = layout
        self.precision = precision
        shape = weights.shape
        itemCount = items.count
        let crossNumbers = layout.dense.indices.filter { isPerCandidate(layout.dense[$0].side) }
        self.crossNumbers = crossNumbers
        let at = layout.categorical.count * width
        if crossNumbers.isEmpty {
            cross = nil
            crossStride = 0
        } else {
            let inputs = first.inputs
            let columns = (0..<outputs).flatMap { output in
                crossNumbers.map { first.weights[output * inputs + at + $0] }
            }
            let layer = DenseLayer(
                weights: columns, bias: [Float](repeating: 0, count: outputs), inputs: crossNumbers.count,
                precision: .f32)
            cross = layer
            crossStride = layer.inputStride
        }
        further = weights.layers.dropFirst().map {
            DenseLayer(weights: $0.weights, bias: $0.bias, inputs: $0.inputs, precision: precision)
        }
        output = Self.floats(DenseAlgebra.padded(weights.output.count))
        output.update(from: weights.output, count: weights.output.count)
        request = Part(weights, layout) { $0 == .user || $0 == .context }
        let itemPart = Part(weights, layout, hasBias: false) { $0 == .item }
        let count = items.count
        itemParts = AlignedMemory.allocate(byteCount: count * firstStride * 2)
            .bindMemory(to: UInt16.self, capacity: count * firstStride)
        itemSums = Self.floats(max(count * width, 1))
        itemLogits = Self.floats(count)
        let parts = (itemParts, itemSums, itemLogits)
        let stride = firstStride
        // Writes to disjoint rows.
        nonisolated(unsafe) let (sealed, source) = (parts, items)
        Parallel.forEach(count: count, grain: 1024, threads: Parallel.coreCount) { range in
            let room = PartRoom(width: width, firstStride: stride, inputs: itemPart.inputStride)
            for row in range {
                sealed.2[row] = itemPart.apply(source, row, room)
                (sealed.1 + row * width).update(from: room.sum, count: width)
                Kernels.narrow(room.first, count: stride, into: sealed.0 + row * stride)
            }
        }
    }

    deinit {
        output.deallocate()
        itemParts.deallocate()
        itemSums.deallocate()
        itemLogits.deallocate()
    }

    static func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        let base = AlignedMemory.allocate(byteCount: max(count, 1) * 4)
            .bindMemory(to: Float.self, capacity: max(count, 1))
        base.update(repeating: 0, count: max(count, 1))
        return base
    }

    /// Takes what is the same for all candidates of a request.
    ///
    /// - Parameter row: Of `rows`; its item fields and cross numbers are not looked at.
    package func begin(_ rows: FeatureRows, _ row: Int, _ scratch: SplitScratch) {
        precondition(rows.layout == layout, "rows of another layout")
        scratch.logit = request.apply(rows, row, scratch.room)
    }

    /// The logits of candidates of the request that `begin` took.
    ///
    /// - Parameters:
    ///   - items: Their rows, at most `Network.rowsTogether`.
    ///   - numbers: Their cross numbers, `crossStride` apart, zeros past `crossNumbers.count`.
    package func score(
        _ items: UnsafeBufferPointer<UInt32>, numbers: UnsafePointer<Float>, _ scratch: SplitScratch,
        into logits: UnsafeMutablePointer<Float>
    ) {
        precondition(items.count <= Network.rowsTogether, "\(items.count) candidates at once")
        guard let ids = items.baseAddress else { return }
        let count = items.count
        let first = scratch.layers.input
        EmbeddingKernels.addGathered(
            itemParts, isHalf: true, width: firstStride, ids: ids, rows: count, start: scratch.room.first,
            relu: cross == nil, into: first, stride: firstStride)
        if let cross {
            cross.apply(
                numbers, stride: crossStride, rows: count, start: first, startStride: firstStride, relu: true,
                into: first)
        }
        let last = scratch.layers.forward(further[...], first, stride: firstStride, rows: count, isSigned: false)
        let width = further.last?.outputStride ?? firstStride
        Kernels.dot(output, rows: last, stride: width, count: count, dimension: width, into: logits)
        addPairs(ids, count, scratch, to: logits)
        for row in 0..<count {
            var sum = scratch.logit + itemLogits[Int(ids[row])]
            if shape.hasLinear {
                for (place, number) in crossNumbers.enumerated() {
                    sum += numbers[row * crossStride + place] * request.denseLinear[number]
                }
            }
            logits[row] += sum
        }
    }

    private func addPairs(
        _ ids: UnsafePointer<UInt32>, _ count: Int, _ scratch: SplitScratch, to logits: UnsafeMutablePointer<Float>
    ) {
        guard shape.hasPairs else { return }
        let width = shape.embeddingWidth
        let sums = scratch.sums
        EmbeddingKernels.addGathered(
            itemSums, isHalf: false, width: width, ids: ids, rows: count, start: scratch.room.sum, relu: false,
            into: sums,
            stride: width)
        for row in 0..<count {
            var square: Float = 0
            for place in 0..<width { square += sums[row * width + place] * sums[row * width + place] }
            logits[row] += square / 2
        }
    }
}

/// Where a request's parts and its candidates' activations live; one for each thread.
package final class SplitScratch {
    let layers: NetworkScratch
    let room: PartRoom
    let sums: UnsafeMutablePointer<Float>
    var logit: Float = 0

    package init(_ network: SplitNetwork) {
        layers = NetworkScratch(layers: network.further, inputStride: network.firstStride)
        room = network.makeRoom()
        sums = SplitNetwork.floats(Network.rowsTogether * NetworkShape.embeddingWidthMax)
    }

    deinit { sums.deallocate() }
}

extension SplitNetwork {
    fileprivate func makeRoom() -> PartRoom {
        PartRoom(width: shape.embeddingWidth, firstStride: firstStride, inputs: request.inputStride)
    }
}
