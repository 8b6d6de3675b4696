import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Serving

@Suite(.ownThreads) struct RerankerTests {
    private let sample: RerankingSample

    init() throws { sample = try RerankingSample(itemCount: 400, seed: 61) }

    private func page(
        _ configuration: RerankingConfiguration, _ request: Reranker.Request, seed: UInt64 = 1
    ) -> Reranker.Page {
        var random = SlateRandom(seed: seed)
        return Reranker(configuration, model: sample.model).page(request, using: &random)
    }

    @Test func `Without settings a page is the best candidates in their order`() {
        var random = SeededGenerator(seed: 62)
        for _ in 0..<50 {
            let candidates = sample.candidates(Int.random(in: 0...200, using: &random), using: &random)
            let k = Int.random(in: 1...60, using: &random)
            let page = page(RerankingConfiguration(), .init(candidates: candidates, k: k))
            #expect(page.items.map(\.row) == candidates.best.prefix(k).map(\.row))
            #expect(page.items.map(\.score) == candidates.best.prefix(k).map(\.score))
            #expect(page.items.allSatisfy { $0.propensity == 1 && !$0.isExplored && !$0.isPinned })
            #expect(!page.areCapsRelaxed && !page.hasDrawn)
        }
    }

    // MARK: Diversity

    /// Whether each item is one of the best by definition where it was chosen, every similarity computed anew. Attributes
    /// make exact ties, which rounding breaks in one way or another.
    private func isGreedy(
        _ chosen: [UInt32], _ candidates: [ScoredRow], pool: Int, strength: Double,
        _ likeness: (UInt32, UInt32) -> Double
    ) -> Bool {
        var left = Array(candidates.best.prefix(pool))
        guard let high = left.first?.score, let low = left.last?.score else { return chosen.isEmpty }
        for (place, row) in chosen.enumerated() {
            let values = left.map { item in
                let relevance = high > low ? Double(item.score - low) / Double(high - low) : 0
                let closest = chosen[..<place].map { likeness(item.row, $0) }.max() ?? 0
                return relevance * (1 - strength) - strength * closest
            }
            guard let index = left.firstIndex(where: { $0.row == row }), let best = values.max(),
                values[index] > best - 1e-5
            else { return false }
            left.remove(at: index)
        }
        return true
    }

    @Test(arguments: [Float(0), 0.1, 0.3, 0.7, 1])
    func `Diversity is the greedy choice by definition, by factors and by an attribute`(strength: Float) {
        var random = SeededGenerator(seed: 63)
        var moved = 0
        for round in 0..<12 {
            let candidates = sample.candidates(Int.random(in: 1...70, using: &random), using: &random)
            let k = Int.random(in: 1...15, using: &random)
            var configuration = RerankingConfiguration()
            if round % 3 == 0 { configuration.pool = Int.random(in: 1...40, using: &random) }
            for by in [RerankingConfiguration.Likeness.factors, .attribute("genres")] {
                configuration.diversity = .init(by: by, strength: strength)
                let rows = page(configuration, .init(candidates: candidates, k: k)).items.map(\.row)
                #expect(rows.count == min(k, candidates.count))
                #expect(
                    isGreedy(
                        rows, candidates, pool: configuration.poolCount(k), strength: Double(strength),
                        by == .factors ? sample.cosine : sample.share), "round \(round), \(by): \(rows)")
                if rows != candidates.best.prefix(k).map(\.row) { moved += 1 }
            }
        }
        #expect((moved > 0) == (strength > 0))
    }

    @Test func `Pinned items and their places count for diversity, and places past the reach stand by score`() {
        var configuration = RerankingConfiguration()
        configuration.diversity = .init(by: .factors, strength: 0.6)
        var random = SeededGenerator(seed: 64)
        let candidates = sample.candidates(300, using: &random)
        var request = Reranker.Request(candidates: candidates, k: 5)
        let best = candidates.best
        // The pin takes the third place; the first is chosen with the pin in mind.
        request.pins = [(best[10].row, 3)]
        let first = page(configuration, request).items[0].row
        let high = Double(best[0].score), low = Double(best[99].score)
        let expected = best.prefix(100).filter { $0.row != best[10].row }.max { a, b in
            func value(_ item: ScoredRow) -> Double {
                (Double(item.score) - low) / (high - low) * 0.4 - 0.6 * sample.cosine(item.row, best[10].row)
            }
            return value(a) < value(b)
        }
        #expect(first == expected?.row)

        let long = page(configuration, .init(candidates: candidates, k: 250))
        let reached = RerankingConfiguration.reachedPlacesMax
        let head = Set(long.items.prefix(reached).map(\.row))
        #expect(head.count == reached)
        let tail = candidates.best.map(\.row).filter { !head.contains($0) }.prefix(250 - reached)
        #expect(long.items.dropFirst(reached).map(\.row) == Array(tail))
    }

    // MARK: Caps

    @Test func `Caps hold while they can, and are raised one by one for all values when they cannot`() {
        var random = SeededGenerator(seed: 65)
        var (held, relaxed) = (0, 0)
        for round in 0..<80 {
            let candidates = sample.candidates(Int.random(in: 5...300, using: &random), using: &random)
            let k = Int.random(in: 1...40, using: &random)
            let most = Int.random(in: 1...4, using: &random)
            var configuration = RerankingConfiguration()
            configuration.caps = [.init(attribute: "category", most: most)]
            if round % 2 == 0 { configuration.diversity = .init(by: .factors, strength: 0.3) }
            if round % 3 == 0 { configuration.exploration = .init(.epsilon(0.5)) }
            let page = page(configuration, .init(candidates: candidates, k: k), seed: UInt64(round))
            #expect(page.items.count == min(k, candidates.count), "a slate is never short for its caps")
            #expect(Set(page.items.map(\.row)).count == page.items.count)
            func counts(_ rows: some Sequence<UInt32>) -> [String: Int] {
                Dictionary(rows.flatMap { sample.categories[Int($0)] }.map { ($0, 1) }, uniquingKeysWith: +)
            }
            let largest = counts(page.items.map(\.row)).values.max() ?? 0
            // What any slate within the caps could hold.
            let available = counts(candidates.map(\.row))
            let uncapped = candidates.filter { sample.categories[Int($0.row)].isEmpty }.count
            func room(_ most: Int) -> Int { available.values.reduce(uncapped) { $0 + min($1, most) } }
            if room(most) >= page.items.count {
                #expect(largest <= most && !page.areCapsRelaxed)
                held += 1
            } else {
                #expect(page.areCapsRelaxed)
                // No cap is raised further than the slate needs.
                let needed = (most...).first { room($0) >= page.items.count } ?? most
                #expect(largest == needed)
                relaxed += 1
            }
        }
        #expect(held > 5 && relaxed > 5)
    }

    @Test func `Several caps hold together, of attributes with many values and of numbers`() {
        var random = SeededGenerator(seed: 66)
        var configuration = RerankingConfiguration()
        configuration.caps = [.init(attribute: "genres", most: 4), .init(attribute: "year", most: 2)]
        for _ in 0..<20 {
            let candidates = sample.candidates(300, using: &random)
            let page = page(configuration, .init(candidates: candidates, k: 12))
            var counts: [String: Int] = [:]
            var expected: [UInt32] = []
            for candidate in candidates.best where expected.count < 12 {
                let row = Int(candidate.row)
                let values = sample.genres[row] + (sample.years[row].map { ["\($0)"] } ?? [])
                if values.contains(where: { counts[$0, default: 0] >= ($0.hasPrefix("g") ? 4 : 2) }) { continue }
                for value in values { counts[value, default: 0] += 1 }
                expected.append(candidate.row)
            }
            #expect(page.items.map(\.row) == expected)
            #expect(!page.areCapsRelaxed)
        }
    }

    @Test func `Candidates past the pool are taken before caps are relaxed`() {
        let rows = (0..<UInt32(sample.itemCount))
        let capped = rows.filter { sample.categories[Int($0)] == ["c0"] }
        let other = rows.first { sample.categories[Int($0)] == ["c1"] } ?? 0
        var configuration = RerankingConfiguration()
        configuration.pool = 5
        configuration.caps = [.init(attribute: "category", most: 2)]
        let candidates = capped.prefix(20).enumerated().map { ScoredRow(row: $1, score: Float(100 - $0)) }
        let page = page(configuration, .init(candidates: candidates + [ScoredRow(row: other, score: 1)], k: 4))
        #expect(page.items.map(\.row) == [capped[0], capped[1], other, capped[2]])
        #expect(page.areCapsRelaxed)
    }

    // MARK: Pins and boosts

    @Test func `Pins stand at their places, candidates or not, and the others around them by score`() {
        var random = SeededGenerator(seed: 67)
        let candidates = sample.candidates(50, using: &random)
        let best = candidates.best.map(\.row)
        let stranger = (0..<UInt32(sample.itemCount)).first { row in !best.contains(row) } ?? 0
        var request = Reranker.Request(candidates: candidates, k: 6)
        request.pins = [(stranger, 2), (best[30], 5), (best[1], 9)]
        let page = page(RerankingConfiguration(), request)
        let slate = page.slate()
        #expect(slate.map(\.row) == [best[0], stranger, best[1], best[2], best[30], best[3]])
        #expect(slate.map(\.isPinned) == [false, true, false, false, true, false])
        #expect(slate[1].score == 0)
        #expect(slate[4].score == candidates.first { $0.row == best[30] }?.score)

        // Fewer candidates than places: pins move up, but for what fills up.
        request.candidates = Array(candidates.best.prefix(1))
        let short = self.page(RerankingConfiguration(), request)
        #expect(short.slate().map(\.row) == [best[0], stranger, best[30]])
        let filling = [7, 8, 9].map { RerankedItem(row: $0, score: 0) }
        #expect(short.slate(filling: filling).map(\.row) == [best[0], stranger, 7, 8, best[30], 9])
    }

    @Test func `Pins count for caps and are not kept out by them`() {
        let capped = (0..<UInt32(sample.itemCount)).filter { sample.categories[Int($0)] == ["c0"] }
        let free = (0..<UInt32(sample.itemCount)).filter { sample.categories[Int($0)].isEmpty }
        var configuration = RerankingConfiguration()
        configuration.caps = [.init(attribute: "category", most: 1)]
        var request = Reranker.Request(
            candidates: (capped.prefix(5) + free.prefix(3)).enumerated().map {
                ScoredRow(row: $1, score: Float(-$0))
            }, k: 4)
        request.pins = [(capped[6], 4), (capped[7], 1)]
        let slate = page(configuration, request)
        #expect(slate.slate().map(\.row) == [capped[7], free[0], free[1], capped[6]])
        #expect(!slate.areCapsRelaxed)
    }

    @Test func `Boosts change scores in their order, before the pool is chosen`() {
        let reranker = { (boosts: [RerankingConfiguration.Boost]) in
            var configuration = RerankingConfiguration()
            configuration.boosts = boosts
            return Reranker(configuration, model: sample.model)
        }
        let row = (0..<UInt32(sample.itemCount)).first {
            sample.genres[Int($0)].contains("g1") && sample.years[Int($0)] == 2003
        }
        let item = row ?? 0
        func score(_ score: Float, _ boosts: RerankingConfiguration.Boost...) -> Float {
            reranker(boosts).boosted([ScoredRow(row: item, score: score)])[0].score
        }
        #expect(score(2, .init(.value(attribute: "genres", "g1"), factor: 1.5)) == 3)
        #expect(score(-3, .init(.value(attribute: "genres", "g1"), factor: 1.5)) == -2)
        #expect(score(2, .init(.value(attribute: "year", "2003"), add: 0.5)) == 2.5)
        #expect(score(2, .init(.value(attribute: "year", "2003.0"), factor: 2, add: -1)) == 3)
        #expect(score(2, .init(.item("i\(item)"), add: 1), .init(.value(attribute: "genres", "g1"), factor: 2)) == 6)
        #expect(score(2, .init(.item("i\(item + 1)"), add: 1)) == 2)

        var random = SeededGenerator(seed: 68)
        let candidates = sample.candidates(300, using: &random)
        let last = candidates.best[299]
        var request = Reranker.Request(candidates: candidates, k: 3)
        request.explains = true
        var generator = SlateRandom(seed: 1)
        let page = reranker([.init(.item("i\(last.row)"), add: 100)]).page(request, using: &generator)
        #expect(page.items.map(\.row) == [last.row] + candidates.best.prefix(2).map(\.row))
        #expect(page.items.map(\.placeBefore) == [300, 1, 2])
        #expect(page.items.map(\.boost) == [100, 0, 0])
    }

    /// The same items, some of them beside the model or described wrongly by it, make the same pages as all of them in it.
    @Test(arguments: [3, 40, 200, 400], [0, 2, 30])
    func `Items beside the model, and those described anew, are re-ranked as if it knew them`(
        knownCount: Int, restatedCount: Int
    ) throws {
        let step = max(1, knownCount / max(1, restatedCount))
        let restated = Array(stride(from: 0, to: knownCount, by: step).prefix(restatedCount))
        let split = try RerankingSample(itemCount: 400, seed: 61, knownCount: knownCount, restated: restated)
        #expect(split.changed.added?.count ?? 0 == 400 - knownCount && split.genres == sample.genres)
        #expect(split.changed.restated?.rows.count ?? 0 == restated.count)
        var random = SeededGenerator(seed: 70)
        var relaxed = 0
        for round in 0..<60 {
            let candidates = sample.candidates(Int.random(in: 20...300, using: &random), using: &random)
            var configuration = RerankingConfiguration()
            let likeness: [RerankingConfiguration.Likeness] = [.factors, .attribute("genres"), .attribute("category")]
            configuration.diversity = .init(by: likeness[round % 3], strength: 0.4)
            let capped = ["category", "genres", "year"][round / 3 % 3]
            configuration.caps = [.init(attribute: capped, most: Int.random(in: 1...3, using: &random))]
            configuration.boosts = [
                .init(.value(attribute: "category", "c5"), factor: 1.5),
                .init(.value(attribute: "year", "2003"), add: -0.5), .init(.item("i\(candidates[0].row)"), add: 1),
            ]
            if round % 4 == 0 {
                configuration.exploration = .init(.softmax(temperature: 0.3), protected: 1, among: 50)
            }
            var request = Reranker.Request(candidates: candidates, k: Int.random(in: 1...25, using: &random))
            request.pins = [(candidates[1].row, 2)]
            request.explains = true
            var (one, other) = (SlateRandom(seed: UInt64(round)), SlateRandom(seed: UInt64(round)))
            let whole = Reranker(configuration, model: sample.model).page(request, using: &one)
            let reranker = Reranker(configuration, model: split.model, changed: split.changed)
            let page = reranker.page(request, using: &other)
            #expect(page.slate() == whole.slate(), "round \(round)")
            #expect(page.areCapsRelaxed == whole.areCapsRelaxed)
            relaxed += page.areCapsRelaxed ? 1 : 0
        }
        #expect(relaxed > 0 && relaxed < 60)
    }

    @Test func `What the model does not have is named and does nothing`() {
        var configuration = RerankingConfiguration()
        configuration.diversity = .init(by: .attribute("mood"), strength: 0.5)
        configuration.caps = [.init(attribute: "colour", most: 1)]
        configuration.boosts = [
            .init(.value(attribute: "category", "c99"), factor: 2), .init(.item("nobody"), add: 1),
        ]
        configuration.pins = [.init(item: "missing", place: 1)]
        let reranker = Reranker(configuration, model: sample.model)
        #expect(
            reranker.missing == [
                "attribute 'mood'", "attribute 'colour'", "value 'c99' of 'category'", "item 'nobody'",
                "item 'missing'",
            ])
        var random = SeededGenerator(seed: 69)
        let candidates = sample.candidates(40, using: &random)
        let page = page(configuration, .init(candidates: candidates, k: 10))
        #expect(page.items.map(\.row) == candidates.best.prefix(10).map(\.row))
    }
}
