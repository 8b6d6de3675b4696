import Features
import Foundation
import RankingModels
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct NetworkFitTests {
    /// Examples of a world in which only pairs of values decide: a factorization machine can know it, a sum cannot.
    private func examples(_ count: Int, seed: UInt64, bags: Bool = false) -> LabelledRows {
        let schema = FeatureSchema(fields: [
            FeatureField("a", from: .column("a"), .categorical(.hashed(buckets: 8), isMultivalued: false)),
            FeatureField("b", from: .column("b"), .categorical(.hashed(buckets: 8), isMultivalued: bags)),
            FeatureField("x", from: .column("x"), .dense(.none, missing: 0)),
        ])
        var random = SeededGenerator(seed: seed)
        let rows = LabelledRows(FeatureLayout(schema))
        for _ in 0..<count {
            let (a, b) = (UInt32.random(in: 0..<8, using: &random), UInt32.random(in: 0..<8, using: &random))
            let x = Float.random(in: -1...1, using: &random)
            let likely = 1 / (1 + exp(-(3 * ((a ^ b) & 1 == 0 ? 1 : -1) + 2 * x)))
            rows.append(label: Float.random(in: 0...1, using: &random) < likely) { rows, row in
                rows.set(row, categorical: 0, to: 1 + a)
                if bags { rows.setBags { _ in [10 + b, 10 + b] } } else { rows.set(row, categorical: 1, to: 10 + b) }
                rows.set(row, dense: 0, to: x)
            }
        }
        return rows
    }

    private func configuration(_ shape: NetworkShape) -> NetworkConfiguration {
        var configuration = NetworkConfiguration(shape: shape)
        configuration.batchRows = 128
        configuration.learningRate = 0.01
        configuration.embeddingScale = 0.1
        configuration.epochs = 12
        configuration.patience = 12
        return configuration
    }

    @Test(arguments: [false, true])
    func `each network learns what its shape can express`(bags: Bool) throws {
        let (training, test) = (examples(6000, seed: 1, bags: bags), examples(3000, seed: 2, bags: bags))
        func auc(_ shape: NetworkShape) throws -> Double {
            let fit = try NetworkFit.fit(
                configuration(shape), training, validation: test, threads: 2, clock: { 0 })
            return try #require(NetworkFit.evaluate(fit.weights, test, threads: 2).auc)
        }
        let linear = try auc(.init(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false))
        let pairs = try auc(.init(embeddingWidth: 4, hidden: [], hasLinear: true, hasPairs: true))
        let deep = try auc(.init(embeddingWidth: 4, hidden: [32, 16], hasLinear: false, hasPairs: false))
        let both = try auc(.init(embeddingWidth: 4, hidden: [32, 16], hasLinear: true, hasPairs: true))
        #expect((0.53...0.7).contains(linear), "\(linear)")
        for value in [pairs, deep, both] { #expect(value > 0.9, "\(value)") }
    }

    @Test func `a seed gives the same network on any number of threads`() throws {
        let data = examples(1000, seed: 3, bags: true)
        var configuration = configuration(.init(embeddingWidth: 8, hidden: [48, 20], hasLinear: true, hasPairs: true))
        configuration.dropout = 0.3
        configuration.weightDecay = 0.1
        configuration.epochs = 2
        func weights(_ threads: Int, seed: UInt64 = 1) throws -> NetworkWeights {
            configuration.seed = seed
            return try NetworkFit.fit(configuration, data, validation: data, threads: threads, clock: { 0 }).weights
        }
        let one = try weights(1)
        #expect(try weights(2) == one)
        #expect(try weights(5) == one)
        #expect(try weights(2, seed: 2) != one)
    }

    /// Adam's first step moves every weight by the learning rate against the sign of its gradient.
    @Test func `the first step goes down the slope that differences show`() throws {
        let data = examples(64, seed: 5)
        var configuration = configuration(.init(embeddingWidth: 4, hidden: [9, 5], hasLinear: true, hasPairs: true))
        configuration.batchRows = 64
        let layout = data.rows.layout
        let trainer = NetworkTrainer(configuration, layout, threads: 2)
        let before = trainer.weights
        _ = trainer.epoch(1, data, isCancelled: { false })
        let after = trainer.weights
        func loss(_ weights: NetworkWeights) -> Double { NetworkFit.evaluate(weights, data, threads: 1).logLoss }
        func check(_ name: String, _ path: WritableKeyPath<NetworkWeights, [Float]>) {
            var checked = 0
            for place in before[keyPath: path].indices {
                var (up, down) = (before, before)
                up[keyPath: path][place] += 2e-2
                down[keyPath: path][place] -= 2e-2
                let slope = (loss(up) - loss(down)) / 4e-2
                // Where a rectifier turns between the two, differences say little.
                guard abs(slope) > 2e-3 else { continue }
                checked += 1
                let moved = Double(after[keyPath: path][place] - before[keyPath: path][place])
                #expect(
                    abs(moved + 0.01 * (slope > 0 ? 1 : -1)) < 1e-4, "\(name)[\(place)] moved \(moved), slope \(slope)")
            }
            #expect(checked >= 3, "\(name): \(checked) slopes")
        }
        check("table", \.table)
        check("linear", \.linear)
        check("layer 0", \.layers[0].weights)
        check("layer 1", \.layers[1].weights)
        check("bias 0", \.layers[0].bias)
        check("output", \.output)
    }

    @Test func `what cannot be fitted is said`() {
        let data = examples(10, seed: 1)
        var configuration = configuration(.init(embeddingWidth: 4, hidden: [8], hasLinear: true, hasPairs: true))
        configuration.dropout = 1
        #expect(throws: DatasetError.self) {
            try NetworkFit.fit(configuration, data, validation: data, threads: 1, clock: { 0 })
        }
        configuration.dropout = 0
        #expect(throws: DatasetError.self) {
            try NetworkFit.fit(
                configuration, LabelledRows(data.rows.layout), validation: data, threads: 1, clock: { 0 })
        }
        #expect(throws: CancellationError.self) {
            try NetworkFit.fit(
                configuration, data, validation: data, threads: 1, clock: { 0 }, isCancelled: { true })
        }
    }

    @Test func `metrics are those of the definition`() throws {
        var random = SeededGenerator(seed: 9)
        let logits = (0..<300).map { _ in Float.random(in: -2...2, using: &random).rounded() / 2 }
        let labels = (0..<300).map { _ in Float(Bool.random(using: &random) ? 1 : 0) }
        let metrics = BinaryMetrics(logits: logits, labels: labels)
        var (better, pairs) = (0.0, 0.0)
        for i in 0..<300 where labels[i] == 1 {
            for j in 0..<300 where labels[j] == 0 {
                pairs += 1
                better += logits[i] > logits[j] ? 1 : logits[i] == logits[j] ? 0.5 : 0
            }
        }
        #expect(abs(try #require(metrics.auc) - better / pairs) < 1e-12)
        #expect(BinaryMetrics(logits: [1, 2], labels: [1, 1]).auc == nil)
        #expect(BinaryMetrics(logits: [100, -100], labels: [1, 0]).logLoss < 1e-20)
        #expect(abs(BinaryMetrics(logits: [0, 0], labels: [1, 0]).logLoss - log(2)) < 1e-12)
    }
}
