import Testing

@testable import Training

@Suite struct ItemAttributesTests {
    let folder: ScratchFolder
    init() throws { folder = try ScratchFolder() }

    @Test func `Titles and genres stand beside the ratings`() throws {
        _ = try folder.write(
            "movies.csv",
            "movieId,title,genres\n1,\"Good, the Bad, The (1966)\",Action|Western\n2,Quiet,(no genres listed)\n")
        let found = try ItemAttributes.beside(folder.path + "/ratings.csv")
        #expect(found["1"] == .init(title: "Good, the Bad, The (1966)", tags: ["Action", "Western"]))
        #expect(found["2"] == .init(title: "Quiet", tags: []))
        #expect(found.file == folder.path + "/movies.csv")
        let other = try ScratchFolder()
        #expect(try ItemAttributes.beside(other.path + "/ratings.csv") == ItemAttributes())
    }

    @Test func `MovieLens 100K items are Latin-1 with a flag per genre`() throws {
        let flags = [0, 1] + Array(repeating: 0, count: 16) + [1]
        let line =
            Array("7|Caf".utf8) + [0xE9]
            + Array(" (1995)|01-Jan-1995||http://x|\(flags.map(String.init).joined(separator: "|"))\n".utf8)
        _ = try folder.write("u.item", line)
        #expect(
            try ItemAttributes.beside(folder.path + "/u.data")["7"]
                == .init(title: "Café (1995)", tags: ["Action", "Western"]))
        let names = (0..<19).map { "G\($0)|\($0)" }.joined(separator: "\n")
        _ = try folder.write("u.genre", names + "\n\n")
        #expect(try ItemAttributes.beside(folder.path + "/u.data")["7"]?.tags == ["G1", "G18"])
    }

    @Test func `Double colons may end early and are UTF-8 or Latin-1`() throws {
        let bytes =
            Array("1::Fantômas (1913)::Crime|Drama\n2::No genres::\n3::Only a title\n4::Am".utf8) + [0xE9]
            + Array("lie::Comedy\n".utf8)
        let path = try folder.write("movies.dat", bytes)
        let found = try ItemAttributes.read(path)
        #expect(found["1"]?.title == "Fantômas (1913)" && found["4"]?.title == "Amélie")
        #expect(found["2"]?.tags == [] && found["3"] == .init(title: "Only a title", tags: []))
    }

    @Test func `A line without a title is an error, or is counted`() throws {
        let path = try folder.write("items.csv", "item_id,title\n1,A\n2\n")
        #expect(throws: DatasetError.self) { try ItemAttributes.read(path) }
        let found = try ItemAttributes.read(path, skipBadLines: true)
        #expect(found.badLines == 1 && found.entries.count == 1)
    }
}
