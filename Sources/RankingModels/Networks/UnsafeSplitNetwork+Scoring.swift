import Features
import VectorMath

/// What is the same for all candidates of a request: its share of the first layer, of the embeddings' sums and of the logit.
/// One for each request under way.
package final class SplitRequest {
    let first: UnsafeMutablePointer<Float>
    let sum: UnsafeMutablePointer<Float>
    var logit: Float = 0

    package init(_ split: SplitNetwork) {
        first = SplitNetwork.floats(split.firstStride)
        sum = SplitNetwork.floats(split.network.shape.embeddingWidth)
    }

    deinit {
        first.deallocate()
        sum.deallocate()
    }
}

/// Where requests' parts and candidates' activations live; one for each thread.
package final class SplitScratch {
    let layers: NetworkScratch
    let sums: UnsafeMutablePointer<Float>
    let logits: UnsafeMutablePointer<Float>
    let first: UnsafeMutablePointer<Float>

    package init(_ split: SplitNetwork) {
        let rows = Network.rowsTogether
        layers = NetworkScratch(
            layers: split.network.layers, inputStride: max(split.request.inputStride, split.firstStride))
        sums = SplitNetwork.floats(rows * max(split.network.shape.embeddingWidth, 1))
        logits = SplitNetwork.floats(rows)
        first = SplitNetwork.floats(rows * split.firstStride)
    }

    deinit {
        sums.deallocate()
        logits.deallocate()
        first.deallocate()
    }
}

extension SplitNetwork {
    /// Candidates of one request in a batch.
    package struct Seat {
        package var request: SplitRequest
        /// Rows of the items.
        package var items: UnsafeBufferPointer<UInt32>
        /// The cross numbers, `crossStride` apart, zeros past `crossNumbers.count`.
        package var numbers: UnsafePointer<Float>

        package init(request: SplitRequest, items: UnsafeBufferPointer<UInt32>, numbers: UnsafePointer<Float>) {
            self.request = request
            self.items = items
            self.numbers = numbers
        }
    }

    /// Takes what is the same for all candidates of some requests.
    ///
    /// - Parameters:
    ///   - rows: A row for each request; item fields and cross numbers are not looked at.
    /// - Complexity: One product for all of them.
    package func begin(_ requests: [SplitRequest], _ rows: FeatureRows, _ scratch: SplitScratch) {
        precondition(rows.layout == network.layout && rows.count >= requests.count, "rows of another layout, or few")
        let width = network.shape.embeddingWidth
        var done = 0
        while done < requests.count {
            let count = min(requests.count - done, Network.rowsTogether)
            request.apply(
                rows, done..<(done + count), scratch.layers, first: scratch.first, sums: scratch.sums,
                logits: scratch.logits)
            for place in 0..<count {
                let request = requests[done + place]
                request.first.update(from: scratch.first + place * firstStride, count: firstStride)
                request.sum.update(from: scratch.sums + place * width, count: width)
                request.logit = scratch.logits[place]
            }
            done += count
        }
    }

    /// The logits of candidates of several requests, seat by seat; the result of a row does not depend on the others.
    ///
    /// - Parameters:
    ///   - seats: Their requests have begun; at most `Network.rowsTogether` rows together, each below `itemCount`.
    ///   - logits: Room for all rows.
    /// - Complexity: O(rows * weights of the further layers); one product a layer.
    package func score(_ seats: [Seat], _ scratch: SplitScratch, into logits: UnsafeMutablePointer<Float>) {
        let first = scratch.layers.input
        var count = 0
        for seat in seats {
            guard let ids = seat.items.baseAddress else { continue }
            let (rows, out) = (seat.items.count, first + count * firstStride)
            precondition(count + rows <= Network.rowsTogether, "\(count + rows) candidates at once")
            EmbeddingKernels.addGathered(
                itemParts, isHalf: isHalf, width: firstStride, ids: ids, rows: rows, start: seat.request.first,
                relu: cross == nil, into: out, stride: firstStride)
            cross?.apply(
                seat.numbers, stride: crossStride, rows: rows, start: out, startStride: firstStride, relu: true,
                into: out)
            count += rows
        }
        let further = network.layers.dropFirst()
        let last = scratch.layers.forward(further, first, stride: firstStride, rows: count, isSigned: false)
        let width = further.last?.outputStride ?? firstStride
        Kernels.dot(network.output, rows: last, stride: width, count: count, dimension: width, into: logits)
        var done = 0
        for seat in seats {
            addShares(seat, scratch, to: logits + done)
            done += seat.items.count
        }
    }

    /// Adds pairs, linear terms and biases.
    private func addShares(_ seat: Seat, _ scratch: SplitScratch, to logits: UnsafeMutablePointer<Float>) {
        guard let ids = seat.items.baseAddress else { return }
        let width = network.shape.embeddingWidth
        if network.shape.hasPairs {
            EmbeddingKernels.addGathered(
                itemSums, isHalf: false, width: width, ids: ids, rows: seat.items.count, start: seat.request.sum,
                relu: false, into: scratch.sums, stride: width)
        }
        for row in 0..<seat.items.count {
            var sum = seat.request.logit + itemLogits[Int(ids[row])]
            if network.shape.hasPairs {
                let own = scratch.sums + row * width
                sum += Kernels.dot(own, own, dimension: width) / 2
            }
            if network.shape.hasLinear {
                for (place, number) in crossNumbers.enumerated() {
                    sum += seat.numbers[row * crossStride + place] * network.denseLinear[number]
                }
            }
            logits[row] += sum
        }
    }
}
