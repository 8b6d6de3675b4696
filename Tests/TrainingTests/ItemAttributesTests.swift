import Catalog
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct ItemAttributesTests {
    let folder: ScratchFolder
    init() throws { folder = try ScratchFolder() }

    @Test func `Titles and genres stand beside the ratings`() throws {
        _ = try folder.write(
            "movies.csv",
            "movieId,title,genres\n1,\"Good, the Bad, The (1966)\",Action|Western\n2,Quiet,(no genres listed)\n")
        let found = try ItemAttributes.beside(folder.path + "/ratings.csv")
        #expect(found["1"] == .init(title: "Good, the Bad, The (1966)", tags: ["Action", "Western"]))
        #expect(found.attributes.isEmpty && found.tagsName == "genres")
        #expect(found["2"] == .init(title: "Quiet", tags: []))
        #expect(found.file == folder.path + "/movies.csv")
        let other = try ScratchFolder()
        let none = try ItemAttributes.beside(other.path + "/ratings.csv")
        #expect(none.entries.isEmpty && none.file == nil)
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

    // MARK: Attributes

    private func read(_ text: String, name: String = "items.csv", skipBadLines: Bool = false) throws -> ItemAttributes {
        try ItemAttributes.read(folder.write(name, text), skipBadLines: skipBadLines)
    }

    private func texts(_ found: ItemAttributes, _ item: String, _ name: String) -> [String]? {
        guard let (place, column) = found.attributes.first(where: { $0.column.name == name }) else { return nil }
        return found[item].map { column.texts($0.places[place]) }
    }

    private func number(_ found: ItemAttributes, _ item: String, _ name: String) -> Double? {
        guard let (place, column) = found.attributes.first(where: { $0.column.name == name }) else { return nil }
        return found[item].flatMap { column.number($0.places[place]) }
    }

    private func refusal(_ text: String) -> String {
        do {
            _ = try read(text)
            return "taken"
        } catch { return "\(error)" }
    }

    @Test func `Every other column is an attribute, of numbers if each of its fields is one`() throws {
        let found = try read(
            """
            sku,title,tags,brand,price,mixed
            a,One,x|y,acme,9.5,1
            b,Two,,"acme | zenith",-3,2
            c,Three,y,,,soon
            """)
        #expect(found.attributes.map(\.column.name) == ["brand", "price", "mixed"])
        #expect(found.attributes.map(\.column.isNumber) == [false, true, false])
        #expect(texts(found, "a", "brand") == ["acme"] && texts(found, "b", "brand") == ["acme", "zenith"])
        #expect(texts(found, "c", "brand") == [])
        #expect(number(found, "a", "price") == 9.5 && number(found, "b", "price") == -3)
        #expect(number(found, "c", "price") == nil)
        #expect(texts(found, "a", "mixed") == ["1"] && texts(found, "c", "mixed") == ["soon"])
        #expect(
            found.columns[2].remark == "mixed is text, not number, because line 4 says 'soon'"
                && found.columns[1].remark == nil)
    }

    @Test func `A column of numbers that a NaN makes one of texts says so, however few numbers there are`() throws {
        let found = try read("item,title,price,year\na,A,5,1999\nb,B,NaN,\nc,C,NaN,2001\nd,D,null,\n")
        #expect(found.attributes.map(\.column.isNumber) == [false, true])
        #expect(
            found.columns[0].remark
                == "price is text, not number, because line 3 says 'NaN' (3 such lines); leave the field empty where "
                + "there is no number")
        #expect(found.columns[1].remark == nil)
        // Words among numbers are words; a column of nothing but NaN was no number.
        #expect(try read("item,title,x\na,A,1\nb,B,red\nc,C,blue\n").columns[0].remark == nil)
        #expect(try read("item,title,x\na,A,NaN\n").columns[0].remark == nil)
    }

    @Test func `Items of the file without interactions are counted`() throws {
        let found = try read("item,title\na,A\nb,B\nc,C\n")
        #expect(found.count(outside: ["b", "x"]) == 2)
        #expect(found.count(outside: ["a", "b", "c"]) == 0)
    }

    @Test func `A header needs no title, and the tags are found by the name that fits best`() throws {
        let found = try read("item_id,category,tags,price:float\na,shoes,x,1\n")
        #expect(found["a"]?.title == "" && found["a"]?.tags == ["x"] && found.tagsName == "tags")
        #expect(texts(found, "a", "category") == ["shoes"] && number(found, "a", "price") == 1)
        // Without a header the columns are item, title and tags.
        #expect(try read("1,One,x\n2,Two,y\n").entries.count == 2)
        #expect(try read("i,One,x\nj,Two,y\n").entries.count == 2)
    }

    @Test func `Windows are Unix seconds or dates`() throws {
        let found = try read(
            """
            item,title,available_from,available_until
            a,A,1700000000,
            b,B,2026-11-21,2026-11-22T08:00:00+02:00
            c,C,,
            """)
        #expect(found["a"]?.window == AvailabilityWindow(from: 1_700_000_000))
        #expect(found["b"]?.window == AvailabilityWindow(from: 1_795_219_200, until: 1_795_327_200))
        #expect(found["c"]?.window == nil && found.windowCount == 2 && found.columns.isEmpty)
    }

    @Test func `A bad line is named with what was expected, or counted`() throws {
        let head = "item,title,brand,available_from,available_until\na,A,x,,\n"
        #expect(
            refusal(head + "b,B,x,tomorrow,\n").contains(
                "items.csv, line 3: expected Unix seconds or a date (2026-11-21, 2026-11-21T08:00:00Z) as available_from, "
                    + "found 'tomorrow'; --skip-bad-lines"))
        #expect(refusal(head + "b,B,x,20,10\n").contains("line 3: expected an available_until after available_from"))
        #expect(refusal(head + "b,B,x,\n").contains("line 3: expected 5 fields, as in the header, found '4'"))
        #expect(refusal(head + "b,B,with, comma,,\n").contains("expected 5 fields"))
        let many = (0...64).map(String.init).joined(separator: "|")
        #expect(refusal(head + "b,B,\(many),,\n").contains("line 3: expected at most 64 values separated by '|'"))
        let found = try read(head + "b,B,x,never,\nc,C,x,,\n", skipBadLines: true)
        #expect(found.badLines == 1 && found.entries.keys.sorted() == ["a", "c"])
    }

    @Test func `A header that cannot be used is refused`() {
        #expect(refusal("item,title,price,price\na,A,1,2\n").contains("line 1: expected columns of different names"))
        let names = (0...64).map { "c\($0)" }.joined(separator: ",")
        #expect(refusal("item,title,\(names)\n").contains("line 1: 65 columns beside item, title and tags; at most 64"))
        let long = String(repeating: "n", count: 256)
        #expect(refusal("item,title,\(long)\n").contains("column names of at most 255 bytes"))
    }

    @Test func `A column that is nothing to filter by is left out and says why`() throws {
        let long = String(repeating: "word ", count: 60)
        let found = try read("item,title,,text,empty,price\na,A,0,\(long),,1\nb,B,1,short,,2\n")
        #expect(found.attributes.map(\.column.name) == ["price"])
        #expect(
            found.columns.map(\.fault) == [
                "line 2 has a value of 299 bytes, at most 255 are allowed", "it is empty", nil,
            ])
        #expect(number(found, "b", "price") == 2)
    }

    @Test func `A bundle holds what the file of items says of the items that were had`() throws {
        _ = try folder.write("ratings.csv", "user,item\nu,a\nu,b\nv,a\n")
        _ = try folder.write(
            "items.csv", "item,title,genre,brand,price,available_until\na,A,x,acme,5,100\nb,B,y,,,\nz,Z,,never,1,\n")
        let (data, report) = try InteractionImporter().read(folder.path)
        let ordered = data.inBundleOrder()
        let items = try CatalogAssembly(
            ordered, .beside(report.files[0]), RecentPopularity(ordered)
        ).items
        #expect(items.details.attributes.map(\.name) == ["brand", "price"] && items.details.tagsName == "genre")
        guard case .text(let brand) = items.details.attributes[0].content,
            case .number(let price) = items.details.attributes[1].content
        else {
            Issue.record("brand is text and price a number")
            return
        }
        let a = try #require(items.row(of: "a"))
        let b = try #require(items.row(of: "b"))
        #expect(brand.numbers(a).map(brand.value) == ["acme"] && brand.numbers(b).isEmpty && brand.valueCount == 1)
        #expect(price.value(a) == 5 && price.value(b) == nil)
        #expect(items.details.availability?.window(a) == AvailabilityWindow(until: 100))
        #expect(items.details.availability?.window(b) == AvailabilityWindow())
    }
}
