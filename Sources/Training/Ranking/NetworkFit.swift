import Features
import RankingModels
import VectorMath

/// A fitted network and how it did.
package struct NetworkFit: Sendable {
    /// How one pass went.
    package struct Epoch: Sendable {
        package var number: Int
        /// Mean loss of the training examples, or lists, as they went by.
        package var loss: Double
        package var validation: BinaryMetrics
        /// Mean ndcg of the validation lists; nil where examples are in none.
        package var ndcg: Double?
        package var rowsPerSecond: Double
    }

    /// Those of the epoch with the best AUC on the validation examples; with a loss of lists, with the best ndcg.
    package var weights: NetworkWeights
    package var epochs: [Epoch]
    package var best: Int

    /// Fits a network.
    ///
    /// - Parameters:
    ///   - validation: What decides when to stop and which epoch is kept; without both labels the last epoch is.
    ///   - clock: Seconds, to report rates.
    /// - Throws: `CancellationError`; `DatasetError` when a configuration or the examples cannot be used, or the loss is no
    ///   number any more.
    package static func fit(
        _ configuration: NetworkConfiguration, _ data: LabelledRows, validation: LabelledRows, threads: Int,
        clock: () -> Double, progress: (Epoch) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws -> NetworkFit {
        let layout = data.rows.layout
        if let fault = configuration.fault() {
            throw DatasetError(.unreadable, "the network cannot be fitted: \(fault)")
        }
        guard data.count > 0 else { throw DatasetError(.unreadable, "there are no examples to fit a network to") }
        guard data.labels.contains(1), data.labels.contains(0) else {
            throw DatasetError(
                .unreadable,
                "all \(data.count) examples are \(data.labels[0] > 0.5 ? "positive" : "negative"), so there is nothing to tell apart; where labels are no 0 and 1, say with --positive-above which are positive"
            )
        }
        if configuration.loss.isListwise, data.listEnds.last != data.count {
            throw DatasetError(
                .unreadable, "a loss of \(configuration.loss.rawValue) needs examples that stand in lists")
        }
        let trainer = NetworkTrainer(
            configuration, layout, threads: max(threads, 1), listRowsMax: data.lists.map(\.count).max() ?? 0)
        var fit = NetworkFit(weights: trainer.weights, epochs: [], best: 0)
        var best = -1.0
        for number in 1...configuration.epochs {
            let started = clock()
            let loss = trainer.epoch(number, data, isCancelled: isCancelled)
            if isCancelled() { throw CancellationError() }
            guard loss.isFinite else {
                throw DatasetError(
                    .unreadable,
                    "the loss became \(loss) in epoch \(number); a lower learning rate than \(configuration.learningRate) may help"
                )
            }
            let seconds = max(clock() - started, 1e-9)
            let weights = trainer.weights
            let logits = scores(Network(weights, layout: layout), validation.rows, threads: threads)
            let metrics = BinaryMetrics(logits: logits, labels: validation.labels)
            let ndcg = ndcg(logits, validation, k: configuration.listK)
            let epoch = Epoch(
                number: number, loss: loss, validation: metrics, ndcg: ndcg,
                rowsPerSecond: Double(data.count) / seconds)
            fit.epochs.append(epoch)
            progress(epoch)
            let quality = (configuration.loss.isListwise ? ndcg : metrics.auc) ?? Double(number)
            if quality > best {
                best = quality
                fit.best = number
                fit.weights = weights
            } else if number - fit.best >= configuration.patience {
                break
            }
        }
        return fit
    }

    /// Mean ndcg@k of the lists that hold a positive example; nil without such.
    private static func ndcg(_ logits: [Float], _ data: LabelledRows, k: Int) -> Double? {
        let found = data.lists.compactMap { ListLoss.ndcg(logits[$0], data.labels[$0], k: k) }
        return found.isEmpty ? nil : found.reduce(0, +) / Double(found.count)
    }

    /// How well a network foretells labels.
    package static func evaluate(
        _ weights: NetworkWeights, _ data: LabelledRows, precision: LayerPrecision = .f32, threads: Int
    ) -> BinaryMetrics {
        let network = Network(weights, layout: data.rows.layout, precision: precision)
        return BinaryMetrics(logits: scores(network, data.rows, threads: threads), labels: data.labels)
    }
}
