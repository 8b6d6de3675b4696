import TestSupport
import Testing
import Vocabulary

@testable import Artifacts
@testable import Catalog

@Suite(.ownThreads) struct UserDirectoryTests {
    @Test(arguments: [(0, 1), (1, 0), (1, 1), (200, 50), (3000, 400)], [true, false])
    func whatWasWrittenIsRead(size: (Int, Int), withTimes: Bool) throws {
        let sample = CatalogSample(userCount: size.0, itemCount: size.1, seed: 3)
        let folder = try TemporaryFolder()
        try sample.publish(at: folder.file("model"), withTimes: withTimes)
        let users = try UserDirectory(bundle: Bundle(opening: folder.file("model")))
        #expect(users.count == sample.users.count)
        #expect(users.hasTimes == withTimes)
        #expect(users.interactionCount == sample.histories.joined().count)
        for (row, user) in sample.users.enumerated() {
            #expect(users.row(of: user) == UInt32(row))
            #expect(users.name(UInt32(row)) == user)
            #expect(Array(users.history(of: UInt32(row))) == sample.histories[row])
            #expect(users.historyTimes(of: UInt32(row)).map(Array.init) == (withTimes ? sample.times[row] : nil))
        }
        #expect(users.row(of: "nobody") == nil)
    }

    @Test func aRangeOfSlotsIsARangeOfRows() throws {
        let sample = CatalogSample(userCount: 2000, itemCount: 3, seed: 4)
        let users = try sample.directory()
        for range in [0..<0, 0..<1, 0..<Slot.count, 5000..<9000, 16383..<16384, 16384..<16384] {
            let expected = sample.users.indices.filter { range.contains(Int(Slot(user: sample.users[$0]).value)) }
            let rows = users.rows(inSlots: range)
            #expect(rows.map(Int.init) == expected)
        }
    }

    @Test func usersOutOfOrderAreRefused() throws {
        let sample = CatalogSample(userCount: 50, itemCount: 3, seed: 5)
        for (a, b) in [(0, 1), (10, 40), (48, 49)] {
            var swapped = sample
            swapped.users.swapAt(a, b)
            let error = try #require(throws: ArtifactError.self) { try swapped.directory() }
            #expect(error.fault.contains("out of order"))
        }
    }

    @Test func historyEntriesOutOfRangeAreRefused() throws {
        let ids = try IDDictionary(["solo"])
        #expect(throws: ArtifactError.self) {
            try UserDirectory(ids: ids, offsets: [0, 2], items: [0, 7], itemCount: 7)
        }
        for offsets: [UInt64] in [[0], [0, 1], [0, 3], [1, 2], [0, 2, 2], [0, .max], [.max, 2]] {
            #expect(throws: ArtifactError.self) {
                try UserDirectory(ids: ids, offsets: offsets, items: [0, 1], itemCount: 7)
            }
        }
        #expect(throws: ArtifactError.self) {
            try UserDirectory(ids: ids, offsets: [0, 2], items: [0, 1], times: [5], itemCount: 7)
        }
    }
}
