import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct RealDataTests {
    @Test(.enabled(if: RealData.has("gowalla"), RealData.comment("gowalla")))
    func `Gowalla has the counts its authors state`() throws {
        let (train, report) = try InteractionImporter().read("\(RealData.root)/gowalla/train.txt")
        #expect(report.format == .adjacency && report.duplicates == 0)
        #expect(train.count == 810_128 && train.userCount == 29_858 && train.itemCount == 40_981)
        #expect(try imported("\(RealData.root)/gowalla/test.txt").count == 217_242)
    }

    @Test(.enabled(if: RealData.has("ml-latest-small"), RealData.comment("ml-latest-small")))
    func `MovieLens latest small has its counts, times and titles`() throws {
        let (ratings, report) = try InteractionImporter().read("\(RealData.root)/ml-latest-small")
        #expect(report.format == .csv && report.hasTimes && report.hasValues)
        #expect(ratings.count == 100_836 && ratings.userCount == 610 && ratings.itemCount == 9_724)
        let attributes = try ItemAttributes.beside(report.files[0])
        #expect(attributes.entries.count == 9_742)
        #expect(
            attributes["1"]
                == .init(title: "Toy Story (1995)", tags: ["Adventure", "Animation", "Children", "Comedy", "Fantasy"]))
        #expect((0..<UInt32(ratings.itemCount)).allSatisfy { attributes[ratings.items.string($0)] != nil })
    }

    @Test(.enabled(if: RealData.has("movietweetings"), RealData.comment("movietweetings")))
    func `MovieTweetings has its counts, with the ratings of zero`() throws {
        let path = "\(RealData.root)/movietweetings"
        let (ratings, report) = try InteractionImporter(ImportOptions(minimumValue: 0)).read(path)
        #expect(report.format == .dat && report.lines == 141_695)
        #expect(ratings.userCount == 21_081 && ratings.itemCount == 12_611)
        #expect(try InteractionImporter().read(path).report.belowMinimum > 0)
        let attributes = try ItemAttributes.beside(report.files[0])
        #expect(
            attributes["0002844"]
                == .init(title: "Fantômas - À l'ombre de la guillotine (1913)", tags: ["Crime", "Drama"]))
    }
}
