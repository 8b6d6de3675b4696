import Artifacts
import FactorModels
import Foundation
import Logging
import MartletClient
import RankingModels
import Retrieval
import Serving
import TestSupport
import Training

@testable import MartletServer

/// A small trained world: 240 users in four taste groups, 120 named items, and a real bundle of it on disk.
enum SmallWorld {
    static let userCount = 240
    static let itemCount = 120

    static func user(_ number: Int) -> String { "user-\(number)" }

    /// A bundle of `seed` in `folder`, and the data that it is of. One without a ranker is trained once in this process.
    ///
    /// - Parameters:
    ///   - ranker: Makes a ranker from a model of four fifths of the interactions, and the rest.
    ///   - trees: A ranker that is there.
    static func makeBundle(
        in folder: TemporaryFolder, name: String, seed: UInt64 = 1,
        ranker: ((RetrievalModel, Interactions) throws -> NetworkRanker?)? = nil,
        trees: TreeRanker? = nil
    ) throws -> String {
        let kept = KeptFolders.Key(name: name, seed: seed)
        let isPlain = ranker == nil && trees == nil
        if isPlain, try KeptFolders.shared.write(kept, into: folder.path) { return folder.file(name) }
        let data = folder.file("data-\(name)")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        _ = try SampleData(
            SampleConfiguration(users: userCount, items: itemCount, interactions: 4_800, seed: seed)
        ).write(to: data)
        let (interactions, _) = try InteractionImporter().read(data)
        let attributes = try ItemAttributes.beside(data + "/ratings.csv")
        var plan = TrainingPlan()
        plan.name = name
        plan.version = "1"
        plan.seed = seed
        plan.threads = 2
        plan.als?.rank = 16
        plan.als?.iterations = 4
        plan.spectral?.rank = 16
        plan.neighbors.lowPassRank = 16
        let path = folder.file(name)
        var whole = trees.map(RankerArtifact.trees)
        if let ranker {
            let split = try interactions.split(.random, share: 0.2, seed: 1)
            let before = folder.file("before-\(name)")
            try Trainer(plan).train(split.training, attributes: attributes, into: BundleWriter(destination: before))
            whole = try ranker(RetrievalModel(bundle: Bundle(opening: before)), split.test).map(RankerArtifact.network)
        }
        let writer = try BundleWriter(destination: path)
        try Trainer(plan).train(interactions, attributes: attributes, ranker: whole, into: writer)
        if isPlain { try KeptFolders.shared.keep(kept, ["data-\(name)", name], of: folder.path) }
        return path
    }
}

/// A node in this process on free loopback ports, with a client.
final class TestNode: Sendable {
    let node: ServingNode
    let client: MartletClient
    let port: Int
    let httpPort: Int

    init(
        bundle: String?, shards: Int = 2, change: (inout ServerConfiguration) -> Void = { _ in },
        wallClock: @escaping @Sendable () -> Int64 = WallClock.system
    ) async throws {
        var configuration = ServerConfiguration()
        configuration.listen = SocketEndpoint(host: "127.0.0.1", port: 0)
        configuration.http = SocketEndpoint(host: "127.0.0.1", port: 0)
        configuration.shards = shards
        // A busy machine is no reason to leave anything out of what is tested.
        configuration.limits.queueWait = .zero
        configuration.brownout.latency = .zero
        configuration.bundle = bundle
        // Long enough to never pass on a machine that is slow and busy; tests of such a time set it.
        configuration.defaultDeadline = .seconds(300)
        configuration.limits.handshakeTimeout = .seconds(300)
        configuration.drainTimeout = .seconds(300)
        change(&configuration)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        // What a test waits for may not stand behind whatever else this machine does.
        node = try ServingNode(configuration: configuration, logger: logger, wallClock: wallClock, niceness: .none)
        do {
            try await node.start()
        } catch {
            await node.stop()
            throw error
        }
        port = await node.rpcAddress?.port ?? 0
        httpPort = await node.httpAddress?.port ?? 0
        var clientConfiguration = MartletClientConfiguration(host: "127.0.0.1", port: port)
        clientConfiguration.timeout = .seconds(300)
        clientConfiguration.connectTimeout = .seconds(300)
        clientConfiguration.pingTimeout = .seconds(300)
        client = try MartletClient(clientConfiguration)
    }

    /// A node on a port that stays free while the node is away: none of those that the system gives to whoever asks for any.
    static func onPortOfItsOwn(_ start: (_ port: Int) async throws -> TestNode) async throws -> TestNode {
        for _ in 0..<50 {
            do { return try await start(Int.random(in: 15_000..<30_000)) } catch is ListenFailure { continue }
        }
        return try await start(Int.random(in: 15_000..<30_000))
    }

    func stop() async {
        await client.shutdown()
        await node.drain()
        await node.stop()
    }
}

/// Runs `body` against a node that serves a fresh small world.
func withNode(
    shards: Int = 2, change: (inout ServerConfiguration) -> Void = { _ in },
    _ body: (TestNode, TemporaryFolder) async throws -> Void
) async throws {
    let folder = try TemporaryFolder()
    let bundle = try SmallWorld.makeBundle(in: folder, name: "world")
    let node = try await TestNode(bundle: bundle, shards: shards, change: change)
    do {
        try await body(node, folder)
    } catch {
        await node.stop()
        throw error
    }
    await node.stop()
}
