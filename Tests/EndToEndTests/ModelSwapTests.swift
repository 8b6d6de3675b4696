import Foundation
import MartletClient
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

@Suite("Model swaps", .ownThreads)
struct ModelSwapTests {
    @Test("LoadModel swaps under load without a failed request, and every answer is of one generation")
    func swapUnderLoad() async throws {
        try await withNode { node, folder in
            _ = try SmallWorld.makeBundle(in: folder, name: "other", seed: 1)
            let client = node.client
            let stop = Flag()
            let (answers, generations) = try await withThrowingTaskGroup(of: (Int, Set<UInt64>).self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        var count = 0
                        var seen: Set<UInt64> = []
                        while !stop.isSet || count < 50 {
                            let reply = try await client.recommend(user: "u\(worker)-\(count % 50)", k: 10)
                            #expect(reply.items.count == 10)
                            #expect(reply.model == (reply.generation % 2 == 1 ? "world@1" : "other@1"))
                            seen.insert(reply.generation)
                            count += 1
                        }
                        return (count, seen)
                    }
                }
                for round in 0..<6 {
                    let path = round % 2 == 0 ? "other" : "world"
                    let loaded = try await client.loadModel(
                        LoadModelRequest(path: path))
                    #expect(loaded.generation == UInt64(round + 2))
                }
                stop.set()
                var total = 0
                var all: Set<UInt64> = []
                for try await (count, seen) in group {
                    total += count
                    all.formUnion(seen)
                }
                return (total, all)
            }
            #expect(answers >= 200)
            #expect(generations.contains(7))
        }
    }

    @Test("a bundle outside the models root, or one that is corrupt, is refused and the old one serves on")
    func refusedBundles() async throws {
        try await withNode { node, folder in
            for path in ["../world", "/etc", "nothing", "world/../../x", ""] {
                do throws(MartletClientError) {
                    _ = try await node.client.loadModel(LoadModelRequest(path: path))
                    Issue.record("'\(path)' was loaded")
                } catch {
                    let codes: [StatusCode] = [.permissionDenied, .failedPrecondition, .invalidArgument]
                    #expect(codes.contains(error.code), "\(error)")
                }
            }
            try folder.makeLink("escape", to: "/tmp")
            await expectFailure(.permissionDenied) {
                _ = try await node.client.loadModel(LoadModelRequest(path: "escape"))
            }
            let broken = try SmallWorld.makeBundle(in: folder, name: "broken")
            let file = broken + "/als.safetensors"
            var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
            bytes[bytes.count / 2] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            do throws(MartletClientError) {
                _ = try await node.client.loadModel(LoadModelRequest(path: "broken"))
                Issue.record("a corrupt bundle was loaded")
            } catch {
                #expect(error.code == .failedPrecondition)
                #expect(error.message.contains("als.safetensors"))
            }
            let reply = try await node.client.recommend(user: "anyone", k: 5)
            #expect(reply.generation == 1)
            let models = try await node.client.listModels().models
            #expect(models.first { $0.path == "world" }?.serving == true)
            #expect(models.first { $0.path == "broken" }?.serving == false)
        }
    }

    @Test("lists what is or was a bundle, and no other folder")
    func listing() async throws {
        try await withNode { node, folder in
            try folder.makeFolder("photographs")
            try folder.makeFolder("damaged")
            try folder.write(Array("{".utf8), to: "damaged/manifest.json")
            let models = try await node.client.listModels().models
            #expect(models.map(\.path) == ["damaged", "world"])
            #expect(models.first?.fault.contains("manifest.json") == true)
            #expect(models.last?.fault == "")
        }
    }

    @Test("a page goes on in the generation that began it")
    func pagesAcrossSwap() async throws {
        try await withNode { node, folder in
            _ = try SmallWorld.makeBundle(in: folder, name: "other", seed: 2)
            let first = try await node.client.recommend(user: "stranger", k: 5)
            _ = try await node.client.loadModel(
                LoadModelRequest(path: "other"))
            var request = RecommendRequest(user: "stranger", k: 5)
            request.cursor = first.nextCursor
            let second = try await node.client.recommend(request)
            #expect(second.generation == first.generation)
            #expect(Set(second.items).isDisjoint(with: first.items))
            _ = try await node.client.loadModel(
                LoadModelRequest(path: "world"))
            let third = try await node.client.recommend(request)
            #expect(third.generation == 3)
            #expect(third.degraded.contains(.cursorRestarted))
        }
    }
}

/// A flag that several tasks read.
final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    var isSet: Bool { lock.withLock { value } }
    func set() { lock.withLock { value = true } }
}
