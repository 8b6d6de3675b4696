import Features
import Foundation
import RankingModels
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct ListLossTests {
    private func list(_ random: inout SeededGenerator) -> (logits: [Float], labels: [Float]) {
        let count = Int.random(in: 3...12, using: &random)
        let logits = (0..<count).map { _ in Float.random(in: -2...2, using: &random) }
        var labels = (0..<count).map { _ in Float(Int.random(in: 0...3, using: &random) == 0 ? 1 : 0) }
        labels[0] = 1
        labels[1] = 0
        return (logits, labels)
    }

    @Test func `the softmax's derivatives are those that differences show`() {
        var random = SeededGenerator(seed: 3)
        var loss = ListLoss(.softmax, k: 20)
        for _ in 0..<50 {
            let (logits, labels) = list(&random)
            var (gradients, unused) = ([Float](), [Float]())
            _ = loss.derive(logits, labels, scale: 1, &gradients)
            for at in logits.indices {
                var (up, down) = (logits, logits)
                up[at] += 1e-2
                down[at] -= 1e-2
                let slope =
                    (loss.derive(up, labels, scale: 1, &unused) - loss.derive(down, labels, scale: 1, &unused)) / 2e-2
                #expect(abs(slope - Double(gradients[at])) < 2e-3, "\(slope) and \(gradients[at])")
            }
        }
    }

    @Test func `pairs push what was chosen up, the rest down, and most where ndcg gains most`() {
        var random = SeededGenerator(seed: 4)
        var loss = ListLoss(.lambdarank, k: 20)
        for _ in 0..<50 {
            let (logits, labels) = list(&random)
            var gradients: [Float] = []
            #expect(loss.derive(logits, labels, scale: 0.5, &gradients) > 0)
            for (gradient, label) in zip(gradients, labels) { #expect(label > 0.5 ? gradient < 0 : gradient > 0) }
            #expect(abs(gradients.reduce(0, +)) < 1e-4)
        }
        var gradients: [Float] = []
        // The pair of the first two places changes ndcg more than that of the last two, by as much margin.
        _ = loss.derive([4, 3, 2, 1], [0, 1, 0, 0], scale: 1, &gradients)
        #expect(gradients[0] > gradients[3])
    }

    @Test(arguments: [NetworkLoss.softmax, .lambdarank])
    func `a list of one label has no derivative`(kind: NetworkLoss) {
        var loss = ListLoss(kind, k: 5)
        for labels in [[Float](repeating: 1, count: 3), [Float](repeating: 0, count: 3)] {
            var gradients: [Float] = []
            #expect(loss.derive([1, 2, 3], labels, scale: 1, &gradients) == 0 && gradients == [0, 0, 0])
        }
    }

    @Test func `ndcg is that of the definition`() throws {
        #expect(ListLoss.ndcg([3, 2, 1] as [Float], [1, 0, 0] as [Float], k: 3) == 1)
        let second = try #require(ListLoss.ndcg([3, 2, 1] as [Float], [0, 1, 0] as [Float], k: 3))
        #expect(abs(second - 1 / log2(3)) < 1e-12)
        #expect(ListLoss.ndcg([3, 2, 1] as [Float], [0, 0, 1] as [Float], k: 2) == 0)
        #expect(ListLoss.ndcg([3, 2] as [Float], [0, 0] as [Float], k: 2) == nil)
    }

    /// Lists whose order one number decides, beside another that says only which list it is.
    private func lists(_ count: Int, seed: UInt64) -> LabelledRows {
        let schema = FeatureSchema(fields: [
            FeatureField("x", from: .column("x"), .dense(.none, missing: 0)),
            FeatureField("list", from: .column("list"), .dense(.none, missing: 0)),
        ])
        var random = SeededGenerator(seed: seed)
        let data = LabelledRows(FeatureLayout(schema))
        for _ in 0..<count {
            let own = Float.random(in: -3...3, using: &random)
            let values = (0..<10).map { _ in Float.random(in: -1...1, using: &random) }
            let chosen = values.indices.max { values[$0] < values[$1] }
            for place in values.indices {
                data.append(label: place == chosen) { rows, row in
                    rows.set(row, dense: 0, to: values[place])
                    rows.set(row, dense: 1, to: own)
                }
            }
            data.endList()
        }
        return data
    }

    @Test(arguments: NetworkLoss.allCases)
    func `a network learns the order of lists, on any number of threads alike`(loss: NetworkLoss) throws {
        let (training, test) = (lists(300, seed: 1), lists(100, seed: 2))
        var configuration = NetworkConfiguration(
            shape: .init(embeddingWidth: 0, hidden: [16], hasLinear: true, hasPairs: false))
        configuration.loss = loss
        configuration.batchRows = 64
        configuration.learningRate = 0.01
        configuration.epochs = 8
        func fit(_ threads: Int) throws -> NetworkFit {
            try NetworkFit.fit(configuration, training, validation: test, threads: threads, clock: { 0 })
        }
        let one = try fit(1)
        let ndcg = try #require(one.epochs[one.best - 1].ndcg)
        #expect(ndcg > 0.95, "\(ndcg)")
        #expect(try fit(3).weights == one.weights)
    }

    @Test func `a loss of lists wants lists, and takes one that is longer than a batch`() throws {
        let data = lists(30, seed: 5)
        var configuration = NetworkConfiguration(
            shape: .init(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false))
        configuration.loss = .softmax
        configuration.batchRows = 4
        configuration.epochs = 1
        _ = try NetworkFit.fit(configuration, data, validation: data, threads: 2, clock: { 0 })
        let loose = LabelledRows(data.rows.layout)
        for row in 0..<data.count { loose.append(label: data.labels[row] > 0.5, copying: row, of: data.rows) }
        #expect(throws: DatasetError.self) {
            try NetworkFit.fit(configuration, loose, validation: data, threads: 2, clock: { 0 })
        }
    }

    @Test func `calibration leaves orders, makes the mean right, and stands in the weights`() throws {
        let schema = FeatureSchema(fields: [
            FeatureField("a", from: .column("a"), .categorical(.hashed(buckets: 6), isMultivalued: false)),
            FeatureField("b", from: .column("b"), .categorical(.hashed(buckets: 6), isMultivalued: false)),
            FeatureField("x", from: .column("x"), .dense(.none, missing: 0)),
        ])
        let layout = FeatureLayout(schema)
        var random = SeededGenerator(seed: 6)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &random) } }
        let weights = NetworkWeights(
            shape: .init(embeddingWidth: 3, hidden: [5], hasLinear: true, hasPairs: true),
            table: values(layout.tableRows * 3), linear: values(layout.tableRows), denseLinear: values(1),
            layers: [.init(weights: values(5 * 7), bias: values(5))], output: values(5), bias: 0.3)
        let data = LabelledRows(layout)
        for _ in 0..<2000 {
            data.append(label: Int.random(in: 0..<10, using: &random) == 0) { rows, row in
                rows.set(row, categorical: 0, to: UInt32.random(in: 0...6, using: &random))
                rows.set(row, categorical: 1, to: 7 + UInt32.random(in: 0...6, using: &random))
                rows.set(row, dense: 0, to: Float.random(in: -1...1, using: &random))
            }
        }
        func scores(_ weights: NetworkWeights) -> [Float] {
            NetworkFit.scores(Network(weights, layout: layout), data.rows, threads: 1)
        }
        let before = scores(weights)
        // Chosen the likelier the higher the score is, on another scale.
        let labels = before.map {
            Float.random(in: 0...1, using: &random) < 1 / (1 + exp(-(0.5 * $0 - 2))) ? Float(1) : 0
        }
        let calibration = LogitCalibration(logits: before, labels: labels)
        #expect(abs(calibration.factor - 0.5) < 0.25 && abs(calibration.offset + 2) < 0.5, "\(calibration)")
        let after = scores(calibration.apply(weights, denseCount: 1))
        for (a, b) in zip(before, after) {
            #expect(abs(Double(b) - (calibration.factor * Double(a) + calibration.offset)) < 1e-4)
        }
        let metrics = BinaryMetrics(logits: after, labels: labels)
        #expect(abs(try #require(metrics.calibration) - 1) < 1e-3)
        // Too few choices say nothing.
        #expect(LogitCalibration(logits: [1, 2, 3], labels: [0, 1, 0]).factor == 1)
    }
}
