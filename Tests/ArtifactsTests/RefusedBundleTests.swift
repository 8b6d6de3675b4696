import Glibc
import TestSupport
import Testing

@testable import Artifacts

/// Bundles that must be refused, with a message that names the file and the fault.
@Suite(.ownThreads) struct RefusedBundleTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder(inMemory: true)
        try publishSample(at: folder.file("model"))
    }

    private func refusal(verify: Bundle.Verification = .full) throws -> ArtifactError {
        try #require(throws: ArtifactError.self) { try Bundle(opening: folder.file("model"), verify: verify) }
    }

    /// Replaces text in the manifest and makes its checksum fit again.
    private func editManifest(_ old: String, _ new: String) throws {
        let text = String(decoding: try folder.read("model/manifest.json"), as: UTF8.self)
        try #require(text.contains(old))
        let edited = Array(text.replacing(old, with: new, maxReplacements: 1).utf8)
        try folder.write(edited, to: "model/manifest.json")
        try folder.write(resealed(edited), to: "model/manifest.sha256")
    }

    @Test func nothingThere() throws {
        let error = try #require(throws: ArtifactError.self) { try Bundle(opening: folder.file("nowhere")) }
        #expect(error.code == .notFound)
        #expect(error.description.hasSuffix("nowhere: no such folder"))
    }

    @Test func aFileInstead() throws {
        try folder.write([1, 2, 3], to: "plain")
        let error = try #require(throws: ArtifactError.self) { try Bundle(opening: folder.file("plain")) }
        #expect(error.code == .notABundle)
    }

    @Test func aFolderWithoutManifest() throws {
        try folder.remove("model/manifest.json")
        let error = try refusal()
        #expect(error.code == .notABundle)
        #expect(error.fault.contains("manifest.json"))
    }

    @Test func someoneElsesManifest() throws {
        let foreign = Array(#"{"format": "other", "format_version": 1}"#.utf8)
        try folder.write(foreign, to: "model/manifest.json")
        try folder.remove("model/manifest.sha256")
        #expect(try refusal().code == .notABundle)
    }

    @Test(arguments: ["format_version", "schema"])
    func aNewerFormat(key: String) throws {
        try editManifest("\"\(key)\": 1", "\"\(key)\": 2")
        let error = try refusal()
        #expect(error.code == .newerFormat)
        #expect(error.path.hasSuffix("model/manifest.json"))
        #expect(error.fault.contains("upgrade martlet"))
    }

    @Test(arguments: Bundle.Verification.allCases)
    func aMissingFile(verify: Bundle.Verification) throws {
        try folder.remove("model/als.safetensors")
        let error = try refusal(verify: verify)
        #expect(error.code == .notFound)
        #expect(error.path.hasSuffix("model/als.safetensors"))
    }

    @Test(arguments: Bundle.Verification.allCases)
    func aTruncatedFile(verify: Bundle.Verification) throws {
        let bytes = try folder.read("model/als.safetensors")
        for count in [0, 7, 8, 100, bytes.count - 1] {
            try folder.write(Array(bytes.prefix(count)), to: "model/als.safetensors")
            let error = try refusal(verify: verify)
            #expect(error.code == .sizeMismatch)
            #expect(error.path.hasSuffix("model/als.safetensors"))
            #expect(error.fault.hasPrefix("truncated: it has \(count) bytes"))
        }
    }

    @Test(arguments: Bundle.Verification.allCases)
    func aLongerFile(verify: Bundle.Verification) throws {
        try folder.write(try folder.read("model/als.safetensors") + [0], to: "model/als.safetensors")
        let error = try refusal(verify: verify)
        #expect(error.code == .sizeMismatch)
        #expect(error.fault.hasPrefix("longer than published"))
    }

    @Test func anyChangedByteOfAnyFile() throws {
        for name in ["als.safetensors", "users.safetensors", "manifest.json", "manifest.sha256"] {
            let good = try folder.read("model/\(name)")
            for place in good.indices {
                // The file name after a checksum is for people.
                if name == "manifest.sha256", place >= 64 { break }
                var bad = good
                bad[place] ^= 1 << UInt8(place % 8)
                try folder.write(bad, to: "model/\(name)")
                let error = try refusal()
                #expect(!error.fault.isEmpty)
            }
            try folder.write(good, to: "model/\(name)")
        }
        _ = try Bundle(opening: folder.file("model"))
    }

    @Test func aChangedByteIsAChecksumMismatch() throws {
        var bytes = try folder.read("model/als.safetensors")
        bytes[bytes.count - 1] ^= 1
        try folder.write(bytes, to: "model/als.safetensors")
        let error = try refusal()
        #expect(error.code == .checksumMismatch)
        #expect(error.path.hasSuffix("model/als.safetensors"))
        #expect(try Bundle(opening: folder.file("model"), verify: .sizes).has("als"))
    }

    @Test(arguments: [
        "../secret", "a/b", "/etc/passwd", "..", ".", "", ".hidden", "manifest.json", "a\\u0000b", "a b", "é",
    ])
    func aPathOutOfTheBundle(name: String) throws {
        try editManifest("\"als.safetensors\"", "\"\(name)\"")
        let error = try refusal()
        #expect(error.code == .unsafePath)
        #expect(error.path.hasSuffix("model/manifest.json"))
    }

    @Test(arguments: ["als.safetensors", "manifest.json"])
    func aLinkInTheBundle(name: String) throws {
        try folder.write(try folder.read("model/\(name)"), to: "outside")
        try folder.remove("model/\(name)")
        try folder.makeLink("model/\(name)", to: "../outside")
        let error = try refusal()
        #expect(error.code == .unsafePath)
        #expect(error.path.hasSuffix("model/\(name)"))
    }

    @Test func aFolderInPlaceOfAFile() throws {
        try folder.remove("model/als.safetensors")
        try folder.makeFolder("model/als.safetensors")
        #expect(try refusal().code == .unsafePath)
    }

    @Test func aPipeInPlaceOfAFileDoesNotHang() throws {
        try folder.remove("model/als.safetensors")
        try #require(mkfifo(folder.file("model/als.safetensors"), 0o600) == 0)
        #expect(try refusal().code == .unsafePath)
    }

    @Test(arguments: [
        ("\"bytes\": ", "\"bytes\": -", "files[0].bytes"),
        ("\"bytes\": ", "\"bytes\": 1e30, \"was\": ", "files[0].bytes"),
        ("\"bytes\": ", "\"bytes\": 99999999999999999999, \"was\": ", "files[0].bytes"),
        ("\"sha256\": \"", "\"sha256\": \"X", "files[0].sha256"), ("\"users\": 3", "\"users\": -3", "counts.users"),
        ("\"users\": 3", "\"users\": 1.5", "counts.users"), ("\"name\": \"sample\"", "\"name\": \"\"", "name"),
        ("\"name\": \"sample\"", "\"name\": 7", "name"), ("\"created\": \"2", "\"created\": \"x2", "created"),
        ("\"files\": [", "\"files\": 3, \"was\": [", "files"),
        ("\"users.safetensors\"", "\"als.safetensors\"", "files[1].path"),
        ("\"version\": \"1\"", "\"version\": \"1\", \"version\": \"2\"", "version"),
    ])
    func aManifestWithABadField(old: String, new: String, key: String) throws {
        try editManifest(old, new)
        let error = try refusal()
        #expect(error.code == .malformed)
        #expect(error.fault.contains(key))
        #expect(error.path.hasSuffix("model/manifest.json"))
    }

    @Test func aHugeManifest() throws {
        try folder.write([UInt8](repeating: 0x20, count: Manifest.bytesMax + 1), to: "model/manifest.json")
        #expect(try refusal().code == .malformed)
    }

    @Test func aDeeplyNestedManifest() throws {
        let deep = String(repeating: "[", count: 100_000)
        try editManifest("\"training\": {", "\"deep\": \(deep), \"training\": {")
        let error = try refusal()
        #expect(error.code == .malformed)
        #expect(error.fault.contains("nested deeper"))
    }

    @Test func inspectionGoesOnAfterAFault() throws {
        var bytes = try folder.read("model/als.safetensors")
        bytes[bytes.count - 1] ^= 1
        try folder.write(bytes, to: "model/als.safetensors")
        let inspection = try BundleInspection(of: folder.file("model"))
        #expect(inspection.faults.map(\.code) == [.checksumMismatch])
        #expect(inspection.files.map(\.file.path) == ["als.safetensors", "users.safetensors"])
        #expect(inspection.files[1].state == .verified)
        #expect(inspection.files[1].tensors.map(\.name) == ["bytes"])
    }
}
