import Glibc
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Serving

@Suite(.ownThreads) struct ExplorationTests {
    private let sample: RerankingSample

    init() throws { sample = try RerankingSample(itemCount: 60, categories: 3, seed: 71) }

    /// Settings that draw, with and without diversity and caps.
    private static let configurations: [RerankingConfiguration] = {
        let explorations: [RerankingConfiguration.Exploration] = [
            .init(.epsilon(0.3), protected: 1), .init(.epsilon(0.6), protected: 0, among: 3), .init(.epsilon(1)),
            .init(.softmax(temperature: 0.3), protected: 0), .init(.softmax(temperature: 0.5), protected: 1, among: 3),
        ]
        return explorations.flatMap { exploration in
            (0..<3).map { kind in
                var configuration = RerankingConfiguration()
                configuration.exploration = exploration
                if kind > 0 { configuration.diversity = .init(by: .factors, strength: 0.4) }
                if kind > 1 { configuration.caps = [.init(attribute: "category", most: 1)] }
                return configuration
            }
        }
    }()

    private struct Tally {
        var count = 0
        var probability: Double
    }

    @Test(arguments: configurations.indices)
    func `Over all slates of a tiny pool the stated probabilities add up to 1, and slates come as often as they say`(
        number: Int
    ) {
        let configuration = Self.configurations[number]
        let reranker = Reranker(configuration, model: sample.model)
        var random = SeededGenerator(seed: 72)
        let request = Reranker.Request(candidates: sample.candidates(5, using: &random), k: 3)
        var slates: [[UInt32]: Tally] = [:]
        let trials = 2500
        for seed in 0..<trials {
            var draws = SlateRandom(seed: UInt64(seed))
            let page = reranker.page(request, using: &draws)
            #expect(Set(page.items.map(\.row)).count == 3)
            let probability = page.items.reduce(1.0) { $0 * Double($1.propensity) }
            slates[page.items.map(\.row), default: Tally(probability: probability)].count += 1
            #expect(slates[page.items.map(\.row)]?.probability == probability)
        }
        let sum = slates.values.reduce(0) { $0 + $1.probability }
        // Slates that did not come once may be missing from the sum.
        #expect(sum < 1 + 1e-5 && sum > 0.97, "\(sum) over \(slates.count) slates")
        for (slate, tally) in slates {
            let expected = tally.probability * Double(trials)
            // Five standard deviations.
            let tolerance = 5 * (expected * (1 - tally.probability)).squareRoot() + 1
            #expect(abs(Double(tally.count) - expected) <= tolerance, "\(slate): \(tally.count), \(expected)")
        }
    }

    @Test func `For one place the stated probabilities of all that may take it add up to 1`() {
        let values: [Float] = [1, 0.9, 0.6, 0.2, 0.1, 0]
        for among in [1, 2, 4, 6] {
            for method in [
                RerankingConfiguration.Exploration.Method.epsilon(0.35), .epsilon(1), .softmax(temperature: 0.5),
            ] {
                // The best one is inside what is drawn among, or, by diversity, outside.
                for best in [0, 2, 5] {
                    var drawing = Drawing(.init(method, among: among))
                    var found: [Int: Float] = [:]
                    for seed in 0..<1000 {
                        var draws = SlateRandom(seed: UInt64(seed))
                        let outcome = drawing.fill(best: best, values: values, isOpen: { $0 != 1 }, using: &draws)
                        #expect(found[outcome.index, default: outcome.propensity] == outcome.propensity)
                        found[outcome.index] = outcome.propensity
                    }
                    #expect(found[1] == nil && abs(found.values.reduce(0, +) - 1) < 1e-5, "\(method), \(among)")
                }
            }
        }
    }

    @Test func `Softmax draws slates as Gumbel noise on the scores does`() {
        // Plackett-Luce by its other definition: the product of shares of what is left.
        var configuration = RerankingConfiguration()
        configuration.exploration = .init(.softmax(temperature: 0.4), protected: 0)
        let reranker = Reranker(configuration, model: sample.model)
        let candidates = (0..<4).map { ScoredRow(row: UInt32($0), score: Float([4, 3, 1, 0][$0])) }
        let weights = [4.0, 3, 1, 0].map { exp($0 / 4 / 0.4) }
        for seed in 0..<200 {
            var draws = SlateRandom(seed: UInt64(seed))
            var left = weights
            for item in reranker.page(.init(candidates: candidates, k: 4), using: &draws).items {
                let expected = left[Int(item.row)] / left.reduce(0, +)
                #expect(abs(Double(item.propensity) - expected) < 1e-5)
                left[Int(item.row)] = 0
            }
        }
        // Noise added once to all scores, the best of them in their order.
        var noise = SeededGenerator(seed: 73)
        var (byNoise, byDraws) = ([[UInt32]: Int](), [[UInt32]: Int]())
        for seed in 0..<10_000 {
            let perturbed = candidates.map { candidate in
                let uniform = Double.random(in: 1e-12..<1, using: &noise)
                return (candidate.row, Double(candidate.score) / 4 / 0.4 - log(-log(uniform)))
            }
            byNoise[perturbed.sorted { $0.1 > $1.1 }.prefix(2).map(\.0), default: 0] += 1
            var draws = SlateRandom(seed: UInt64(seed))
            let page = reranker.page(.init(candidates: candidates, k: 2), using: &draws)
            byDraws[page.items.map(\.row), default: 0] += 1
        }
        for (slate, count) in byNoise {
            let other = byDraws[slate] ?? 0
            #expect(abs(count - other) <= 60 + count / 10, "\(slate): \(count) and \(other)")
        }
    }

    @Test func `Places of the head and pins are certain, and switched off nothing is drawn`() {
        var random = SeededGenerator(seed: 74)
        let candidates = sample.candidates(50, using: &random)
        for method in [RerankingConfiguration.Exploration.Method.epsilon(1), .softmax(temperature: 10)] {
            var configuration = RerankingConfiguration()
            configuration.exploration = .init(method, protected: 3)
            let reranker = Reranker(configuration, model: sample.model)
            var explored = 0
            for seed in 0..<50 {
                var request = Reranker.Request(candidates: candidates, k: 10)
                request.pins = [(candidates.best[40].row, 2)]
                var draws = SlateRandom(seed: UInt64(seed))
                let slate = reranker.page(request, using: &draws).slate()
                #expect(slate[0].row == candidates.best[0].row && slate[2].row == candidates.best[1].row)
                #expect(slate.prefix(3).allSatisfy { $0.propensity == 1 && !$0.isExplored })
                #expect(slate[1].isPinned)
                explored += slate.filter(\.isExplored).count

                request.explores = false
                var others = SlateRandom(seed: UInt64(seed))
                let page = reranker.page(request, using: &others)
                #expect(!page.hasDrawn && page.slate().allSatisfy { $0.propensity == 1 && !$0.isExplored })
            }
            #expect(explored > 100)
        }
    }

    @Test func `Equal seeds draw equal slates, different ones do not`() {
        var random = SeededGenerator(seed: 75)
        let candidates = sample.candidates(50, using: &random)
        for configuration in Self.configurations {
            let reranker = Reranker(configuration, model: sample.model)
            func slate(_ seed: UInt64) -> [RerankedItem] {
                var draws = SlateRandom(seed: seed)
                return reranker.page(.init(candidates: candidates.shuffled(), k: 12), using: &draws).items
            }
            #expect((1...20).allSatisfy { slate($0) == slate($0) })
            #expect(Set((1...20).map { slate($0).map(\.row) }).count > 1)
        }
    }

    @Test func `Pages past what a cursor can name still show nothing twice`() throws {
        let sample = try RerankingSample(itemCount: 1600, seed: 77)
        var random = SeededGenerator(seed: 78)
        let candidates = sample.candidates(1500, using: &random)
        var configuration = Self.configurations[2]
        configuration.exploration = .init(.softmax(temperature: 0.5), protected: 0)
        configuration.boosts = [.init(.value(attribute: "genres", "g1"), factor: 3, add: -1)]
        let reranker = Reranker(configuration, model: sample.model)
        var request = Reranker.Request(candidates: candidates, k: 300)
        var seen: [UInt32] = []
        for page in 0..<20 {
            var draws = SlateRandom(seed: UInt64(page))
            let rows = reranker.page(request, using: &draws).slate().map(\.row)
            if rows.isEmpty { break }
            #expect(page > 2 || rows.count == 300)
            seen += rows
            request.shown.add(rows, among: candidates, reranker)
            #expect(request.shown.rows.count <= ShownItems.rowsMax)
            let cursor = PageCursor(
                pool: .candidates, generation: 1, parameters: 2, score: request.shown.cursorEnd.score,
                row: request.shown.cursorEnd.row, shownRows: request.shown.rows)
            request.shown = ShownItems(after: PageCursor(cursor.bytes))
        }
        #expect(Set(seen).count == seen.count && seen.count > 1000)
    }

    @Test func `Pages never show an item twice, and end when all have been shown`() {
        var random = SeededGenerator(seed: 76)
        let candidates = sample.candidates(50, using: &random)
        let scores = Dictionary(uniqueKeysWithValues: candidates.map { ($0.row, $0.score) })
        for configuration in Self.configurations {
            let reranker = Reranker(configuration, model: sample.model)
            var request = Reranker.Request(candidates: candidates, k: 8)
            request.pins = [(candidates.best[45].row, 3)]
            var seen: [UInt32] = []
            for page in 0..<7 {
                var draws = SlateRandom(seed: UInt64(page))
                let slate = reranker.page(request, using: &draws).slate()
                #expect(slate.count == (page < 6 ? 8 : 2))
                seen += slate.map(\.row)
                request.pins = []
                request.shown.add(slate.map(\.row)) { scores[$0] }
            }
            #expect(seen.count == 50 && Set(seen).count == 50)
        }
    }
}
