import Features
import RankingModels
import Testing
import VectorMath

@Suite struct NetworkTests {
    static let shapes: [NetworkShape] = [
        .init(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false),
        .init(embeddingWidth: 8, hidden: [], hasLinear: true, hasPairs: true),
        .init(embeddingWidth: 5, hidden: [17], hasLinear: false, hasPairs: false),
        .init(embeddingWidth: 16, hidden: [64, 40, 24], hasLinear: true, hasPairs: true),
        .init(embeddingWidth: 10, hidden: [100, 81], hasLinear: true, hasPairs: true),
    ]

    private func scores(_ network: Network, _ rows: FeatureRows, _ range: Range<Int>) -> [Float] {
        var out = [Float](repeating: .nan, count: range.count)
        let scratch = NetworkScratch(network)
        out.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { network.score(rows, range, scratch, into: base) }
        }
        return out
    }

    @Test(arguments: shapes, [Set<Int>(), [1], [0, 3]])
    func `scores are those of the definition, in every precision`(shape: NetworkShape, bags: Set<Int>) {
        let sample = NetworkSample(tables: [5, 40, 7, 300], bags: bags, dense: 6, shape: shape, seed: 4)
        let (rows, plain) = sample.rows(301, seed: 5)
        let exact = plain.map { sample.logit($0) }
        let spread = exact.reduce(0) { max($0, abs($1)) }
        for (precision, tolerance) in [(LayerPrecision.f32, 1e-5), (.bf16, 0.03), (.int8, 0.05)] {
            let network = Network(sample.weights, layout: sample.layout, precision: precision)
            let found = scores(network, rows, 0..<rows.count)
            for (a, b) in zip(found, exact) { #expect(abs(Double(a) - b) <= tolerance * max(spread, 1)) }
        }
        let halves = Network(sample.weights, layout: sample.layout, halfTables: true)
        for (a, b) in zip(scores(halves, rows, 0..<rows.count), exact) {
            #expect(abs(Double(a) - b) <= 5e-3 * max(spread, 1))
        }
    }

    @Test(arguments: LayerPrecision.allCases)
    func `a row's score does not depend on the rows beside it`(precision: LayerPrecision) {
        let sample = NetworkSample(tables: [9, 50], bags: [1], dense: 3, shape: Self.shapes[3], seed: 8)
        let (rows, _) = sample.rows(260, seed: 9)
        let network = Network(sample.weights, layout: sample.layout, precision: precision)
        let together = scores(network, rows, 0..<260)
        #expect(scores(network, rows, 100..<103) == Array(together[100..<103]))
        for row in [0, 127, 128, 259] { #expect(scores(network, rows, row..<(row + 1)) == [together[row]]) }
    }

    @Test func `weights that do not fit are named`() {
        let sample = NetworkSample(tables: [5, 40], dense: 2, shape: Self.shapes[3], seed: 1)
        func fault(_ change: (inout NetworkWeights) -> Void) -> String? {
            var weights = sample.weights
            change(&weights)
            return weights.fault(sample.layout)
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0.table.removeLast() }?.contains("embedding.weight has 719 values") == true)
        #expect(fault { $0.layers[1].weights.append(0) }?.contains("mlp.1.weight") == true)
        #expect(fault { $0.layers[2].bias[0] = .nan }?.contains("mlp.2.bias holds nan at 0") == true)
        #expect(fault { $0.linear[3] = .infinity }?.contains("linear.weight holds inf at 3") == true)
        #expect(fault { $0.output = [] }?.contains("output.weight has 0 values") == true)
        #expect(fault { $0.shape.hidden = [] }?.contains("perceptron") == true)
        #expect(fault { $0.shape.embeddingWidth = 9999 }?.contains("embeddings of 9999") == true)
    }
}
