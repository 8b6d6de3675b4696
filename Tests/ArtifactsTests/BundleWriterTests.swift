import Glibc
import TestSupport
import Testing

@testable import Artifacts

@Suite(.ownThreads) struct BundleWriterTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func refusal(_ destination: String, replace: Bool = false) throws -> ArtifactError {
        try #require(throws: ArtifactError.self) { try BundleWriter(destination: destination, replace: replace) }
    }

    @Test func anUnpublishedBundleLeavesNothing() throws {
        var writer: BundleWriter? = try BundleWriter(destination: folder.file("model"))
        try writer.map { try writeSampleFiles(to: $0) }
        #expect(try folder.entries().count == 1)
        writer = nil
        #expect(try folder.entries() == [])
    }

    @Test func anAbandonedBundleCannotBePublished() throws {
        let writer = try BundleWriter(destination: folder.file("model"))
        try writeSampleFiles(to: writer)
        writer.abandon()
        writer.abandon()
        #expect(try folder.entries() == [])
        #expect(throws: ArtifactError.self) { try writer.publish(sampleContent()) }
        #expect(throws: ArtifactError.self) { try writer.file("more") }
        #expect(try folder.entries() == [])
    }

    @Test func nothingIsSeenBeforeItIsPublished() throws {
        let writer = try BundleWriter(destination: folder.file("model"))
        try writeSampleFiles(to: writer)
        #expect(throws: ArtifactError.self) { try Bundle(opening: folder.file("model")) }
        try writer.publish(sampleContent())
        #expect(try folder.entries() == ["model"])
        writer.abandon()
        _ = try Bundle(opening: folder.file("model"))
    }

    @Test func aBundleIsOnlyReplacedWhenAsked() throws {
        try publishSample(at: folder.file("model"), version: "1")
        let error = try refusal(folder.file("model"))
        #expect(error.code == .alreadyExists)
        #expect(try folder.entries() == ["model"])
        try publishSample(at: folder.file("model") + "/", replace: true, version: "2")
        #expect(try Bundle(opening: folder.file("model")).manifest.version == "2")
        #expect(try folder.entries() == ["model"])
    }

    @Test func aDamagedBundleMayBeReplaced() throws {
        try publishSample(at: folder.file("model"))
        try folder.remove("model/als.safetensors")
        try publishSample(at: folder.file("model"), replace: true, version: "2")
        #expect(try Bundle(opening: folder.file("model")).manifest.version == "2")
    }

    @Test func anEmptyFolderIsTakenAndAnythingElseIsLeftAlone() throws {
        try folder.makeFolder("empty")
        try publishSample(at: folder.file("empty"))
        _ = try Bundle(opening: folder.file("empty"))

        try folder.makeFolder("photos")
        try folder.write([1], to: "photos/me.jpg")
        #expect(try refusal(folder.file("photos"), replace: true).code == .alreadyExists)
        try folder.write([1], to: "file")
        #expect(try refusal(folder.file("file"), replace: true).code == .alreadyExists)
        try folder.makeLink("link", to: "photos")
        #expect(try refusal(folder.file("link"), replace: true).code == .alreadyExists)
        #expect(try folder.entries() == ["empty", "file", "link", "photos"])
        #expect(try folder.read("photos/me.jpg") == [1])
    }

    @Test func aPlaceThatCannotBeWrittenIsNamed() throws {
        let missing = try refusal(folder.file("no/such/model"))
        #expect(missing.code == .notFound)
        #expect(missing.path == folder.file("no/such"))
        try folder.write([1], to: "plain")
        let plain = try refusal(folder.file("plain/model"))
        #expect(plain.code == .notFound)
        #expect(plain.description.hasSuffix("plain: not a folder; model needs one to be published in"))
        #expect(try refusal("/proc/martlet-model").code == .system)
        for path in ["", "/", ".", "..", folder.file("x/.."), String(repeating: "m", count: 300)] {
            #expect(try refusal(path).code == .unsafePath)
        }
    }

    @Test func aBundleThatAppearsMeanwhileIsNotOverwritten() throws {
        let writer = try BundleWriter(destination: folder.file("model"))
        try writeSampleFiles(to: writer)
        try publishSample(at: folder.file("model"), version: "first")
        let error = try #require(throws: ArtifactError.self) { try writer.publish(sampleContent(version: "second")) }
        #expect(error.code == .alreadyExists)
        writer.abandon()
        #expect(try folder.entries() == ["model"])
        #expect(try Bundle(opening: folder.file("model")).manifest.version == "first")
    }

    @Test func contentThatCouldNotBeReadBackIsNotPublished() throws {
        let writer = try BundleWriter(destination: folder.file("model"))
        try writeSampleFiles(to: writer)
        var content = sampleContent()
        content.name = "two\nlines"
        #expect(throws: ArtifactError.self) { try writer.publish(content) }
    }

    @Test func leftoversOfTheDeadAreRemovedAndThoseOfTheLivingKept() throws {
        let living = try BundleWriter(destination: folder.file("model"))
        try folder.makeFolder("model.staging-999999-dead")
        try folder.write([1], to: "model.staging-999999-dead/als.safetensors")
        try folder.makeFolder("other.staging-999999-dead")
        try publishSample(at: folder.file("model"))
        #expect(try folder.entries().contains("other.staging-999999-dead"))
        #expect(try folder.entries().filter { $0.hasPrefix("model.") }.count == 1)
        living.abandon()
        #expect(try folder.entries() == ["model", "other.staging-999999-dead"])
    }

    @Test func anOldBundleThatWasPutAsideComesBack() throws {
        try publishSample(at: folder.file("model.staging-999999-dead-old"))
        let error = try refusal(folder.file("model"))
        #expect(error.code == .alreadyExists)
        #expect(try folder.entries() == ["model"])
    }

    @Test func aFullDiskIsAnErrorAndLeavesNothing() throws {
        let full = TensorFileWriter(
            file: OpenFile(owning: open("/dev/full", O_WRONLY)), path: "/dev/full", metadata: [:], onFinish: { _ in })
        full.declare("big", .u8, shape: [3 << 20])
        let chunk = [UInt8](repeating: 7, count: 3 << 19)
        let error = try #require(throws: ArtifactError.self) {
            try full.append(chunk, to: "big")
            try full.append(chunk, to: "big")
            try full.finish()
        }
        #expect(error.code == .system)
        #expect(error.fault.contains("free some space"))
        #expect(throws: ArtifactError.self) { try full.finish() }
    }

    @Test func writersThatReplaceAtTheSameTimeAllSucceed() async throws {
        try publishSample(at: folder.file("model"), version: "start")
        let path = folder.file("model")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for round in 0..<10 { try publishSample(at: path, replace: true, version: "\(writer).\(round)") }
                }
            }
            // Readers always see one whole bundle.
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<40 {
                        let name = try Bundle(opening: path).manifest.name
                        #expect(name == "sample")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try folder.entries() == ["model"])
        _ = try Bundle(opening: path)
    }

    @Test func ofWritersThatDoNotReplaceOneWins() async throws {
        let path = folder.file("model")
        let wins = await withTaskGroup(of: Bool.self) { group in
            for writer in 0..<6 {
                group.addTask {
                    do {
                        try publishSample(at: path, version: "\(writer)")
                        return true
                    } catch {
                        #expect((error as? ArtifactError)?.code == .alreadyExists)
                        return false
                    }
                }
            }
            return await group.reduce(0) { $1 ? $0 + 1 : $0 }
        }
        #expect(wins == 1)
        #expect(try folder.entries() == ["model"])
        _ = try Bundle(opening: path)
    }

    @Test func aLongFileIsCheckedChunkByChunk() throws {
        let writer = try BundleWriter(destination: folder.file("long"))
        let file = try writer.file("long")
        let count = 2 * Manifest.chunkBytes + 12_345
        file.declare("bytes", .u8, shape: [count])
        try file.append([UInt8](repeating: 3, count: count), to: "bytes")
        try file.finish()
        let manifest = try writer.publish(sampleContent())
        #expect(manifest.files[0].chunks.count == 3)
        #expect(try Bundle(opening: folder.file("long")).manifest == manifest)

        var bytes = try folder.read("long/long.safetensors")
        bytes[2 * Manifest.chunkBytes + 77] ^= 1
        try folder.write(bytes, to: "long/long.safetensors")
        let error = try #require(throws: ArtifactError.self) { try Bundle(opening: folder.file("long")) }
        #expect(error.code == .checksumMismatch && error.path.hasSuffix("long.safetensors"))
        #expect(error.fault.contains("from byte \(2 * Manifest.chunkBytes) on"))
        #expect(try Bundle(opening: folder.file("long"), verify: .sizes).has("long"))
        #expect(try BundleInspection(of: folder.file("long")).faults.count == 1)
    }
}
