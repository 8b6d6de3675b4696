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
/// Only the further layers are left for each candidate. Items' parts are computed in Float32 and held as such or as IEEE
/// halves; cross numbers are multiplied in Float32; requests' parts and further layers are in the network's precision.
/// `@unchecked Sendable`: nothing is written after `init`.
package final class SplitNetwork: @unchecked Sendable {
    package let network: Network
    package let itemCount: Int
    /// Numbers of the dense fields that differ from candidate to candidate, in their order.
    package let crossNumbers: [Int]
    /// Floats of a candidate's row of cross numbers.
    package let crossStride: Int
    /// Whether items' parts are halves.
    package let isHalf: Bool
    /// Bytes of the items' parts.
    package let byteCount: Int

    let firstStride: Int
    /// What a request's own row is scored by: everything but the item and the cross numbers.
    let request: NetworkPart
    let cross: DenseLayer?
    let itemParts: UnsafeMutableRawPointer
    let itemSums: UnsafeMutablePointer<Float>
    let itemLogits: UnsafeMutablePointer<Float>

    /// Whether a network of this layout has a first layer that can be cut: it is deep, and what differs from candidate to
    /// candidate and is not of items are numbers.
    package static func isPossible(_ shape: NetworkShape, _ layout: FeatureLayout) -> Bool {
        shape.isDeep && !layout.categorical.contains(where: \.isPerCandidate)
    }

    /// Bytes of `itemCount` items' parts.
    package static func byteCount(_ shape: NetworkShape, itemCount: Int, isHalf: Bool) -> Int {
        let first = DenseAlgebra.padded(shape.hidden.first ?? 0)
        return itemCount * (first * (isHalf ? 2 : 4) + (shape.embeddingWidth + 1) * 4)
    }

    /// Cuts a network and computes the items' parts.
    ///
    /// - Parameters:
    ///   - weights: The network's own.
    ///   - items: The encoded item features, a row an item.
    ///   - threads: That compute the parts.
    /// - Returns: Nil where it cannot be cut, or there are no items.
    /// - Complexity: O(items * item columns * first layer), `byteCount` bytes.
    package init?(
        _ weights: NetworkWeights, of network: Network, items: FeatureRows, isHalf: Bool,
        threads: Int = Parallel.coreCount
    ) {
        let layout = network.layout
        guard items.layout == layout, items.count > 0, Self.isPossible(weights.shape, layout) else { return nil }
        self.network = network
        self.isHalf = isHalf
        let outputs = weights.layers[0].bias.count
        let firstStride = DenseAlgebra.padded(outputs)
        self.firstStride = firstStride
        let width = weights.shape.embeddingWidth
        byteCount = Self.byteCount(weights.shape, itemCount: items.count, isHalf: isHalf)
        itemCount = items.count
        let crossNumbers = layout.dense.indices.filter { layout.dense[$0].isPerCandidate }
        self.crossNumbers = crossNumbers
        let at = layout.categorical.count * width
        cross =
            crossNumbers.isEmpty
            ? nil : NetworkPart.layer(weights.layers[0], crossNumbers.map { at + $0 }, hasBias: false, .f32)
        crossStride = cross?.inputStride ?? 0
        request = NetworkPart(weights, of: network, precision: network.precision, hasBias: true) {
            $0 != .item && !$1
        }
        let part = NetworkPart(weights, of: network, precision: .f32, hasBias: false) { side, _ in side == .item }
        itemParts = AlignedMemory.allocate(byteCount: items.count * firstStride * (isHalf ? 2 : 4))
        itemSums = Self.floats(items.count * width)
        itemLogits = Self.floats(items.count)
        // Threads write disjoint rows.
        nonisolated(unsafe) let (parts, sums, logits, source) = (itemParts, itemSums, itemLogits, items)
        let together = Network.rowsTogether
        Parallel.forEach(count: items.count, grain: 2 * together, threads: threads) { range in
            let scratch = NetworkScratch(layers: [], inputStride: max(part.inputStride, firstStride))
            let block = Self.floats(together * firstStride)
            defer { block.deallocate() }
            for first in Swift.stride(from: range.lowerBound, to: range.upperBound, by: together) {
                let rows = first..<min(first + together, range.upperBound)
                part.apply(
                    source, rows, scratch, first: block, sums: sums + first * width, logits: logits + first)
                let values = rows.count * firstStride
                if isHalf {
                    Kernels.narrow(
                        block, count: values,
                        into: parts.assumingMemoryBound(to: UInt16.self) + first * firstStride)
                } else {
                    (parts.assumingMemoryBound(to: Float.self) + first * firstStride).update(from: block, count: values)
                }
            }
        }
    }

    deinit {
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
}
