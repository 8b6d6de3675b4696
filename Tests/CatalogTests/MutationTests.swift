import TestSupport
import Testing

@testable import Artifacts
@testable import Catalog

/// Users and items whose files were damaged without anyone checking checksums.
@Suite(.ownThreads) struct MutationTests {
    /// Reads everything there is to read.
    private func walk(_ users: UserDirectory, _ items: ItemCatalog) {
        var sum = 0
        for row in 0..<UInt32(users.count) {
            sum &+= users.row(of: users.name(row)) == row ? 1 : 1000
            sum &+= users.history(of: row).reduce(0) { $0 &+ items.title($1).utf8.count }
            sum &+= users.historyTimes(of: row)?.count ?? 0
        }
        for row in 0..<UInt32(items.count) {
            sum &+= items.row(of: items.name(row)) == row ? 1 : 1000
            for attribute in items.details.attributes {
                switch attribute.content {
                case .text(let text): sum &+= text.numbers(row).reduce(0) { $0 &+ text.value($1).utf8.count }
                case .number(let number): sum &+= number.value(row) == nil ? 1 : 2
                }
            }
            sum &+= items.details.availability?.window(row).from == nil ? 1 : 2
            sum &+= items.tags(row).count &+ Int(items.interactions(row) & 7) &+ items.title(row).count
        }
        for row in items.popularOrder { sum &+= items.name(row).count }
        for row in items.recentOrder { sum &+= Int(items.recentScores[Int(row)].isFinite ? 1 : 1000) }
        for name in ["", "x", "user 7", String(repeating: "long", count: 40)] {
            sum &+= Int(users.row(of: name) ?? 0) &+ Int(items.row(of: name) ?? 0) &+ Int(items.tagID(of: name) ?? 0)
        }
        sum &+= users.rows(inSlots: 0..<16384).count
        #expect(sum != .min)
    }

    /// Why a bundle is refused; nil when all of it could be read.
    private func refusal(_ path: String) -> ArtifactError? {
        do throws(ArtifactError) {
            let bundle = try Bundle(opening: path, verify: .sizes)
            walk(try UserDirectory(bundle: bundle), try ItemCatalog(bundle: bundle))
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: ["users", "items"])
    func damagedFilesAreRefusedOrStayInside(name: String) throws {
        let folder = try TemporaryFolder(inMemory: true)
        try CatalogSample(userCount: 40, itemCount: 30, seed: 12).publish(at: folder.file("model"))
        let path = "model/\(name).safetensors"
        let good = try folder.read(path)
        let headerBytes = 8 + Int(good[0]) + Int(good[1]) << 8
        var random = SeededGenerator(seed: 13)
        var refused = 0
        for _ in 0..<1200 {
            var bad = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                // Mostly the data: headers have tests of their own.
                let lowest = Int.random(in: 0..<8, using: &random) == 0 ? 0 : headerBytes
                let place = Int.random(in: lowest..<bad.count, using: &random)
                if Bool.random(using: &random) {
                    bad[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                } else {
                    bad[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
                }
            }
            try folder.write(bad, to: path)
            if let error = refusal(folder.file("model")) {
                #expect(error.path.contains("model"))
                refused += 1
            }
        }
        #expect(refused > 200 && refused < 1180)
    }

    @Test func countsThatDisagreeWithTheManifestAreRefused() throws {
        let folder = try TemporaryFolder()
        let sample = CatalogSample(userCount: 5, itemCount: 4, seed: 14)
        for (users, items) in [(4, 4), (6, 4), (5, 3), (5, 5)] {
            let writer = try BundleWriter(destination: folder.file("\(users)-\(items)"))
            try sample.directory().write(to: writer)
            try sample.catalog().write(to: writer)
            try writer.publish(
                ManifestContent(name: "x", version: "1", counts: .init(users: users, items: items, interactions: 0)))
            let bundle = try Bundle(opening: folder.file("\(users)-\(items)"))
            #expect(throws: ArtifactError.self) {
                _ = try UserDirectory(bundle: bundle)
                _ = try ItemCatalog(bundle: bundle)
            }
        }
    }
}
