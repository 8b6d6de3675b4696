import FactorModels
import Features
import Foundation
import RankingModels
import VectorMath

/// Fits a network by stochastic gradient steps (Adam) on the loss of single examples or of lists.
///
/// A step has two parts, each dealt to threads: runs of examples go forward and back; then slabs of layers and fields of the
/// table are moved. What a task computes does not depend on the thread, so a seed gives the same network on any number of them.
final class NetworkTrainer {
    private let configuration: NetworkConfiguration
    private let layout: FeatureLayout
    private let threads: Int
    private let table: TrainedTable
    private let layers: [TrainedLayer]
    private let head: TrainedHead
    private let inputCount: Int
    private let inputStride: Int
    private var number = 0
    private var listLoss: ListLoss?

    /// Examples that one task takes forward and back.
    private static let runRows = 64

    // Of a batch: inputs and activations, derivatives by them, and those in panels.
    private let input: DenseMatrix
    private let inputGradients: DenseMatrix
    private let activations: [DenseMatrix]
    private let gradients: [DenseMatrix]
    private let panels: [DenseMatrix]
    private let logits: DenseMatrix
    private var rooms: [TrainedTable.Room]
    private var slabRooms: [DenseMatrix]

    /// - Parameter listRowsMax: Examples of the longest list, which must fit in a batch.
    init(_ configuration: NetworkConfiguration, _ layout: FeatureLayout, threads: Int, listRowsMax: Int = 0) {
        var configuration = configuration
        if configuration.loss.isListwise { configuration.batchRows = max(configuration.batchRows, listRowsMax) }
        self.configuration = configuration
        listLoss = configuration.loss.isListwise ? ListLoss(configuration.loss, k: configuration.listK) : nil
        self.layout = layout
        self.threads = threads
        let shape = configuration.shape
        var random = NormalDeviates(seed: configuration.seed, stream: 0)
        table = TrainedTable(
            layout, width: shape.embeddingWidth, hasLinear: shape.hasLinear,
            scale: Float(configuration.embeddingScale), random: &random)
        inputCount = shape.inputs(layout)
        inputStride = DenseAlgebra.padded(max(inputCount, 1))
        var inputs = inputCount
        var layers: [TrainedLayer] = []
        for (place, outputs) in shape.hidden.enumerated() {
            var random = NormalDeviates(seed: configuration.seed, stream: UInt64(place) + 1)
            layers.append(TrainedLayer(inputs: inputs, outputs: outputs, random: &random))
            inputs = outputs
        }
        self.layers = layers
        head = TrainedHead(
            width: shape.hidden.last ?? 0, dense: shape.hasLinear ? layout.dense.count : 0,
            random: NormalDeviates(seed: configuration.seed, stream: 99))
        let rows = configuration.batchRows
        input = DenseMatrix(rowCount: rows, columnCount: max(inputCount, 1))
        inputGradients = DenseMatrix(rowCount: rows, columnCount: max(inputCount, 1))
        activations = layers.map { DenseMatrix(rowCount: rows, columnCount: $0.outputCount) }
        gradients = layers.map { DenseMatrix(rowCount: rows, columnCount: $0.outputCount) }
        panels = layers.map { DenseMatrix(rowCount: rows, columnCount: $0.outputCount) }
        logits = DenseMatrix(rowCount: 3, columnCount: rows)
        rooms = layout.categorical.map { _ in TrainedTable.Room() }
        slabRooms = layers.flatMap { layer in
            (0..<layer.slabs).map { _ in
                DenseMatrix(rowCount: TrainedLayer.slabRows, columnCount: layer.outputCount)
            }
        }
    }

    /// What has been learnt so far.
    var weights: NetworkWeights {
        NetworkWeights(
            shape: configuration.shape, table: table.trainedTable, linear: table.trainedLinear,
            denseLinear: head.denseLinear, layers: layers.map(\.trained), output: head.output, bias: head.bias)
    }

    /// One pass over the examples in an order of its own.
    ///
    /// - Returns: The mean loss of the examples, or lists, as they went by.
    func epoch(_ epoch: Int, _ data: LabelledRows, isCancelled: () -> Bool) -> Double {
        var random = SplitMix64(seed: configuration.seed &* 1_000_003 &+ UInt64(epoch))
        guard !configuration.loss.isListwise else { return listEpoch(epoch, data, &random, isCancelled) }
        var order = (0..<Int32(data.count)).map { $0 }
        order.shuffle(using: &random)
        var loss = 0.0
        for begin in stride(from: 0, to: order.count, by: configuration.batchRows) {
            if isCancelled() { break }
            let batch = order[begin..<min(order.count, begin + configuration.batchRows)]
            loss += step(batch, [], data, UInt64(epoch))
        }
        return loss / Double(max(data.count, 1))
    }

    /// Batches of whole lists.
    private func listEpoch(
        _ epoch: Int, _ data: LabelledRows, _ random: inout SplitMix64, _ isCancelled: () -> Bool
    ) -> Double {
        var order = data.lists
        order.shuffle(using: &random)
        var (loss, batch, ends) = (0.0, [Int32](), [Int]())
        for (number, list) in order.enumerated() {
            batch.append(contentsOf: list.lazy.map { Int32($0) })
            ends.append(batch.count)
            let isLast = number == order.count - 1
            guard isLast || batch.count + order[number + 1].count > configuration.batchRows else { continue }
            if isCancelled() { break }
            loss += step(batch[...], ends, data, UInt64(epoch))
            batch.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
        }
        return loss / Double(max(order.count, 1))
    }

    /// - Parameter ends: Where lists end in the batch; empty: each example has a loss of its own.
    private func step(_ batch: ArraySlice<Int32>, _ ends: [Int], _ data: LabelledRows, _ epoch: UInt64) -> Double {
        number += 1
        let rows = batch.count
        Parallel.forEach(count: rows, grain: Self.runRows, threads: threads) { run in
            self.forward(run, batch, data)
            self.drop(run, batch, epoch)
            self.finishLogits(run)
            guard ends.isEmpty else { return }
            self.derive(run, batch, data, rows)
            self.backward(run, rows)
        }
        var listLoss = 0.0
        if !ends.isEmpty {
            listLoss = deriveLists(ends, batch, data)
            Parallel.forEach(count: rows, grain: Self.runRows, threads: threads) { self.backward($0, rows) }
        }
        func adam(_ decay: Double) -> AdamStep {
            AdamStep(number: number, learningRate: configuration.learningRate, weightDecay: decay)
        }
        let (dense, sparse) = (adam(configuration.weightDecay), adam(configuration.embeddingDecay))
        let slabs = layers.reduce(0) { $0 + $1.slabs }
        Parallel.forEach(count: slabs + layout.categorical.count, grain: 1, threads: threads) { tasks in
            for task in tasks {
                if task < layout.categorical.count {
                    self.updateField(task, batch, data, sparse, dense)
                } else {
                    self.updateSlab(task - layout.categorical.count, rows, dense)
                }
            }
        }
        let last = activations.last
        head.update(
            activations: last?.base, stride: last?.stride ?? 0, data: data, batch: batch,
            g: logits.base + logits.stride,
            dense)
        guard ends.isEmpty else { return listLoss }
        var loss = 0.0
        for row in 0..<rows { loss += Double(logits.base[2 * logits.stride + row]) }
        return loss
    }

    // MARK: Forward and back

    private func forward(_ run: Range<Int>, _ batch: ArraySlice<Int32>, _ data: LabelledRows) {
        let (fields, width) = (layout.categorical.count, table.width)
        for place in run {
            let example = Int(batch[batch.startIndex + place])
            let row = input.base + place * inputStride
            var logit = head.bias
            if width > 0 {
                EmbeddingKernels.gather(
                    table.values, isHalf: false, width: width, ids: data.rows.ids + example * fields, rows: 1,
                    fields: fields, into: row, stride: inputStride)
                for (bag, field) in data.rows.bagFields.enumerated() {
                    pool(data.rows.bag(example, bag), into: row + field * width)
                }
            }
            for (number, _) in layout.dense.enumerated() {
                row[fields * width + number] = data.rows.dense[example * layout.dense.count + number]
            }
            if configuration.shape.hasLinear { logit += linear(example, data.rows) }
            logits.base[place] = logit
        }
        let first = input.base + run.lowerBound * inputStride
        if configuration.shape.hasPairs {
            EmbeddingKernels.addPairs(
                first, stride: inputStride, rows: run.count, fields: fields, width: width,
                to: logits.base + run.lowerBound)
        }
        if let layer = layers.first {
            layer.apply(first, rows: run.count, into: activations[0].base + run.lowerBound * layer.outputStride)
        }
    }

    private func linear(_ example: Int, _ rows: FeatureRows) -> Float {
        let fields = layout.categorical.count
        var sum = head.denseSum(rows.dense + example * layout.dense.count)
        for field in 0..<fields where !layout.categorical[field].isMultivalued {
            sum += table.linearWeight(rows.ids[example * fields + field])
        }
        for (bag, field) in rows.bagFields.enumerated() {
            let list = rows.bag(example, bag)
            if list.isEmpty {
                sum += table.linearWeight(rows.ids[example * fields + field])
            } else {
                sum += list.reduce(0) { $0 + table.linearWeight($1) } / Float(list.count)
            }
        }
        return sum
    }

    private func pool(_ bag: ArraySlice<UInt32>, into out: UnsafeMutablePointer<Float>) {
        guard bag.count > 1 else { return }
        let share = 1 / Float(bag.count)
        for place in 0..<table.width {
            out[place] = bag.reduce(0) { $0 + table.values[Int($1) * table.width + place] } * share
        }
    }

    /// The layers after the first, each with a part of its inputs left out.
    private func drop(_ run: Range<Int>, _ batch: ArraySlice<Int32>, _ epoch: UInt64) {
        for (number, layer) in layers.enumerated() {
            let out = activations[number].base + run.lowerBound * layer.outputStride
            if number > 0 {
                let before = layers[number - 1]
                layer.apply(
                    activations[number - 1].base + run.lowerBound * before.outputStride, rows: run.count, into: out)
            }
            guard configuration.dropout > 0 else { continue }
            // A byte of chance for each output; what stays is scaled so that sums keep their size.
            let threshold = UInt64((configuration.dropout * 256).rounded())
            let scale = 256 / Float(256 - threshold)
            for place in 0..<run.count {
                let example = UInt64(batch[batch.startIndex + run.lowerBound + place])
                var random = SplitMix64(
                    seed: configuration.seed ^ (epoch &* 64 &+ UInt64(number)) &* 0x9E37_79B9 ^ example &<< 20)
                var bits: UInt64 = 0
                let row = out + place * layer.outputStride
                for output in 0..<layer.outputCount {
                    if output & 7 == 0 { bits = random.next() }
                    row[output] = bits & 255 < threshold ? 0 : row[output] * scale
                    bits >>= 8
                }
            }
        }
    }

    private func finishLogits(_ run: Range<Int>) {
        guard let last = activations.last else { return }
        for place in run { logits.base[place] += head.sum(last.base + place * last.stride) }
    }

    /// Losses of single examples and their derivatives.
    private func derive(_ run: Range<Int>, _ batch: ArraySlice<Int32>, _ data: LabelledRows, _ rows: Int) {
        let share = 1 / Float(rows)
        let (g, losses) = (logits.base + logits.stride, logits.base + 2 * logits.stride)
        for place in run {
            let logit = logits.base[place]
            let example = Int(batch[batch.startIndex + place])
            let (label, weight) = (data.labels[example], data.weights[example])
            losses[place] = weight * Float(BinaryMetrics.logLoss(Double(logit), Double(label)))
            g[place] = (1 / (1 + exp(-logit)) - label) * share * weight
        }
    }

    /// Losses of lists and their derivatives; the sum of the losses.
    private func deriveLists(_ ends: [Int], _ batch: ArraySlice<Int32>, _ data: LabelledRows) -> Double {
        guard var listLoss else { return 0 }
        let g = logits.base + logits.stride
        var (loss, begin, gradients) = (0.0, 0, [Float]())
        for end in ends {
            let examples = (begin..<end).map { Int(batch[batch.startIndex + $0]) }
            let labels = examples.map { data.labels[$0] }
            // A list counts as much as its chosen examples do.
            let chosen = examples.filter { data.labels[$0] > 0.5 }
            let weight = chosen.reduce(Float(0)) { $0 + data.weights[$1] } / Float(max(chosen.count, 1))
            loss +=
                Double(weight)
                * listLoss.derive(
                    UnsafeBufferPointer(start: logits.base + begin, count: end - begin), labels,
                    scale: weight / Float(ends.count), &gradients)
            for (place, gradient) in gradients.enumerated() { g[begin + place] = gradient }
            begin = end
        }
        return loss
    }

    private func backward(_ run: Range<Int>, _ rows: Int) {
        let g = logits.base + logits.stride
        let keep = Float(1 / (1 - (configuration.dropout * 256).rounded() / 256))
        for number in layers.indices.reversed() {
            let layer = layers[number]
            let (stride, count) = (layer.outputStride, layer.outputStride)
            let to = gradients[number].base + run.lowerBound * stride
            if number == layers.count - 1 {
                for place in 0..<run.count { head.spread(g[run.lowerBound + place], into: to + place * stride) }
            }
            // What a rectifier or chance has cut to zero has no derivative.
            let values = activations[number].base + run.lowerBound * stride
            for place in 0..<run.count {
                let packed = panels[number].base
                for at in Swift.stride(from: 0, to: count, by: 16) {
                    let here = place * stride + at
                    let value = UnsafeRawPointer(values + here).loadUnaligned(as: SIMD16<Float>.self)
                    var gradient = UnsafeRawPointer(to + here).loadUnaligned(as: SIMD16<Float>.self) * keep
                    gradient.replace(with: 0, where: value .<= 0)
                    UnsafeMutableRawPointer(to + here).storeBytes(of: gradient, as: SIMD16<Float>.self)
                    UnsafeMutableRawPointer(packed + (at / 16 * rows + run.lowerBound + place) * 16)
                        .storeBytes(of: gradient, as: SIMD16<Float>.self)
                }
            }
            let below = number > 0 ? gradients[number - 1] : inputGradients
            layer.back(to, rows: run.count, into: below.base + run.lowerBound * layer.inputStride)
        }
        let width = table.width
        guard width > 0 else { return }
        if layers.isEmpty {
            (inputGradients.base + run.lowerBound * inputStride).update(repeating: 0, count: run.count * inputStride)
        }
        if configuration.shape.hasPairs {
            EmbeddingKernels.addPairGradients(
                input.base + run.lowerBound * inputStride, stride: inputStride, rows: run.count,
                fields: layout.categorical.count, width: width, g: g + run.lowerBound,
                to: inputGradients.base + run.lowerBound * inputStride, gradientStride: inputStride)
        }
    }

    // MARK: Moves

    private func updateField(
        _ field: Int, _ batch: ArraySlice<Int32>, _ data: LabelledRows, _ step: AdamStep, _ linearStep: AdamStep
    ) {
        table.update(
            field: field, number: UInt32(truncatingIfNeeded: number), data: data.rows, examples: batch,
            gradients: table.width > 0 ? UnsafePointer(inputGradients.base) : nil, stride: inputStride,
            logits: logits.base + logits.stride, step, linearStep: linearStep, rooms[field])
    }

    private func updateSlab(_ task: Int, _ rows: Int, _ step: AdamStep) {
        var slab = task
        for (number, layer) in layers.enumerated() {
            if slab < layer.slabs {
                let from = number == 0 ? input : activations[number - 1]
                layer.update(
                    slab, input: from.base, gradients: panels[number].base, rows: rows, step,
                    room: slabRooms[task].base)
                return
            }
            slab -= layer.slabs
        }
    }
}
