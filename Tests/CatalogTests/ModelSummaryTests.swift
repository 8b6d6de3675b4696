import TestSupport
import Testing

@testable import Artifacts
@testable import Catalog

@Suite(.ownThreads) struct ModelSummaryTests {
    @Test func aSoundBundleIsShown() throws {
        let folder = try TemporaryFolder()
        let sample = CatalogSample(userCount: 1234, itemCount: 30, seed: 20)
        try sample.publish(at: folder.file("model"))
        let summary = try ModelSummary(of: folder.file("model"))
        #expect(summary.faults.isEmpty)
        let table = summary.table(showsTensors: true)
        for text in [
            "sample@1", "1 234", "users.safetensors", "verified", "history.items", "with times", "most popular",
        ] {
            #expect(table.contains(text))
        }
        let json = summary.json
        #expect(json["sound"] == true)
        #expect(json["name"] == "sample")
        #expect(json["counts"]?["users"] == 1234)
        #expect(json["files"]?.arrayValue?.map { $0["state"] } == ["verified", "verified"])
        #expect(try JSONText.parse(Array(JSONText.print(json, indented: true).utf8)) == json)
        #expect(try ModelSummary(of: folder.file("model"), verify: .sizes).table().contains("size_only"))
    }

    @Test func aDamagedBundleIsShownWithItsFault() throws {
        let folder = try TemporaryFolder()
        try CatalogSample(userCount: 3, itemCount: 3, seed: 21).publish(at: folder.file("model"))
        var bytes = try folder.read("model/items.safetensors")
        bytes[bytes.count - 1] ^= 1
        try folder.write(bytes, to: "model/items.safetensors")
        let summary = try ModelSummary(of: folder.file("model"))
        #expect(summary.faults.map(\.code) == [.checksumMismatch])
        #expect(summary.table().contains("checksum_mismatch"))
        #expect(summary.json["sound"] == false)
        try folder.remove("model/manifest.json")
        #expect(throws: ArtifactError.self) { try ModelSummary(of: folder.file("model")) }
    }

    @Test func reportsOfAnyShapeAreLaidOut() {
        let outline = TextTable.outline([
            "served": ["recall@20": 0.123_456_789, "users": 12], "list": [1, 2], "none": nil,
            "rows": [["a": 1, "b": "x"], ["a": 22]],
        ])
        #expect(
            outline == """
                list              1, 2
                none              null
                served.recall@20  0.123457
                served.users      12
                rows
                  a   b
                  1   x
                  22
                """)
        #expect(TextTable.grouped(-1_234_567) == "-1 234 567")
        #expect(TextTable.bytes(1536) == "1.5 KiB")
    }
}
