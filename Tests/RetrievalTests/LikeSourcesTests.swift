import Artifacts
import Catalog
import FactorModels
import NearestNeighbors
import TestSupport
import Testing
import VectorMath
import Vocabulary

@testable import Retrieval

/// The sources `content` and `user_to_user`, and folded-in factors, through the generator that serves.
@Suite(.ownThreads) struct LikeSourcesTests {
    static let rank = 12
    let sample: FilterSample
    let histories: [[UInt32]]
    let userFactors: [[Float]]
    let itemFactors: [[Float]]
    let model: RetrievalModel

    init() throws {
        var random = SeededGenerator(seed: 21)
        let (users, items) = (250, 400)
        let sample = FilterSample(itemCount: items, seed: 22)
        let histories = (0..<users).map { user in
            (0..<Int.random(in: user == 3 ? 0...0 : 1...40, using: &random)).reduce(into: [UInt32]()) { list, _ in
                let item = UInt32.random(in: 0..<UInt32(items), using: &random)
                if !list.contains(item) { list.append(item) }
            }
        }
        func factors(_ count: Int) -> [[Float]] {
            (0..<count).map { _ in (0..<Self.rank).map { _ in Float.random(in: -1...1, using: &random) } }
        }
        func matrix(_ rows: [[Float]]) -> DenseMatrix {
            let matrix = DenseMatrix(rowCount: rows.count, columnCount: Self.rank)
            for (row, values) in rows.enumerated() { for n in values.indices { matrix.row(row)[n] = values[n] } }
            return matrix
        }
        itemFactors = factors(items)
        let als = FactorModel(kind: .als, users: matrix(factors(users)), items: matrix(itemFactors))
        userFactors = (0..<UInt32(users)).map { user in
            var factor = [Float](repeating: 0, count: Self.rank)
            factor.withUnsafeMutableBufferPointer { als.userFactor(user, into: $0) }
            return factor
        }
        var options = RetrievalModel.Options(index: .scan)
        options.sources = [.content, .userToUser]
        model = try RetrievalModel(
            users: UserDirectory(
                // Users stand by slot, then by ID.
                ids: IDDictionary(
                    (0..<users).map { "u\($0)" }.sorted {
                        (Slot(user: $0), $0) < (Slot(user: $1), $1)
                    }),
                offsets: histories.reduce(into: [0]) { $0.append(($0.last ?? 0) + UInt64($1.count)) },
                items: Array(histories.joined()), itemCount: items),
            items: sample.catalog(),
            als: RetrievalModel.factors(als, rows: .floats(als.itemFactors), graph: nil, options: options),
            spectral: nil, neighbors: nil, mix: .unknownUser, options: options)
        self.sample = sample
        self.histories = histories
    }

    private func ask(
        _ source: RetrievalSource, user: UInt32?, factor: [Float]? = nil, history: [UInt32], limit: Int = 50,
        blocking: [UInt32] = []
    ) throws -> SourceList? {
        let generator = CandidateGenerator(model: model)
        generator.mask.begin()
        for row in history + blocking { generator.mask.block(row) }
        let mix = RetrievalMix(sources: [.init(source: source, limit: limit)])
        history.withUnsafeBufferPointer { history in
            if let factor {
                factor.withUnsafeBufferPointer {
                    generator.begin(user: user, factor: $0, history: history, mix: mix)
                }
            } else {
                generator.begin(user: user, history: history, mix: mix)
            }
        }
        while try !generator.step() {}
        #expect(generator.unavailable.isEmpty)
        return generator.lists.first
    }

    private func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }

    /// Items of the users whose factors are closest, by their definition.
    private func itemsOfLikeUsers(_ factor: [Float], but user: Int?, blocked: Set<UInt32>) -> [UInt32: Double] {
        let closest = userFactors.indices.map { ($0, cosine(factor, userFactors[$0])) }
            .sorted { $0.1 > $1.1 }.prefix(UserNeighbors.neighborsMax + 1)
        var sums: [UInt32: Double] = [:]
        for (other, similarity) in closest where other != user && similarity > 0 {
            for item in histories[other] where !blocked.contains(item) {
                sums[item, default: 0] += similarity * similarity * similarity * similarity
            }
        }
        return sums
    }

    @Test(arguments: [0, 7, 100, 249])
    func `user_to_user brings the items of the users whose factors are closest`(user: Int) throws {
        let list = try #require(try ask(.userToUser, user: UInt32(user), history: histories[user], blocking: [1, 2]))
        let expected = itemsOfLikeUsers(
            userFactors[user], but: user, blocked: Set(histories[user] + [1, 2]))
        #expect(list.rows.count == min(50, expected.count) && list.plan != nil)
        let best = expected.values.sorted(by: >)
        for (place, row) in list.rows.enumerated() {
            #expect(abs(Double(row.score) - (expected[row.row] ?? -1)) < 1e-3)
            #expect(abs(Double(row.score) - best[place]) < 1e-3)
        }
    }

    @Test func `a folded-in factor is what is searched with, with a user and without`() throws {
        let factor = userFactors[60].map { -$0 }
        for user: UInt32? in [nil, 5] {
            let als = try #require(try ask(.als, user: user, factor: factor, history: [], limit: 10))
            let scores = itemFactors.map { zip($0, factor).reduce(Float(0)) { $0 + $1.0 * $1.1 } }
            #expect(als.rows.map(\.score).first.map { abs($0 - (scores.max() ?? 0)) < 1e-4 } == true)
            let like = try #require(try ask(.userToUser, user: user, factor: factor, history: []))
            let expected = itemsOfLikeUsers(factor, but: user.map { Int($0) }, blocked: [])
            #expect(abs(Double(like.rows[0].score) - (expected.values.max() ?? 0)) < 1e-3)
        }
        // The next request of the same generator has none.
        #expect(try ask(.als, user: nil, history: []) == nil)
    }

    @Test(arguments: [0, 7, 100])
    func `content brings eligible items like those of the history`(user: Int) throws {
        let history = histories[user]
        let list = try #require(try ask(.content, user: UInt32(user), history: history, limit: 30, blocking: [11, 12]))
        let index = try #require(model.content)
        let blocked = Set(history + [11, 12])
        let expected = index.candidates(for: history, k: 400).filter { !blocked.contains($0.row) }
        #expect(list.rows == Array(expected.prefix(30)))
    }

    @Test func `sources without anything to go by bring nothing`() throws {
        #expect(try ask(.content, user: nil, history: [])?.rows.isEmpty == true)
        #expect(try ask(.userToUser, user: nil, history: [4]) == nil)
    }

    @Test func `similar items by content leave the item and blocked ones out`() throws {
        let generator = CandidateGenerator(model: model)
        generator.mask.begin()
        generator.mask.block(9)
        generator.mask.block(30)
        let found = try generator.similarItems(to: 9, k: 8, source: .content)
        let expected = try #require(model.content).nearest(to: 9, k: 8) { $0 != 30 }
        #expect(found.map(\.row) == expected.map(\.row))
    }

    @Test func `one generator asked again and again for any source gives what a new one gives`() throws {
        let generator = CandidateGenerator(model: model)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<60 {
            let user = Int.random(in: 0..<histories.count, using: &random)
            let source = [RetrievalSource.content, .userToUser, .als].randomElement(using: &random) ?? .als
            generator.mask.begin()
            for row in histories[user] { generator.mask.block(row) }
            histories[user].withUnsafeBufferPointer {
                generator.begin(
                    user: UInt32(user), history: $0, mix: RetrievalMix(sources: [.init(source: source, limit: 50)]))
            }
            // Some are given up in the middle.
            let isCut = Int.random(in: 0..<4, using: &random) == 0
            if isCut {
                _ = try generator.step()
                generator.truncate()
                continue
            }
            while try !generator.step() {}
            let expected = try ask(source, user: UInt32(user), history: histories[user])
            #expect(generator.lists.first?.rows == expected?.rows)
        }
    }

    @Test func `what no mix asks for is not made`() throws {
        let plain = try RetrievalModel(
            users: model.users, items: model.items, als: model.als, spectral: nil, neighbors: nil, mix: .unknownUser)
        #expect(!plain.has(.content) && !plain.has(.userToUser))
        let mix = RetrievalMix(sources: [.init(source: .content), .init(source: .userToUser)])
        let asked = try RetrievalModel(
            users: model.users, items: model.items, als: model.als, spectral: nil, neighbors: nil, mix: mix)
        #expect(asked.has(.content) && asked.has(.userToUser))
        #expect((asked.content?.byteCount ?? 0) > 0 && (asked.userNeighbors?.byteCount ?? 0) > 250 * Self.rank * 2)
    }
}
