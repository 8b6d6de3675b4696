import TestSupport
import Testing
import Vocabulary

@testable import Artifacts
@testable import Catalog

@Suite(.ownThreads) struct ItemCatalogTests {
    @Test(arguments: [0, 1, 7, 500])
    func whatWasWrittenIsRead(count: Int) throws {
        let sample = CatalogSample(userCount: 3, itemCount: count, seed: 6)
        let folder = try TemporaryFolder()
        try sample.publish(at: folder.file("model"))
        let items = try ItemCatalog(bundle: Bundle(opening: folder.file("model")))
        #expect(items.count == count)
        for row in 0..<UInt32(count) {
            #expect(items.row(of: sample.items[Int(row)]) == row)
            #expect(items.name(row) == sample.items[Int(row)])
            #expect(items.title(row) == sample.titles[Int(row)])
            #expect(Set(items.tags(row)) == Set(sample.tags[Int(row)]))
            #expect(items.tags(row).count == Set(sample.tags[Int(row)]).count)
            for tag in 0..<UInt32(items.tagCount) {
                #expect(items.hasTag(tag, row: row) == sample.tags[Int(row)].contains(items.tagName(tag)))
                #expect(items.tagID(of: items.tagName(tag)) == tag)
            }
            #expect(items.interactions(row) == sample.interactions[Int(row)])
            #expect(items.recentScores[Int(row)] == sample.recentScores[Int(row)])
        }
        #expect(items.tagID(of: "no such tag") == nil)
    }

    @Test func ordersAreByFallingValueThenByRow() throws {
        let sample = CatalogSample(userCount: 0, itemCount: 300, seed: 7)
        let items = try sample.catalog()
        let rows = (0..<UInt32(300))
        #expect(
            Array(items.popularOrder)
                == rows.sorted { a, b in
                    let counts = (sample.interactions[Int(a)], sample.interactions[Int(b)])
                    return counts.0 == counts.1 ? a < b : counts.0 > counts.1
                })
        #expect(
            Array(items.recentOrder)
                == rows.filter { sample.recentScores[Int($0)] > 0 }.sorted { a, b in
                    let scores = (sample.recentScores[Int(a)], sample.recentScores[Int(b)])
                    return scores.0 == scores.1 ? a < b : scores.0 > scores.1
                })
    }

    @Test func longTextsAreCutAtACharacter() throws {
        let long = String(repeating: "漢", count: 1000)
        let items = try ItemCatalog(
            ids: IDDictionary(["x"]), title: { _ in long }, tags: { _ in [long, "", "b", "b"] }, interactions: [1],
            recentScores: [0])
        #expect(items.title(0) == String(repeating: "漢", count: 341))
        #expect(Set(items.tags(0)) == [String(repeating: "漢", count: 85), "b"])
    }

    @Test func columnsThatDoNotFitAreRefused() throws {
        let good = try CatalogSample(userCount: 0, itemCount: 4, seed: 8).catalog()
        func build(
            tagOffsets: [UInt32]? = nil, tagRows: [UInt32]? = nil, counts: [UInt64]? = nil, recent: [Float]? = nil
        ) throws {
            _ = try ItemCatalog(
                ids: good.ids, titles: good.titles, tagNames: good.tagValues.names,
                tagOffsets: Column(tagOffsets ?? [0, 1, 1, 3, 3]), tagRows: Column(tagRows ?? [0, 1, 2]),
                counts: Column(counts ?? [4, 3, 2, 1]), recent: Column(recent ?? [0, 0, 1, 0]), path: "test")
        }
        try #require(good.tagCount >= 3)
        try build()
        let last = UInt32(good.tagCount)
        #expect(throws: ArtifactError.self) { try build(tagRows: [0, 1, last]) }
        #expect(throws: ArtifactError.self) { try build(tagRows: [0, 2, 1]) }
        #expect(throws: ArtifactError.self) { try build(tagRows: [0, 1, 1]) }
        #expect(throws: ArtifactError.self) { try build(tagOffsets: [0, 1, 1, 2, 3, 3]) }
        #expect(throws: ArtifactError.self) { try build(tagOffsets: [0, 2, 1, 3, 3]) }
        #expect(throws: ArtifactError.self) { try build(tagOffsets: [0, 1, 1, 3, 4]) }
        #expect(throws: ArtifactError.self) { try build(counts: [1, 2, 3]) }
        for score: Float in [.nan, .infinity, -1] {
            #expect(throws: ArtifactError.self) { try build(recent: [0, score, 0, 0]) }
        }
    }
}
