import Catalog
import NearestNeighbors
import TestSupport
import Testing
import VectorMath

@testable import Retrieval

#if canImport(Glibc)
    import Glibc
#endif

/// Likeness by tags and attributes, against vectors in dictionaries.
@Suite(.ownThreads) struct ContentIndexTests {
    /// An item's vector by its definition, without the limits, which these items do not reach.
    private struct Oracle {
        var vectors: [[String: Double]] = []

        init(_ sample: FilterSample, bounds: (String) -> [Double]) {
            let words = (0..<sample.itemCount).map { row -> Set<String> in
                var words = Set(sample.tags[row].map { "tag \($0)" } + sample.brands[row].map { "brand \($0)" })
                if let price = sample.prices[row] { words.insert("price \(bounds("price").count { $0 <= price })") }
                words.insert("year \(bounds("year").count { $0 <= sample.years[row] })")
                return words
            }
            var counts: [String: Int] = [:]
            for word in words.joined() { counts[word, default: 0] += 1 }
            vectors = words.map { words in
                var vector: [String: Double] = [:]
                for word in words {
                    guard let count = counts[word], count > 1, count < sample.itemCount else { continue }
                    vector[word] = log(Double(sample.itemCount) / Double(count))
                }
                let length = vector.values.reduce(0) { $0 + $1 * $1 }.squareRoot()
                return length > 0 ? vector.mapValues { $0 / length } : [:]
            }
        }

        func cosine(_ a: [String: Double], _ b: [String: Double]) -> Double {
            func dot(_ a: [String: Double], _ b: [String: Double]) -> Double {
                a.reduce(0) { $0 + $1.value * (b[$1.key] ?? 0) }
            }
            let length = (dot(a, a) * dot(b, b)).squareRoot()
            return length > 0 ? dot(a, b) / length : 0
        }

        func sum(_ rows: some Sequence<UInt32>) -> [String: Double] {
            rows.reduce(into: [:]) { sum, row in sum.merge(vectors[Int(row)]) { $0 + $1 } }
        }
    }

    private func oracle(_ sample: FilterSample) -> Oracle {
        Oracle(sample) { name in
            let values = (name == "price" ? sample.prices.compactMap { $0 } : sample.years).sorted()
            var bounds: [Double] = []
            for part in 1..<16 where values[values.count * part / 16] > bounds.last ?? values[0] {
                bounds.append(values[values.count * part / 16])
            }
            return bounds
        }
    }

    /// The items of `found` against the cosines of all.
    private func expect(_ found: [ScoredRow], of cosines: [Double], k: Int, where isEligible: (Int) -> Bool) {
        let eligible = cosines.indices.filter { cosines[$0] > 1e-9 && isEligible($0) }
        #expect(found.count == min(k, eligible.count))
        let expected = eligible.map { cosines[$0] }.sorted(by: >)
        for (place, row) in found.enumerated() {
            #expect(abs(Double(row.score) - cosines[Int(row.row)]) < 1e-5 && isEligible(Int(row.row)))
            #expect(abs(Double(row.score) - expected[place]) < 1e-5, "place \(place)")
        }
    }

    @Test(arguments: [1, 2, 3])
    func `the nearest items are those of the largest cosines`(seed: UInt64) throws {
        let sample = FilterSample(itemCount: 300, seed: seed)
        let index = ContentIndex(try sample.catalog())
        let oracle = oracle(sample)
        for item in stride(from: 0, to: 300, by: 17) {
            let cosines = oracle.vectors.map { oracle.cosine($0, oracle.vectors[item]) }
            expect(index.nearest(to: UInt32(item), k: 25), of: cosines, k: 25) { $0 != item }
            expect(index.nearest(to: UInt32(item), k: 10) { $0 % 3 == 0 }, of: cosines, k: 10) {
                $0 != item && $0 % 3 == 0
            }
        }
        for first in stride(from: 0, to: 290, by: 31) {
            let history = (0..<3).map { UInt32(first + $0 * 3) }
            let profile = oracle.sum(history)
            // Only so many terms of a profile are looked up; these few items have fewer.
            guard profile.count <= ContentIndex.termsMax else { continue }
            expect(
                // Every item was had once.
                index.candidates(for: history, k: 40),
                of: oracle.vectors.map { oracle.cosine($0, profile) * 2.0.squareRoot() }, k: 40
            ) { _ in true }
        }
    }

    @Test func `an item that the catalogue lacks is compared by its values, whatever names it brings`() throws {
        let sample = FilterSample(itemCount: 300, seed: 4)
        let index = ContentIndex(try sample.catalog())
        for row in stride(from: 0, to: 300, by: 23) {
            var values = ItemValues(
                tags: sample.tags[row] + ["unheard of"], texts: ["brand": sample.brands[row], "no such": ["x"]],
                numbers: ["year": sample.years[row]])
            if let price = sample.prices[row] { values.numbers["price"] = price }
            let twin = index.nearest(to: UInt32(row), k: 12)
            let found = index.nearest(to: values, k: 12) { $0 != UInt32(row) }
            #expect(found.map(\.row) == twin.map(\.row))
            // Tags go by the name by which they are filtered, too.
            values.texts["genres"] = values.tags
            values.tags = []
            #expect(index.nearest(to: values, k: 12) { $0 != UInt32(row) } == found)
        }
        #expect(index.nearest(to: ItemValues(), k: 5).isEmpty)
        #expect(index.nearest(to: ItemValues(tags: ["unheard of"], numbers: ["year": .nan]), k: 5).isEmpty)
    }

    @Test func `what an item has in common is told, what says most first`() throws {
        let tags = [["rare", "usual"], ["rare", "usual"], ["usual"], ["usual", "other"], ["other"], []]
        let index = ContentIndex(try Self.catalog(tags))
        #expect(index.common(0, with: [1, 2], most: 3) == ["rare", "usual"])
        #expect(index.common(0, with: [2, 3], most: 3) == ["usual"])
        #expect(index.common(0, with: [4, 5], most: 3) == [])
    }

    @Test func `a catalogue without values, or of one value, has nothing in common`() throws {
        #expect(ContentIndex(try Self.catalog([[], [], []])).isEmpty)
        #expect(ContentIndex(try Self.catalog([["a"], ["a"], ["a"]])).isEmpty)
        #expect(ContentIndex(try Self.catalog([["a"], ["b"], ["c"]])).isEmpty)
    }

    @Test func `a tag that very many items have costs no more than its part`() throws {
        let tags = (0..<20_000).map { $0 % 100 == 7 ? ["most", "few"] : $0 % 2 == 0 ? ["most"] : [] }
        let index = ContentIndex(try Self.catalog(tags))
        var profile = ContentIndex.Profile(index)
        profile.make(of: CollectionOfOne(7 as UInt32), index)
        var sums = [Float](repeating: 0, count: tags.count)
        var met: [UInt32] = []
        var steps = 1
        while !profile.advance(index, sums: &sums, met: &met, limit: 1) { steps += 1 }
        #expect(steps == 2 && met.count <= ContentIndex.itemsPerTermMax + 200)
        #expect(index.likeness(107, sum: sums[107]) > 0.97)
    }

    @Test func `among items that are equally like, candidates are those that more people had`() throws {
        let index = ContentIndex(
            try Self.catalog([["a"], ["a"], ["a", "b"], ["b"], ["b"]], interactions: [3, 8, 2, 2, 1]))
        #expect(index.candidates(for: [0], k: 2).map(\.row) == [1, 0])
        #expect(index.nearest(to: 0, k: 2).map(\.row) == [1, 2])
    }

    static func catalog(_ tags: [[String]], interactions: [UInt64]? = nil) throws -> ItemCatalog {
        try ItemCatalog(
            ids: IDDictionary((0..<tags.count).map { "i\($0)" }), tags: { tags[Int($0)] },
            interactions: interactions ?? [UInt64](repeating: 1, count: tags.count),
            recentScores: [Float](repeating: 0, count: tags.count),
            details: ItemDetailColumns([], itemCount: tags.count))
    }
}
