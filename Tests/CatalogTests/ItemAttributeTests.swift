import TestSupport
import Testing

import class Artifacts.Bundle

@testable import Artifacts
@testable import Catalog

@Suite(.ownThreads) struct ItemAttributeTests {
    private func published(_ sample: CatalogSample, in folder: TemporaryFolder) throws -> ItemCatalog {
        try sample.publish(at: folder.file("model"))
        return try ItemCatalog(bundle: Bundle(opening: folder.file("model")))
    }

    @Test(arguments: [0, 1, 7, 500])
    func whatWasWrittenIsRead(count: Int) throws {
        let sample = CatalogSample(userCount: 3, itemCount: count, seed: 21)
        let items = try published(sample, in: TemporaryFolder())
        #expect(items.details.attributes.map(\.name) == ["brand", "price"] && items.details.tagsName == "genres")
        guard case .text(let brand) = items.details.attributes[0].content,
            case .number(let price) = items.details.attributes[1].content
        else {
            Issue.record("a text and a number were written")
            return
        }
        let windows = try #require(items.details.availability)
        for row in 0..<UInt32(count) {
            #expect(Set(brand.numbers(row).map(brand.value)) == Set(sample.brands[Int(row)]))
            #expect(price.value(row) == sample.prices[Int(row)])
            #expect(windows.window(row) == sample.windows[Int(row)])
        }
        #expect(brand.number(of: "no such value") == nil)
    }

    @Test func bundlesFromBeforeThereWereAttributesLoad() throws {
        let folder = try TemporaryFolder()
        let writer = try BundleWriter(destination: folder.file("model"))
        let sample = CatalogSample(userCount: 3, itemCount: 9, seed: 22)
        try sample.directory().write(to: writer)
        try ItemCatalog(
            ids: IDDictionary(sample.items), interactions: sample.interactions, recentScores: sample.recentScores
        ).write(to: writer)
        try writer.publish(ManifestContent(name: "m", version: "1", counts: .init(users: 3, items: 9, interactions: 0)))
        let bundle = try Bundle(opening: folder.file("model"))
        #expect(!(try bundle.file("items").has("attributes.kinds")))
        let items = try ItemCatalog(bundle: bundle)
        #expect(items.details.attributes.isEmpty && items.details.availability == nil)
        #expect(items.details.tagsName == "tags")
    }

    /// Writes a file of attributes as given and says why it is refused.
    private func refusal(_ write: (TensorFileWriter) throws -> Void) throws -> String {
        let folder = try TemporaryFolder()
        let writer = try TensorFileWriter(path: folder.file("items.safetensors"))
        try write(writer)
        try writer.finish()
        do {
            _ = try ItemDetailColumns(TensorFile(path: folder.file("items.safetensors")), itemCount: 2)
            return "taken"
        } catch { return "\(error)" }
    }

    /// Begins a file with one attribute, `p`.
    private func attribute(
        _ kind: UInt8, _ writer: TensorFileWriter, _ declare: (TensorFileWriter) -> Void = { _ in }
    ) throws {
        writer.declare("attributes.offsets", .u32, shape: [2])
        writer.declare("attributes.bytes", .u8, shape: [1])
        writer.declare("attributes.kinds", .u8, shape: [1])
        declare(writer)
        try writer.append([0, 1] as [UInt32], to: "attributes.offsets")
        try writer.append(Array("p".utf8), to: "attributes.bytes")
        try writer.append([kind], to: "attributes.kinds")
    }

    @Test func damagedColumnsAreNamedWithTheirFault() throws {
        func numbers(_ values: [Double]) throws -> String {
            try refusal {
                try attribute(1, $0) { $0.declare("attribute.0.numbers", .f64, shape: [values.count]) }
                try $0.append(values, to: "attribute.0.numbers")
            }
        }
        #expect(try numbers([.nan, 1]) == "taken")
        #expect(try numbers([.infinity, 1]).contains("attribute.0.numbers (attribute \"p\") holds an infinite number"))
        #expect(try numbers([1]).contains("tensor \"attribute.0.numbers\" is F64 [1]; expected F64 [2]"))
        #expect(try refusal { try attribute(2, $0) }.contains("attributes.kinds says 2 of attribute \"p\""))
        #expect(try refusal { try attribute(1, $0) }.contains("lacks the tensor \"attribute.0.numbers\""))

        func text(_ offsets: [UInt32], _ values: [UInt32]) throws -> String {
            try refusal {
                try attribute(0, $0) {
                    $0.declare("attribute.0.values.offsets", .u32, shape: [3])
                    $0.declare("attribute.0.values.bytes", .u8, shape: [2])
                    $0.declare("attribute.0.item_offsets", .u32, shape: [offsets.count])
                    $0.declare("attribute.0.item_values", .u32, shape: [values.count])
                }
                try $0.append([0, 1, 2] as [UInt32], to: "attribute.0.values.offsets")
                try $0.append(Array("ab".utf8), to: "attribute.0.values.bytes")
                try $0.append(offsets, to: "attribute.0.item_offsets")
                try $0.append(values, to: "attribute.0.item_values")
            }
        }
        #expect(try text([0, 1, 2], [0, 1]) == "taken")
        #expect(try text([0, 2, 1], [0, 1]).contains("attribute.0.item_offsets (attribute \"p\") is damaged"))
        #expect(try text([0, 1, 2], [0, 2]).contains("names one past the 2"))
        #expect(try text([0, 2, 2], [1, 0]).contains("of item row 0 are not ascending"))

        func windows(_ from: [Int64], _ until: [Int64]?) throws -> String {
            try refusal {
                $0.declare("available.from", .i64, shape: [from.count])
                if let until { $0.declare("available.until", .i64, shape: [until.count]) }
                try $0.append(from, to: "available.from")
                if let until { try $0.append(until, to: "available.until") }
            }
        }
        #expect(try windows([.min, 5], [.max, 6]) == "taken")
        #expect(try windows([.min, 5], [.max, 5]).contains("item row 1 is available from 5 until 5"))
        #expect(try windows([.min], [.max, 5]).contains("\"available.from\" is I64 [1]; expected I64 [2]"))
        #expect(try windows([.min, 5], nil).contains("lacks the tensor \"available.until\""))
    }

    @Test func attributesThatCannotBeAreRefused() throws {
        func make(_ names: [String]) throws {
            _ = try ItemDetailColumns(names.map { .init(name: $0, .number { _ in 1 }) }, itemCount: 1)
        }
        try make((0..<64).map(String.init))
        #expect(throws: ArtifactError.self) { try make((0..<65).map(String.init)) }
        #expect(throws: ArtifactError.self) { try make(["a", "a"]) }
        #expect(throws: ArtifactError.self) {
            _ = try ItemDetailColumns([.init(name: "x", .text { _ in (0...64).map(String.init) })], itemCount: 1)
        }
    }

    @Test func theSummaryNamesAttributes() throws {
        let folder = try TemporaryFolder()
        _ = try published(CatalogSample(userCount: 3, itemCount: 40, seed: 23), in: folder)
        let summary = try ModelSummary(of: folder.file("model"))
        #expect(summary.table().contains("price (number)"))
        #expect(summary.json.objectValue?["contents"]?.objectValue?["attributes"]?.arrayValue?.count == 2)
    }
}
