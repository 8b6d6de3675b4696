import TestSupport
import Testing

@testable import Artifacts

@Suite(.ownThreads) struct BundleTests {
    @Test(arguments: Bundle.Verification.allCases)
    func whatWasPublishedIsRead(verification: Bundle.Verification) throws {
        let folder = try TemporaryFolder()
        let published = try publishSample(at: folder.file("model"))
        #expect(try folder.entries() == ["model"])
        #expect(
            try folder.entries("model") == ["als.safetensors", "manifest.json", "manifest.sha256", "users.safetensors"])

        let bundle = try Bundle(opening: folder.file("model"), verify: verification)
        #expect(bundle.manifest == published)
        #expect(bundle.has("als"))
        #expect(!bundle.has("spectral"))
        let file = try bundle.file("als")
        #expect(file.metadata == ["kind": "als"])
        #expect(file.names == ["user_factors", "empty", "offsets"])
        let factors = try file.tensor("user_factors", .f32, shape: [nil, 5])
        #expect(factors.shape == [3, 5])
        #expect(factors.array(of: Float.self) == (0..<15).map(Float.init))
        #expect(try file.tensor("offsets", .u64, shape: [4]).array(of: UInt64.self) == [0, 1, 2, 3])
        #expect(try file.tensor("empty", .u8, shape: [nil]).bytes.isEmpty)
    }

    @Test func everyTensorBeginsAtAMultipleOf64Bytes() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("model"))
        let bundle = try Bundle(opening: folder.file("model"))
        for name in ["als", "users"] {
            let file = try bundle.file(name)
            for tensor in file.names {
                guard let (type, shape) = file.describe(tensor), !shape.contains(0) else { continue }
                let bytes = try file.tensor(tensor, type, shape: shape).bytes
                #expect(Int(bitPattern: bytes.baseAddress) % 64 == 0)
            }
        }
    }

    @Test func aManifestReadsBackEqual() throws {
        let folder = try TemporaryFolder()
        let manifest = try publishSample(at: folder.file("model"))
        #expect(try Manifest(json: folder.read("model/manifest.json"), path: "manifest.json") == manifest)
        #expect(manifest.files.map(\.path) == ["als.safetensors", "users.safetensors"])
        #expect(manifest.training["regularisation"]?.doubleValue == 0.002)
    }

    @Test func aLinkToABundleOpens() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("v1"))
        try folder.makeLink("current", to: "v1")
        #expect(try Bundle(opening: folder.file("current")).manifest.name == "sample")
        #expect(try Bundle(opening: folder.file("current") + "/").path == folder.file("current"))
    }

    @Test func anOpenBundleOutlivesItsReplacement() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("model"), version: "1")
        let old = try Bundle(opening: folder.file("model"))
        try publishSample(at: folder.file("model"), replace: true, version: "2")
        #expect(try Bundle(opening: folder.file("model")).manifest.version == "2")
        let bytes = try old.file("users").tensor("bytes", .u8, shape: [70])
        #expect(bytes.array(of: UInt8.self) == [UInt8](0..<70))
    }

    @Test func aTensorKeepsItsFileAlive() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("model"))
        let tensor = try Bundle(opening: folder.file("model")).file("users").tensor("bytes", .u8, shape: [nil])
        #expect(tensor.array(of: UInt8.self) == [UInt8](0..<70))
    }

    @Test func aTensorOfAnotherTypeOrShapeIsRefusedByName() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("model"))
        let file = try Bundle(opening: folder.file("model")).file("als")
        let type = try #require(throws: ArtifactError.self) { try file.tensor("offsets", .i64, shape: [4]) }
        #expect(type.code == .wrongTensor)
        #expect(type.description.hasSuffix("als.safetensors: tensor \"offsets\" is U64 [4]; expected I64 [4]"))
        for shape: [Int?] in [[3], [4, nil], []] {
            #expect(throws: ArtifactError.self) { try file.tensor("offsets", .u64, shape: shape) }
        }
        let missing = try #require(throws: ArtifactError.self) { try file.tensor("nothing", .u8, shape: [nil, 3]) }
        #expect(missing.code == .missingTensor)
        #expect(missing.fault.contains("U8 [any, 3]"))
    }
}
