import Features
import RankingModels
import TestSupport
import Testing
import VectorMath

@Suite(.ownThreads) struct NetworkTests {
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

@Suite(.ownThreads) struct SplitNetworkTests {
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

    private static func sample(_ layout: FeatureLayout, hidden: [Int]) -> NetworkSample {
        NetworkSample(
            tables: [31, 31, 31, 31], bags: [2], dense: 5,
            shape: .init(embeddingWidth: 6, hidden: hidden, hasLinear: true, hasPairs: true), seed: 3)
    }

    /// Items know their own fields only.
    private static func items(_ layout: FeatureLayout, using random: inout SeededGenerator) -> FeatureRows {
        func value(_ field: Int) -> UInt32 {
            UInt32(layout.categorical[field].tableOffset) + UInt32.random(in: 0..<31, using: &random)
        }
        let items = FeatureRows(layout)
        for _ in 0..<300 {
            let row = items.append()
            items.set(row, categorical: 1, to: value(1))
            items.setBags { field in (0..<Int.random(in: 0...3, using: &random)).map { _ in value(field) } }
            items.set(row, dense: 1, to: Float.random(in: -1...1, using: &random))
        }
        return items
    }

    /// A request with its candidates, as whole rows and as parts.
    private final class Case {
        let own: FeatureRows
        let rows: FeatureRows
        var candidates: [UInt32]
        var numbers: [Float]

        init(_ layout: FeatureLayout, _ items: FeatureRows, crossStride: Int, using random: inout SeededGenerator) {
            let values = [0, 3].map {
                UInt32(layout.categorical[$0].tableOffset) + UInt32.random(in: 0..<31, using: &random)
            }
            let heat = [0, 4].map { ($0, Float.random(in: 0...1, using: &random)) }
            candidates = (0..<Int.random(in: 1...60, using: &random)).map { _ in
                UInt32.random(in: 0..<UInt32(items.count), using: &random)
            }
            numbers = [Float](repeating: 0, count: candidates.count * crossStride)
            own = FeatureRows(layout)
            own.append()
            own.setBags { _ in [] }
            rows = FeatureRows(layout)
            for item in candidates { rows.append(copying: Int(item), of: items) }
            for (set, count) in [(own, 1), (rows, candidates.count)] {
                for row in 0..<count {
                    set.set(row, categorical: 0, to: values[0])
                    set.set(row, categorical: 3, to: values[1])
                    for (number, x) in heat { set.set(row, dense: number, to: x) }
                }
            }
            for place in candidates.indices {
                for (column, number) in [2, 3].enumerated() {
                    let x = Float.random(in: -1...1, using: &random)
                    rows.set(place, dense: number, to: x)
                    numbers[place * crossStride + column] = x
                }
            }
        }
    }

    private func whole(_ network: Network, _ one: Case) -> [Float] {
        var out = [Float](repeating: 0, count: one.candidates.count)
        let scratch = NetworkScratch(network)
        out.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { network.score(one.rows, 0..<one.candidates.count, scratch, into: base) }
        }
        return out
    }

    /// The logits of all cases in one batch.
    private func split(_ split: SplitNetwork, _ cases: [Case]) -> [[Float]] {
        let scratch = SplitScratch(split)
        let requests = cases.map { _ in SplitRequest(split) }
        let own = FeatureRows(split.network.layout)
        for one in cases { own.append(copying: 0, of: one.own) }
        split.begin(requests, own, scratch)
        var logits = [Float](repeating: 0, count: Network.rowsTogether)
        // Arrays that stay where they are while the seats name them.
        let ids = UnsafeMutablePointer<UInt32>.allocate(capacity: Network.rowsTogether)
        let numbers = UnsafeMutablePointer<Float>.allocate(capacity: Network.rowsTogether * split.crossStride)
        defer {
            ids.deallocate()
            numbers.deallocate()
        }
        var (seats, done) = ([SplitNetwork.Seat](), 0)
        for (one, request) in zip(cases, requests) {
            (ids + done).update(from: one.candidates, count: one.candidates.count)
            (numbers + done * split.crossStride).update(from: one.numbers, count: one.numbers.count)
            seats.append(
                .init(
                    request: request,
                    items: UnsafeBufferPointer(start: ids + done, count: one.candidates.count),
                    numbers: UnsafePointer(numbers + done * split.crossStride)))
            done += one.candidates.count
        }
        logits.withUnsafeMutableBufferPointer {
            if let base = $0.baseAddress { split.score(seats, scratch, into: base) }
        }
        var first = 0
        return cases.map { one in
            defer { first += one.candidates.count }
            return Array(logits[first..<first + one.candidates.count])
        }
    }

    @Test(arguments: [LayerPrecision.f32, .bf16, .int8], [[24], [40, 17], [16, 16, 16]])
    func `the parts of a cut network add up to the whole`(
        precision: LayerPrecision, hidden: [Int]
    ) throws {
        for isHalf in [false, true] { try check(precision, hidden, isHalf: isHalf) }
    }

    private func check(_ precision: LayerPrecision, _ hidden: [Int], isHalf: Bool) throws {
        let layout = FeatureLayout(schema())
        let sample = Self.sample(layout, hidden: hidden)
        var random = SeededGenerator(seed: 12)
        let items = Self.items(layout, using: &random)
        let network = Network(sample.weights, layout: layout, precision: precision)
        let cut = try #require(SplitNetwork(sample.weights, of: network, items: items, isHalf: isHalf))
        #expect(cut.crossNumbers == [2, 3])
        #expect(
            cut.byteCount
                == SplitNetwork.byteCount(sample.weights.shape, itemCount: items.count, isHalf: isHalf))
        let exact = Network(sample.weights, layout: layout)
        for _ in 0..<8 {
            let one = Case(layout, items, crossStride: cut.crossStride, using: &random)
            let (found, expected) = (split(cut, [one])[0], whole(exact, one))
            let spread = expected.reduce(1) { max($0, abs($1)) }
            let tolerance: Float = precision == .f32 ? (isHalf ? 2e-3 : 1e-5) : 0.05
            for (a, b) in zip(found, expected) { #expect(abs(a - b) <= tolerance * spread, "\(a) \(b)") }
        }
    }

    @Test(arguments: LayerPrecision.allCases)
    func `a request's logits are the same alone and among others, bit for bit`(precision: LayerPrecision) throws {
        let layout = FeatureLayout(schema())
        let sample = Self.sample(layout, hidden: [40, 17])
        var random = SeededGenerator(seed: 7)
        let items = Self.items(layout, using: &random)
        let network = Network(sample.weights, layout: layout, precision: precision)
        let cut = try #require(SplitNetwork(sample.weights, of: network, items: items, isHalf: true))
        for _ in 0..<6 {
            var (cases, room) = ([Case](), Network.rowsTogether)
            while true {
                let one = Case(layout, items, crossStride: cut.crossStride, using: &random)
                room -= one.candidates.count
                if room < 0 { break }
                cases.append(one)
            }
            #expect(split(cut, cases) == cases.map { split(cut, [$0])[0] })
        }
    }

    @Test func `what cannot be cut is not`() {
        let layout = FeatureLayout(schema())
        func split(_ hidden: [Int], _ count: Int) -> SplitNetwork? {
            let sample = Self.sample(layout, hidden: hidden)
            let items = FeatureRows(layout)
            for _ in 0..<count { items.append() }
            return SplitNetwork(
                sample.weights, of: Network(sample.weights, layout: layout), items: items, isHalf: false)
        }
        #expect(split([16], 100) != nil)
        #expect(split([16], 0) == nil)
        #expect(split([], 100) == nil)
        var fields = schema().fields
        fields[0].side = .cross
        #expect(
            !SplitNetwork.isPossible(
                Self.sample(layout, hidden: [8]).weights.shape, FeatureLayout(.init(fields: fields))))
    }
}
