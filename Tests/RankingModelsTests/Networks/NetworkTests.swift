import Features
import RankingModels
import TestSupport
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

@Suite struct SplitNetworkTests {
    /// Fields of every side, some multi-valued.
    private func schema() -> FeatureSchema {
        func categorical(_ name: String, _ source: FeatureSource, bag: Bool = false) -> FeatureField {
            FeatureField(name, from: source, .categorical(.hashed(buckets: 30), isMultivalued: bag))
        }
        func dense(_ name: String, _ source: FeatureSource) -> FeatureField {
            FeatureField(name, from: source, .dense(.none, missing: 0))
        }
        return FeatureSchema(fields: [
            categorical("u", .userID), categorical("i", .itemID), categorical("tags", .itemTags, bag: true),
            categorical("hour", .context("hour")), dense("history", .userHistory), dense("popularity", .itemPopularity),
            dense("score", .retrievalScore), dense("rank", .retrievalRank), dense("temperature", .context("t")),
        ])
    }

    @Test(arguments: [LayerPrecision.f32, .bf16, .int8], [[24], [40, 17], [16, 16, 16]])
    func `the parts of a cut network add up to the whole`(precision: LayerPrecision, hidden: [Int]) throws {
        let layout = FeatureLayout(schema())
        let sample = NetworkSample(
            tables: [31, 31, 31, 31], bags: [2], dense: 5,
            shape: .init(embeddingWidth: 6, hidden: hidden, hasLinear: true, hasPairs: true), seed: 3)
        var random = SeededGenerator(seed: 12)
        func value(_ field: Int) -> UInt32 {
            UInt32(layout.categorical[field].tableOffset) + UInt32.random(in: 0..<31, using: &random)
        }
        // Items know their own fields only.
        let items = FeatureRows(layout)
        for _ in 0..<50 {
            let row = items.append()
            items.set(row, categorical: 1, to: value(1))
            items.setBags { field in (0..<Int.random(in: 0...3, using: &random)).map { _ in value(field) } }
            items.set(row, dense: 1, to: Float.random(in: -1...1, using: &random))
        }
        let split = try #require(
            SplitNetwork(
                sample.weights, layout: layout, precision: precision, items: items, itemBytesMax: 1 << 20))
        #expect(split.crossNumbers == [2, 3])
        let scratch = SplitScratch(split)
        let whole = Network(sample.weights, layout: layout)
        let wholeScratch = NetworkScratch(whole)
        for _ in 0..<5 {
            let (user, hour, history, heat) = (
                value(0), value(3), Float.random(in: 0...1, using: &random), Float.random(in: 0...1, using: &random)
            )
            let candidates = (0..<37).map { _ in UInt32.random(in: 0..<50, using: &random) }
            let rows = FeatureRows(layout)
            var numbers = [Float](repeating: 0, count: candidates.count * split.crossStride)
            for (place, item) in candidates.enumerated() {
                rows.append(copying: Int(item), of: items)
                rows.set(place, categorical: 0, to: user)
                rows.set(place, categorical: 3, to: hour)
                rows.set(place, dense: 0, to: history)
                rows.set(place, dense: 4, to: heat)
                for (column, number) in [2, 3].enumerated() {
                    let x = Float.random(in: -1...1, using: &random)
                    rows.set(place, dense: number, to: x)
                    numbers[place * split.crossStride + column] = x
                }
            }
            var (found, expected) = ([Float](repeating: 0, count: 37), [Float](repeating: 0, count: 37))
            split.begin(rows, 0, scratch)
            candidates.withUnsafeBufferPointer { candidates in
                found.withUnsafeMutableBufferPointer { found in
                    if let base = found.baseAddress { split.score(candidates, numbers: numbers, scratch, into: base) }
                }
            }
            expected.withUnsafeMutableBufferPointer {
                if let base = $0.baseAddress { whole.score(rows, 0..<37, wholeScratch, into: base) }
            }
            let spread = expected.reduce(1) { max($0, abs($1)) }
            let tolerance: Float = precision == .f32 ? 2e-3 : 0.05
            for (a, b) in zip(found, expected) { #expect(abs(a - b) <= tolerance * spread, "\(a) \(b)") }
        }
    }

    @Test func `what cannot be cut, or takes too much, is not`() {
        let layout = FeatureLayout(schema())
        func split(_ hidden: [Int], _ bytes: Int) -> SplitNetwork? {
            let sample = NetworkSample(
                tables: [31, 31, 31, 31], bags: [2], dense: 5,
                shape: .init(embeddingWidth: 6, hidden: hidden, hasLinear: true, hasPairs: true), seed: 3)
            let items = FeatureRows(layout)
            for _ in 0..<100 { items.append() }
            return SplitNetwork(
                sample.weights, layout: layout, precision: .f32, items: items, itemBytesMax: bytes)
        }
        #expect(split([16], 1 << 20) != nil)
        #expect(split([16], 1000) == nil)
        #expect(split([], 1 << 20) == nil)
    }
}
