import TestSupport
import Testing
import Vocabulary

@testable import Artifacts
@testable import Catalog

@Suite(.ownThreads) struct IDDictionaryTests {
    @Test(arguments: [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 20_000])
    func everyIDIsFoundInItsRowAndNoOther(count: Int) throws {
        let ids = (0..<count).map { "user-\($0 &* 2_654_435_761 % 1_000_003)" }
        try #require(Set(ids).count == count)
        let dictionary = try IDDictionary(ids)
        #expect(dictionary.count == count)
        for (row, id) in ids.enumerated() {
            #expect(dictionary.row(of: id) == UInt32(row))
            #expect(dictionary.string(UInt32(row)) == id)
        }
        let known = Set(ids)
        for probe in 0..<2000 where !known.contains("user-\(probe)x") {
            #expect(dictionary.row(of: "user-\(probe)x") == nil)
        }
        #expect(dictionary.row(of: "") == nil)
        #expect(dictionary.row(of: String(repeating: "u", count: 256)) == nil)
    }

    @Test func IDsOfAllLengthsAndScriptsAreKept() throws {
        let ids =
            (1...255).map { String(repeating: "x", count: $0) } + ["é", "e\u{301}", "漢字", "🦅", "\u{0}", " ", "a\nb"]
        let dictionary = try IDDictionary(ids)
        for (row, id) in ids.enumerated() {
            #expect(dictionary.row(of: id) == UInt32(row))
            #expect(Array(dictionary.bytes(UInt32(row))) == Array(id.utf8))
        }
    }

    @Test func badIDsAreRefusedByName() throws {
        #expect(throws: ArtifactError.self) { try IDDictionary(["a", ""]) }
        #expect(throws: ArtifactError.self) { try IDDictionary([String(repeating: "x", count: 256)]) }
        let twice = try #require(throws: ArtifactError.self) { try IDDictionary(["a", "b", "a"], what: "user ID") }
        #expect(twice.code == .invalidContent)
        #expect(twice.fault.contains("\"a\" stands in rows 0 and 2"))
        var builder = IDDictionary.Builder(what: "item ID")
        try builder.append("fine")
        try builder.append([0xC3, 0x28])
        let notText = try #require(throws: ArtifactError.self) { try IDDictionary(builder) }
        #expect(notText.fault.contains("row 1 is not valid UTF-8"))
    }

    /// Mutated tables are refused, or behave: each lookup ends, stays inside, and finds the right row.
    @Test func aDamagedTableIsRefused() throws {
        var random = SeededGenerator(seed: 11)
        let ids = (0..<200).map { "item \($0)" }
        let good = try IDDictionary(ids)
        let table = Array(good.columns.table.values)
        var refused = 0
        for _ in 0..<3000 {
            var damaged = table
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<damaged.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: damaged[place] = UInt32.random(in: .min ... .max, using: &random)
                case 1: damaged[place] ^= 1 << UInt32.random(in: 0..<32, using: &random)
                case 2: damaged[place] = 0
                default: damaged.swapAt(place, Int.random(in: 0..<damaged.count, using: &random))
                }
            }
            guard damaged != table else { continue }
            do {
                let dictionary = try IDDictionary(good.columns.texts, table: Column(damaged), what: "ID", path: "test")
                for (row, id) in ids.enumerated() { #expect(dictionary.row(of: id) == UInt32(row)) }
                for probe in 200..<300 { #expect(dictionary.row(of: "item \(probe)") == nil) }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 2000)
        for size in [0, 1, 200, 255, 300] {
            #expect(throws: ArtifactError.self) {
                try IDDictionary(
                    good.columns.texts, table: Column([UInt32](repeating: 0, count: size)), what: "ID", path: "test")
            }
        }
        let full = [UInt32](repeating: 1, count: 256)
        #expect(throws: ArtifactError.self) {
            try IDDictionary(good.columns.texts, table: Column(full), what: "ID", path: "test")
        }
    }

    @Test func aTableMadeToBeSlowIsRefusedInBoundedTime() throws {
        // All entries in one run: each lookup would walk half of the table.
        let ids = (0..<60_000).map { "item \($0)" }
        let good = try IDDictionary(ids)
        let entries = good.columns.table.values.filter { $0 != 0 }
        let run = Array(entries) + [UInt32](repeating: 0, count: good.columns.table.count - entries.count)
        #expect(throws: ArtifactError.self) {
            try IDDictionary(good.columns.texts, table: Column(run), what: "ID", path: "test")
        }
    }

    @Test func damagedOffsetsAreRefused() throws {
        let texts = try IDDictionary(["one", "two", "three"]).columns.texts
        for offsets: [UInt32] in [
            [], [0], [0, 3, 6], [1, 3, 6, 11], [0, 3, 6, 12], [0, 6, 3, 11], [0, 0, 6, 11], [0, 3, .max, 11],
            [0, 11, 11, 11], [0, 3, 6, 10],
        ] {
            #expect(throws: ArtifactError.self) {
                let column = try TextColumn(
                    bytes: texts.bytes, offsets: Column(offsets), lengths: 1...255, what: "ID", path: "test")
                _ = try IDDictionary(column, table: Column([1, 2, 3, 0, 0, 0, 0, 0]), what: "ID", path: "test")
            }
        }
    }
}
