import Foundation
import NIOCore
import TestSupport
import Testing
import Vocabulary

@testable import MartletClient

@Suite("Where a client learns of its nodes", .timeLimit(.minutes(30)), .ownThreads)
struct ResolutionTests {
    private func fault(_ body: () throws -> some Any) -> String {
        do {
            _ = try body()
            return ""
        } catch { return (error as? MartletClientError)?.message ?? "\(error)" }
    }

    @Test("addresses are read, and what is wrong with them is said")
    func addresses() throws {
        #expect(try ClusterNode(parsing: "10.0.0.7:7401") == ClusterNode(host: "10.0.0.7", port: 7401))
        #expect(try ClusterNode(parsing: "node-1") == ClusterNode(host: "node-1", port: 7400))
        let six = try ClusterNode(parsing: "[::1]:7402", weight: 2)
        #expect(six.host == "::1" && six.port == 7402 && six.name == "[::1]:7402" && six.weight == 2)
        for bad in ["", ":7400", "a:b", "a:0", "a:70000", "::1", "[]:1"] {
            #expect(fault { try ClusterNode(parsing: bad) }.contains("is no node"), "\(bad)")
        }
        #expect(try ClusterNode.list(parsing: "a:1, b:2,a:1").map(\.name) == ["a:1", "b:2"])
        #expect(try NodeSource(parsing: "file:/etc/nodes") == .file("/etc/nodes"))
        #expect(try NodeSource(parsing: "dns:nodes.example:7401") == .dns(host: "nodes.example", port: 7401))
        #expect(fault { try NodeSource(parsing: "a:1,") }.contains("is no node"))
    }

    @Test("a file's lines are nodes, weights and comments; a wrong line is named")
    func parsing() throws {
        let text = "# the cluster\na:1\n\n  b:2  0.5 # small\n[::1]:3\t2\r\n"
        let nodes = try NodeFile.parse(text, path: "nodes")
        #expect(nodes.map(\.name) == ["a:1", "b:2", "[::1]:3"])
        #expect(nodes.map(\.weight) == [1, 0.5, 2])
        for (bad, word) in [
            ("a:1\nb:x\n", "line 2"), ("a:1 2 3", "3 words"), ("a:1 -1", "weight"), ("a:1\na:1", "twice"),
            ("# none\n", "no node"),
        ] {
            let message = fault { try NodeFile.parse(bad, path: "nodes") }
            #expect(message.contains(word) && message.contains("nodes"), "\(message)")
        }
        #expect(fault { try NodeFile.stamp("/no/such/file") }.contains("No such file"))
        #expect(!fault { try NodeFile.read("/tmp") }.isEmpty)
    }

    @Test("a watched file adds and removes nodes; a broken one keeps the last good list and says so")
    func watchedFile() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("nodes")
        let nodes = [try await FakeNode.start(), try await FakeNode.start()]
        func write(_ text: String, atomically: Bool = true) throws {
            try text.write(toFile: path, atomically: atomically, encoding: .utf8)
        }
        let lines = nodes.map { "127.0.0.1:\($0.port)" }
        try write(lines[0] + "\n")
        var configuration = patient(port: 1)
        configuration.nodes = .file(path)
        configuration.nodesRefresh = .milliseconds(10)
        let client = try MartletClient(configuration)
        _ = try await client.recommend(user: "u1")
        #expect(await client.snapshot().nodes.map(\.name) == [lines[0]])
        try write(lines.joined(separator: "\n"))
        try await untilReady(client, 2)
        for broken in ["what:ever\n", "", "a b c d"] {
            try write(broken, atomically: false)
            try await until { await client.snapshot().resolutionFault?.contains("are kept") == true }
            #expect(await client.snapshot().nodes.count == 2)
            _ = try await client.recommend(user: "u1")
            try write(lines.joined(separator: "\n") + "\n")
            try await until { await client.snapshot().resolutionFault == nil }
        }
        try FileManager.default.removeItem(atPath: path)
        try await until { await client.snapshot().resolutionFault?.contains("No such file") == true }
        try write(lines[1])
        try await until { await client.snapshot().nodes.map(\.name) == [lines[1]] }
        _ = try await client.recommend(user: "u1")
        await client.shutdown()
        for node in nodes { await node.stop() }
    }

    @Test("a list that cannot be read fails calls with the reason, until it can")
    func missingFile() async throws {
        let folder = try TemporaryFolder()
        let node = try await FakeNode.start()
        var configuration = patient(port: 1)
        configuration.nodes = .file(folder.file("nodes"))
        configuration.nodesRefresh = .milliseconds(10)
        let client = try MartletClient(configuration)
        let error = await failure { try await client.recommend(user: "u1") }
        #expect(error?.code == .unavailable && error?.message.contains("No such file") == true)
        try "127.0.0.1:\(node.port)".write(toFile: folder.file("nodes"), atomically: true, encoding: .utf8)
        try await untilReady(client, 1)
        _ = try await client.recommend(user: "u1")
        await client.shutdown()
        await node.stop()
    }

    @Test("a name's addresses are its nodes; one that cannot be resolved is named")
    func names() async throws {
        #expect(try HostLookup.addresses(of: "127.0.0.1") == ["127.0.0.1"])
        let node = try await FakeNode.start()
        var configuration = patient(port: 1)
        configuration.nodes = .dns(host: "127.0.0.1", port: node.port)
        let client = try MartletClient(configuration)
        _ = try await client.recommend(user: "u1")
        #expect(await client.snapshot().nodes.map(\.name) == ["127.0.0.1:\(node.port)"])
        await client.shutdown()
        configuration.nodes = .dns(host: "no-such-host.invalid", port: 1)
        let lost = try MartletClient(configuration)
        let error = await failure { try await lost.health() }
        #expect(error?.message.contains("no-such-host.invalid") == true)
        await lost.shutdown()
        await node.stop()
    }

    @Test("the metrics name every node, state and end, each family once")
    func metrics() async throws {
        try await withCluster(2) { configuration in
            configuration.balancing.hedges = false
            configuration.balancing.ejects = false
        } _: { client, nodes in
            try await untilReady(client, 2)
            for number in 0..<20 { _ = try await client.recommend(user: "u\(number)") }
            let text = await client.snapshot().prometheusText()
            #expect(text.contains("martlet_client_calls_total{end=\"answered\"} 20"))
            for node in nodes {
                #expect(text.contains("martlet_client_node_state{node=\"127.0.0.1:\(node.port)\",state=\"ready\"} 1"))
            }
            #expect(text.contains("martlet_client_node_latency_seconds_bucket"))
            let families = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }
            #expect(Set(families).count == families.count && families.count == 17)
            let latencies = await client.snapshot().nodes.compactMap { $0.latency(quantile: 0.5) }
            #expect(!latencies.isEmpty && latencies.allSatisfy { $0 > .zero })
        }
    }
}
