@testable import Artifacts

/// Publishes a small bundle with two tensor files.
@discardableResult
func publishSample(at path: String, replace: Bool = false, version: String = "1") throws -> Manifest {
    let writer = try BundleWriter(destination: path, replace: replace)
    try writeSampleFiles(to: writer)
    return try writer.publish(sampleContent(version: version))
}

func writeSampleFiles(to writer: BundleWriter) throws {
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
}

func sampleContent(version: String = "1") -> ManifestContent {
    ManifestContent(
        name: "sample", version: version, counts: .init(users: 3, items: 2, interactions: 9),
        training: ["rank": 5, "regularisation": 0.002], evaluation: ["recall@20": 0.25],
        retrieval: ["sources": [["source": "als", "limit": 200, "weight": 1.0]], "normalisation": "zscore"])
}

/// Recomputes a manifest's own checksum after the test has changed it.
func resealed(_ manifest: [UInt8]) -> [UInt8] { Array("\(Checksum.sha256(of: manifest))  manifest.json\n".utf8) }
