import Testing

@testable import Artifacts

/// A small bundle with two tensor files.
@discardableResult
func publishSample(at path: String, replace: Bool = false, version: String = "1") throws -> Manifest {
    let writer = try BundleWriter(destination: path, replace: replace)
    let first = try writer.file("als", metadata: ["kind": "als"])
    first.declare("user_factors", .f32, shape: [3, 5])
    first.declare("empty", .u8, shape: [0])
    first.declare("offsets", .u64, shape: [4])
    try first.append((0..<7).map(Float.init), to: "user_factors")
    try first.append((7..<15).map(Float.init), to: "user_factors")
    try first.append([0, 1, 2, 3] as [UInt64], to: "offsets")
    try first.finish()
    let second = try writer.file("users")
    second.declare("bytes", .u8, shape: [70])
    try second.append([UInt8](0..<70), to: "bytes")
    try second.finish()
    return try writer.publish(
        ManifestContent(
            name: "sample", version: version, counts: .init(users: 3, items: 2, interactions: 9),
            training: ["rank": 5, "regularisation": 0.002], evaluation: ["recall@20": 0.25],
            retrieval: ["sources": [["source": "als", "limit": 200, "weight": 1.0]], "normalisation": "zscore"]))
}

@Suite struct BundleTests {
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
        #expect(Array(factors.elements(as: Float.self)) == (0..<15).map(Float.init))
        #expect(Array(try file.tensor("offsets", .u64, shape: [4]).elements(as: UInt64.self)) == [0, 1, 2, 3])
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
}
