import NearestNeighbors
import TestSupport
import Testing

@testable import Retrieval

@Suite(.ownThreads) struct AttributeIndexTests {
    @Test(arguments: [0, 1, 63, 64, 65, 700, 6000])
    func `A compiled filter holds the items that satisfy it, whatever it asks`(count: Int) throws {
        let sample = FilterSample(itemCount: count, seed: 31)
        let index = AttributeIndex(try sample.catalog())
        var random = SeededGenerator(seed: 32)
        for _ in 0..<(count > 1000 ? 150 : 400) {
            let filter = sample.filter(&random)
            let rows = try index.rows(of: filter)
            let expected = Set((0..<count).filter { sample.satisfies($0, filter) })
            #expect(rows.rows == expected, "\(filter)")
            #expect(rows.count == expected.count)
        }
    }

    @Test func `A range by its order and by a look at every item is the same`() throws {
        let sample = FilterSample(itemCount: 777, seed: 33)
        let index = AttributeIndex(try sample.catalog())
        for (min, max) in [(-9.0, 9.0), (0, 0), (-5, -4.9), (2, 1), (-.infinity, 1), (1, .infinity)] {
            for name in ["price", "year"] {
                let filter = ItemFilter(conditions: [ItemCondition(name, min: min, max: max)])
                #expect(try index.rows(of: filter).rows == index.scan(name, min: min, max: max)?.rows)
            }
        }
    }

    @Test func `Many conditions over few rows are tested on these rows`() throws {
        var sample = FilterSample(itemCount: 5000, seed: 34)
        for row in [5, 64, 4000, 4999] { sample.brands[row].append("rare") }
        let index = AttributeIndex(try sample.catalog())
        let filter = ItemFilter(
            noTag: ["t1"],
            conditions: [
                ItemCondition("brand", anyOf: ["rare"]), ItemCondition("year", min: 1990, max: 2020),
                ItemCondition("price", noneOf: ["1"]), ItemCondition("brand", anyOf: ["b0"]),
            ])
        #expect(try index.rows(of: filter).rows == Set((0..<5000).filter { sample.satisfies($0, filter) }))
    }

    private func refusal(_ condition: ItemCondition, names: Int = 0) throws -> String {
        let sample = FilterSample(itemCount: 9, seed: 35)
        do {
            _ = try AttributeIndex(sample.catalog()).rows(
                of: ItemFilter(conditions: [ItemCondition("brand", noneOf: ["x"]), condition]))
            return "taken"
        } catch { return "\(error)" }
    }

    @Test func `What does not fit the attributes is named with what there is`() throws {
        #expect(
            try refusal(ItemCondition("prise", max: 3))
                == "filter.conditions[1]: no attribute is named 'prise'; did you mean 'price'? known: brand, genres, price, year"
        )
        #expect(
            try refusal(ItemCondition("somethingelse", max: 3))
                == "filter.conditions[1]: no attribute is named 'somethingelse'; known: brand, genres, price, year")
        #expect(
            try refusal(ItemCondition("brand", min: 3))
                == "filter.conditions[1]: attribute 'brand' holds texts; min and max are for numbers")
        #expect(
            try refusal(ItemCondition("year", anyOf: ["soon"]))
                == "filter.conditions[1]: attribute 'year' holds numbers; 'soon' is none")
        #expect(try refusal(ItemCondition("year", noneOf: ["nan"])).contains("'nan' is none"))
        #expect(try refusal(ItemCondition("year", min: .nan)).contains("min or max is not a number"))
        #expect(try refusal(ItemCondition("brand", anyOf: ["nobody's"])) == "taken")
        #expect(try refusal(ItemCondition("price", min: 3, max: 1)) == "taken")
    }
}

@Suite(.ownThreads) struct FilterCacheTests {
    private func filters(_ count: Int) -> [ItemFilter] {
        (0..<count).map { ItemFilter(conditions: [ItemCondition("year", max: Double(1990 + $0))]) }
    }

    @Test func `A filter that was compiled lately is the same set of rows`() throws {
        let sample = FilterSample(itemCount: 900, seed: 36)
        let cache = FilterCache(AttributeIndex(try sample.catalog()), bytesMax: 1 << 20)
        let filter = filters(1)[0]
        let first = try #require(try cache.rows(of: filter))
        #expect(try cache.rows(of: filter) === first)
        #expect(cache.hits == 1 && cache.misses == 1 && cache.count == 1)
        #expect(try cache.rows(of: ItemFilter()) == nil)
        cache.removeAll()
        #expect(try cache.rows(of: filter) !== first)
        #expect(throws: FilterFault.self) {
            try cache.rows(of: ItemFilter(conditions: [ItemCondition("x", max: 1)]))
        }
        #expect(cache.count == 1)
    }

    @Test(arguments: [0, 400, 1200, 5000])
    func `It keeps within its bytes, what is used longest, and stays right`(bytesMax: Int) throws {
        let sample = FilterSample(itemCount: 640, seed: 37)
        let cache = FilterCache(AttributeIndex(try sample.catalog()), bytesMax: bytesMax)
        let filters = filters(40)
        var random = SeededGenerator(seed: 38)
        for step in 0..<600 {
            // One is asked for every other time.
            let filter = step % 2 == 0 ? filters[3] : filters[Int.random(in: 0..<40, using: &random)]
            let rows = try #require(try cache.rows(of: filter))
            #expect(rows.count == (0..<640).count { sample.satisfies($0, filter) })
            #expect(cache.bytes <= bytesMax)
        }
        #expect(cache.hits + cache.misses == 600)
        switch bytesMax {
        case 0: #expect(cache.hits == 0 && cache.count == 0)
        case 5000: #expect(cache.hits > 300 && cache.count > 5)
        default: break
        }
    }
}
