import Foundation
import TestSupport
import Testing
import Vocabulary

import class Artifacts.Bundle

@testable import Artifacts
@testable import Catalog

/// The programs on docs/bundle-format.md do what the page says.
@Suite(.ownThreads) struct BundleFormatPageTests {
    private static let python = PythonEnvironment.safetensors
    private static let comment: Comment = "needs python3 with numpy from PyPI"

    /// The Python programs of the page, in order.
    private func programs() throws -> [String] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let page = root.deletingLastPathComponent().appendingPathComponent("docs/bundle-format.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        return text.components(separatedBy: "```python\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
    }

    @Test(.enabled(if: python.mayRun, comment))
    func theReaderReads() throws {
        let folder = try TemporaryFolder()
        let users = ["u1", "u2", "u3"].sorted { Slot(user: $0) < Slot(user: $1) }
        let items = ["i0", "i1", "i2", "i3", "i4", "i5", "i6"]
        let writer = try BundleWriter(destination: folder.file("model"))
        try UserDirectory(
            ids: IDDictionary(users), offsets: [0, 2, 2, 3], items: [4, 1, 6], itemCount: items.count
        ).write(to: writer)
        try ItemCatalog(
            ids: IDDictionary(items), title: { "Title \($0)" }, interactions: [UInt64](repeating: 1, count: 7),
            recentScores: [Float](repeating: 0, count: 7),
            details: ItemDetailColumns(
                [
                    .init(name: "brand", .text { $0 == 1 ? ["acme", "é"] : [] }),
                    .init(name: "price", .number { $0 == 1 ? nil : Double($0) / 2 }),
                ], itemCount: 7)
        ).write(to: writer)
        let als = try writer.file("als", metadata: ["kind": "als", "rank": "2"])
        als.declare("item_factors", .f32, shape: [7, 16])
        als.declare("user_factors", .f16, shape: [3, 2])
        for item in 0..<7 {
            try als.append([Float(item), Float(item % 2)] + [Float](repeating: .nan, count: 14), to: "item_factors")
        }
        // The first user likes small numbers, and odd ones a bit more: halves of -1 and 1.5.
        try als.append([0xBC00, 0x3E00, 0, 0, 0, 0] as [UInt16], to: "user_factors")
        try als.finish()
        try writer.publish(ManifestContent(name: "m", version: "1", counts: .init(users: 3, items: 7, interactions: 3)))

        let program = try #require(programs().first) + "\nprint(attributes(items, 1), attributes(items, 3))\n"
        let result = try Self.python.run(program, in: folder.path)
        #expect(
            result.output == """
                \(users[0]) had ['i4', 'i1']
                i0 Title 0 0.0
                i3 Title 3 -1.5
                i2 Title 2 -2.0
                i5 Title 5 -3.5
                i6 Title 6 -6.0
                {'brand': ['acme', 'é'], 'price': nan} {'brand': [], 'price': 1.5}

                """)
    }

    @Test(.enabled(if: python.mayRun, comment))
    func whatTheWriterWritesIsABundle() throws {
        let folder = try TemporaryFolder()
        let result = try Self.python.run(try #require(programs().last), in: folder.path)
        try #require(result.status == 0, "\(result.output)")
        let summary = try ModelSummary(of: folder.file("my-model"))
        #expect(summary.faults == [])
        let bundle = try Bundle(opening: folder.file("my-model"))
        let users = try UserDirectory(bundle: bundle)
        let items = try ItemCatalog(bundle: bundle)
        let ann = try #require(users.row(of: "ann"))
        #expect(users.history(of: ann).map(items.name) == ["tt1", "tt3"])
        #expect((0..<UInt32(4)).map(items.name) == ["tt3", "tt1", "tt2", "tt4"])
        #expect(items.title(0) == "Three")
        guard case .number(let years) = items.details.attributes.first?.content else {
            Issue.record("the page writes a number")
            return
        }
        #expect((0..<4).map { years.value($0) } == [nil, 1999, 2004, 2010])
        let als = try bundle.file("als")
        let factors = try als.tensor("user_factors", .f16, shape: [3, 2]).array(of: UInt16.self)
        #expect(Array(factors[Int(ann) * 2..<Int(ann) * 2 + 2]) == [0x3C00, 0])
        #expect(als.metadata["rank"] == "2")
    }

    /// The page's XXH64 is the one that decides where users live.
    @Test(.enabled(if: python.mayRun, comment))
    func thePagesHashIsOurs() throws {
        let program = try #require(programs().last)
        let end = try #require(program.range(of: "def write_tensors"))
        let texts = (0..<100).map { String(repeating: "é7漢", count: $0).prefix($0) }
        let hashes = try Self.python.run(
            program[..<end.lowerBound] + """
                for n in range(100):
                    print(xxh64(("é7漢" * n)[:n].encode()))
                """)
        #expect(hashes.output.split(separator: "\n").map(String.init) == texts.map { "\(XXH64.hash(String($0)))" })
    }
}
