import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct SampleDataTests {
    private let configuration = SampleConfiguration(users: 400, items: 200, interactions: 12_000, seed: 3)

    @Test func `The same seed gives the same files and another one others`() throws {
        let folders = try (0..<3).map { _ in try ScratchFolder() }
        for (n, folder) in folders.enumerated() {
            var configuration = configuration
            if n == 2 { configuration.seed = 4 }
            _ = try SampleData(configuration).write(to: folder.path)
        }
        for name in ["ratings.csv", "movies.csv"] {
            #expect(try readBytes("\(folders[0].path)/\(name)") == readBytes("\(folders[1].path)/\(name)"))
            #expect(try readBytes("\(folders[0].path)/\(name)") != readBytes("\(folders[2].path)/\(name)"))
        }
    }

    @Test func `The files import with titles, genres and times`() throws {
        let folder = try ScratchFolder()
        let count = try SampleData(configuration).write(to: folder.path)
        let (ratings, report) = try InteractionImporter().read(folder.path)
        #expect(ratings.count == count && report.duplicates == 0 && report.hasTimes)
        #expect(abs(Double(count) / 12_000 - 1) < 0.25, "\(count) ratings")
        #expect(ratings.userCount == 400)
        let attributes = try ItemAttributes.beside(report.files[0])
        #expect(attributes.entries.count == 200)
        #expect(Set(attributes.entries.values.map(\.title)).count == 200)
        #expect(attributes.entries.values.allSatisfy { (1...3).contains($0.tags.count) && $0.title.hasSuffix(")") })
    }

    @Test func `Few items have many ratings and people keep to their genres`() throws {
        let data = SampleData(configuration)
        var counts = [Int](repeating: 0, count: 200)
        var inFavourites = 0
        var total = 0
        for user in 0..<400 {
            let ratings = data.ratings(of: user)
            #expect(ratings.count >= 2)
            var genres = [Int](repeating: 0, count: 12)
            for rating in ratings {
                counts[rating.item] += 1
                #expect((0.5...5).contains(rating.stars) && (SampleData.start..<SampleData.end).contains(rating.time))
                for genre in data.items[rating.item].genres { genres[genre] += 1 }
            }
            inFavourites += genres.sorted(by: >).prefix(3).reduce(0, +)
            total += genres.reduce(0, +)
        }
        let top = counts.sorted(by: >).prefix(20).reduce(0, +)
        #expect(Double(top) > 0.18 * Double(counts.reduce(0, +)), "the top tenth has \(top)")
        // Three of twelve genres by chance: a quarter.
        #expect(Double(inFavourites) > 0.45 * Double(total), "\(inFavourites) of \(total)")
    }

    @Test func `A full disk is named with what to do`() throws {
        let writer = try TextFileWriter(path: "/dev/full")
        try writer.write("x")
        let error = #expect(throws: DatasetError.self) { try writer.finish() }
        #expect(
            error?.message
                == "/dev/full: cannot be written: No space left on device; free some space or choose another place")
    }

    @Test func `Sizes that make no sense are refused`() {
        #expect(SampleConfiguration().fault() == nil)
        #expect(SampleConfiguration(users: 1).fault()?.contains("--users") == true)
        #expect(
            SampleConfiguration(users: 100, items: 30, interactions: 5_000).fault()?.contains("at most 700") == true)
    }
}
