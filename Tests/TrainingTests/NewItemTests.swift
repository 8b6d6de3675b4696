import Catalog
import FactorModels
import NearestNeighbors
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Training

/// Items that nobody had yet, by what they are.
@Suite(.ownThreads) struct NewItemTests {
    /// The part of an item's users, all held out, that are among the 100 who score its factor highest.
    private func recall(_ factor: [Float], _ wanted: Set<Int>, _ model: FactorModel) -> Double {
        var user = [Float](repeating: 0, count: model.rank)
        let scores = (0..<model.userCount).map { row -> (Float, Int) in
            user.withUnsafeMutableBufferPointer { model.userFactor(UInt32(row), into: $0) }
            return (zip(user, factor).reduce(Float(0)) { $0 + $1.0 * $1.1 }, row)
        }
        let best = scores.sorted { $0 > $1 }.prefix(100)
        return Double(best.count { wanted.contains($0.1) }) / Double(min(100, wanted.count))
    }

    @Test func `a new item's factor finds its users better than a mean or a random one`() throws {
        let folder = try ScratchFolder()
        _ = try SampleData(SampleConfiguration(users: 1200, items: 600, interactions: 40_000, seed: 3))
            .write(to: folder.path)
        let all = try imported("\(folder.path)/ratings.csv")
        let attributes = try ItemAttributes.beside("\(folder.path)/ratings.csv")
        // Every ninth item is new: nobody had it when the model was fitted.
        var lines = "user,item\n"
        var users: [String: Set<String>] = [:]
        for pair in all.named {
            if (Int(pair.item.dropFirst()) ?? 0) % 9 == 0 {
                users[pair.item, default: []].insert(pair.user)
            } else {
                lines += "\(pair.user),\(pair.item)\n"
            }
        }
        let data = try imported(try folder.write("old.csv", lines)).inBundleOrder()
        var configuration = ALSConfiguration()
        configuration.rank = 32
        let model = try ALS.fit(data.matrix(.equal), configuration, threads: 2)
        let catalog = try CatalogAssembly(data, attributes, RecentPopularity(data)).items
        let index = ContentIndex(catalog)
        let rows = RowMatrix.floats(model.itemFactors)
        var mean = [Float](repeating: 0, count: model.rank)
        for item in 0..<model.itemCount {
            for (n, value) in model.itemFactors.row(item).enumerated() { mean[n] += value }
        }
        var random = SplitMix64(seed: 8)
        var (byContent, byMean, byChance, asked) = (0.0, 0.0, 0.0, 0.0)
        for (item, fans) in users where fans.count >= 10 {
            let entry = try #require(attributes[item])
            var values = ItemValues(tags: entry.tags)
            for (place, column) in attributes.attributes {
                let field = entry.places[place]
                if column.isNumber {
                    if let number = column.number(field) { values.numbers[column.name] = number }
                } else {
                    values.texts[column.name] = column.texts(field)
                }
            }
            let wanted = Set(fans.compactMap { data.users.row(of: $0).map { Int($0) } })
            let factor = try #require(index.factor(ofNew: values, items: rows))
            byContent += recall(factor, wanted, model)
            byMean += recall(mean, wanted, model)
            byChance += recall(mean.map { _ in Float(random.unit()) - 0.5 }, wanted, model)
            asked += 1
        }
        #expect(asked > 20)
        let told = "content \(byContent / asked), mean \(byMean / asked), random \(byChance / asked)"
        print("share of a new item's users among the first 100:", told)
        #expect(byContent > 1.3 * byMean && byContent > 1.5 * byChance, "\(told)")
    }

    @Test func `an item that has nothing in common with any has no factor`() throws {
        let folder = try ScratchFolder()
        let data = try imported(try folder.write("pairs.csv", "a,x\na,y\nb,x\nb,y\n")).inBundleOrder()
        let catalog = try CatalogAssembly(data, ItemAttributes(), RecentPopularity(data)).items
        let rows = RowMatrix.floats(FactorMatrix(rowCount: 2, columnCount: 4) { _, _ in })
        #expect(ContentIndex(catalog).factor(ofNew: ItemValues(tags: ["t"]), items: rows) == nil)
    }
}
