import Artifacts
import FactorModels
import Retrieval
import TestSupport
import Testing
import VectorMath
import Vocabulary

/// Fusion and sources against a plain rewriting of their definitions.
@Suite("CandidateGenerator", .ownThreads)
struct CandidateGeneratorTests {
    /// Each source's list by its definition, with full arrays and a full sort.
    private func list(
        _ entry: RetrievalMix.Entry, _ model: RetrievalModel, _ user: UInt32?, _ history: [UInt32],
        _ isEligible: (UInt32) -> Bool
    ) -> [ScoredRow] {
        var scores: [(UInt32, Float)] = []
        let rows = 0..<UInt32(model.items.count)
        switch entry.source {
        case .als, .spectral:
            guard let user, let factors = model.factors(of: entry.source)?.model else { return [] }
            let query = [Float](unsafeUninitializedCapacity: factors.rank) { buffer, count in
                factors.userFactor(user, into: buffer)
                count = factors.rank
            }
            scores = rows.map { row in
                (row, zip(query, factors.itemFactors.row(Int(row))).reduce(Float(0)) { $0 + $1.0 * $1.1 })
            }
        case .itemToItem:
            var sums: [UInt32: Float] = [:]
            for item in history {
                guard let (found, weights) = model.neighbors?.neighbors(of: item) else { continue }
                for (row, weight) in zip(found, weights) { sums[row, default: 0] += weight }
            }
            scores = sums.map { ($0.key, $0.value) }
        case .popular: scores = rows.map { ($0, Float(model.items.interactions($0))) }
        case .recent: scores = rows.map { ($0, model.items.recentScores[Int($0)]) }
        // No mix here names them; `LikeSourcesTests` has their definitions.
        case .content, .userToUser, .trending: return []
        }
        return scores.filter { isEligible($0.0) }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(entry.limit)
            .map { ScoredRow(row: $0.0, score: $0.1) }
    }

    private func fused(_ lists: [(RetrievalMix.Entry, [ScoredRow])], _ mix: RetrievalMix) -> [UInt32: Double] {
        var result: [UInt32: Double] = [:]
        for (entry, rows) in lists {
            let values = rows.map { Double($0.score) }
            let mean = values.reduce(0, +) / Double(max(1, values.count))
            let deviation =
                (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, values.count))).squareRoot()
            for (position, row) in rows.enumerated() {
                let part: Double =
                    switch mix.normalisation {
                    case .zscore:
                        deviation > 1e-12 ? (Double(row.score) - (values.last ?? 0)) / deviation : 0
                    case .rank: 1 - Double(position) / Double(rows.count)
                    case .none: Double(row.score)
                    }
                result[row.row, default: 0] += Double(entry.weight) * part
            }
        }
        return result
    }

    @Test(
        "gives what the definitions give, for every normalisation and source",
        arguments: RetrievalMix.Normalisation.allCases)
    func againstDefinition(normalisation: RetrievalMix.Normalisation) throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        let model = try RetrievalModel(bundle: Bundle(opening: path))
        let generator = CandidateGenerator(model: model)
        let mix = RetrievalMix(
            sources: [
                .init(source: .itemToItem, limit: 40, weight: 1), .init(source: .als, limit: 25, weight: 0.4),
                .init(source: .spectral, limit: 30, weight: 0.2), .init(source: .popular, limit: 10, weight: 0.1),
                .init(source: .recent, limit: 10, weight: 0.1),
            ], normalisation: normalisation)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<40 {
            let user = UInt32.random(in: 0..<UInt32(model.users.count), using: &random)
            let history = Array(model.users.history(of: user))
            let blocked = Set(history + (0..<10).map { _ in UInt32.random(in: 0..<120, using: &random) })
            generator.mask.begin()
            for row in blocked { generator.mask.block(row) }
            history.withUnsafeBufferPointer { generator.begin(user: user, history: $0, mix: mix) }
            while try !generator.step() {}
            let lists = mix.sources.map { ($0, list($0, model, user, history) { !blocked.contains($0) }) }
            let expected = fused(lists, mix)
            #expect(generator.candidateCount == expected.count)
            var best: [ScoredRow] = []
            generator.select(expected.count, into: &best)
            #expect(best.count == expected.count)
            for candidate in best {
                let wanted = try #require(expected[candidate.row])
                #expect(abs(Double(candidate.score) - wanted) <= 2e-4 * max(1, abs(wanted)))
            }
            #expect(
                zip(best, best.dropFirst()).allSatisfy {
                    $0.score > $1.score || ($0.score == $1.score && $0.row < $1.row)
                })
            // Pages: any cut continues where the one before ended.
            var paged: [ScoredRow] = []
            for _ in 0...(best.count / 7) {
                var page: [ScoredRow] = []
                generator.select(7, after: paged.last, into: &page)
                paged += page
            }
            #expect(paged == best)
        }
    }

    @Test("a long history is summed over several steps to the same result, and leaves nothing behind when dropped")
    func longHistory() throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        let model = try RetrievalModel(bundle: Bundle(opening: path))
        let generator = CandidateGenerator(model: model)
        let mix = RetrievalMix(sources: [.init(source: .itemToItem, limit: 120)], normalisation: .none)
        let history = (0..<400).map { UInt32($0 % 120) }
        func run(_ history: [UInt32]) throws -> [ScoredRow] {
            generator.mask.begin()
            history.withUnsafeBufferPointer { generator.begin(user: nil, history: $0, mix: mix) }
            var steps = 1
            while try !generator.step() { steps += 1 }
            if history.count == 400 { #expect(steps == 4) }
            var best: [ScoredRow] = []
            generator.select(120, into: &best)
            return best
        }
        let whole = try run(history)
        // Begin and abandon after one step.
        history.withUnsafeBufferPointer { generator.begin(user: nil, history: $0, mix: mix) }
        _ = try generator.step()
        #expect(try run(history) == whole)
        #expect(try run([3]).count <= model.neighbors.map { $0.neighbors(of: 3).rows.count } ?? 0)
    }

    @Test("a user nobody knows is given no personal candidates")
    func strangers() throws {
        let folder = try TemporaryFolder()
        let path = try SmallWorld.makeBundle(in: folder, name: "world")
        let model = try RetrievalModel(bundle: Bundle(opening: path))
        let generator = CandidateGenerator(model: model)
        generator.mask.begin()
        generator.begin(user: nil, history: UnsafeBufferPointer(start: nil, count: 0), mix: .unknownUser)
        while try !generator.step() {}
        #expect(generator.lists.map(\.entry.source) == [.popular, .recent])
        #expect(generator.candidateCount > 0)
    }
}

@Suite("RetrievalMix", .ownThreads)
struct RetrievalMixTests {
    @Test("finds every fault")
    func faults() {
        #expect(RetrievalMix.unknownUser.fault() == nil)
        #expect(RetrievalMix(sources: []).fault() != nil)
        #expect(RetrievalMix(sources: [.init(source: .als), .init(source: .als)]).fault() != nil)
        for limit in [0, -1, RetrievalMix.limitMax + 1] {
            #expect(RetrievalMix(sources: [.init(source: .als, limit: limit)]).fault() != nil)
        }
        for weight in [-1, Float.nan, .infinity] {
            #expect(RetrievalMix(sources: [.init(source: .als, weight: weight)]).fault() != nil)
        }
    }
}

@Suite("EligibilityMask", .ownThreads)
struct EligibilityMaskTests {
    @Test("agrees with a set over random use, and begins anew each time")
    func againstSet() {
        var random = SeededGenerator(seed: 9)
        for count in [0, 1, 63, 64, 65, 1000] {
            let mask = EligibilityMask(itemCount: count)
            for _ in 0..<50 {
                mask.begin()
                var eligible = Set(0..<UInt32(count))
                if Bool.random(using: &random) {
                    let words = (0..<((count + 63) / 64)).map { _ in UInt64.random(in: 0 ... .max, using: &random) }
                    mask.restrict(to: words)
                    eligible = eligible.filter { words[Int($0) >> 6] >> UInt64($0 & 63) & 1 != 0 }
                }
                for _ in 0..<Int.random(in: 0...80, using: &random) {
                    let row = UInt32.random(in: 0..<UInt32(count + 10), using: &random)
                    mask.block(row)
                    eligible.remove(row)
                }
                #expect(mask.eligibleCount == eligible.count)
                #expect((0..<UInt32(count)).allSatisfy { mask.isEligible($0) == eligible.contains($0) })
            }
        }
    }
}
