import MartletClient
import NIOCore
import Testing

@testable import martlet

@Suite("martlet top")
struct TopTests {
    private let first = """
        # HELP martlet_requests_total Calls answered.
        martlet_requests_total{method="Recommend",code="OK"} 100
        martlet_requests_total{method="Recommend",code="INTERNAL"} 1
        martlet_cache_requests_total{level="l1",result="hit"} 50
        martlet_cache_requests_total{level="l1",result="miss"} 50
        martlet_request_duration_seconds_bucket{scenario="home",outcome="computed",le="0.001"} 100
        martlet_request_duration_seconds_bucket{scenario="home",outcome="computed",le="0.002"} 100
        martlet_request_duration_seconds_bucket{scenario="home",outcome="computed",le="+Inf"} 101
        martlet_ready 1
        martlet_generation 3
        martlet_model_info{model="world@1"} 1
        process_resident_memory_bytes 104857600
        """

    @Test("rates, quantiles and ratios are of the time between two readings")
    func change() {
        let one = NodeReading(first, at: 10)
        let start = one.change(since: nil)
        #expect(start.callsPerSecond == nil && start.errors == 1 && start.cacheHitRatio == 0.5)
        #expect(start.p50 == 0.001 && start.p99 == 0.001)
        let two = NodeReading(
            first.replacing("code=\"OK\"} 100", with: "code=\"OK\"} 300")
                .replacing("result=\"hit\"} 50", with: "result=\"hit\"} 200")
                .replacing("le=\"0.002\"} 100", with: "le=\"0.002\"} 300")
                .replacing("le=\"+Inf\"} 101", with: "le=\"+Inf\"} 301"), at: 12)
        let change = two.change(since: one)
        #expect(change.callsPerSecond == 100 && change.errors == 0 && change.cacheHitRatio == 1)
        #expect(change.p50 == 0.002 && change.p99 == 0.002)
        // Started anew: from nothing.
        #expect(one.change(since: two).callsPerSecond == nil)
        #expect(one.isReady && one.generation == 3 && one.model == "world@1")
    }

    @Test("a node that is away keeps its line, and garbage is no reading of anything")
    func table() async throws {
        let nodes = try ClusterNode.list(parsing: "127.0.0.1:1,b:2")
        let readings = await TopCommand.read([nodes[0]], .seconds(30))
        var all = readings
        all["b:2"] = .success(NodeReading("martlet_requests_total nonsense\n<html>\u{1B}[2J", at: 1))
        let text = TopCommand.table(nodes, all, [:]).text
        #expect(text.contains("127.0.0.1:1") && text.contains("away") && text.contains("cannot connect"))
        #expect(text.contains("b:2") && text.contains("not ready"))
        #expect(!text.contains("\u{1B}"))
    }

    @Test("its options are checked")
    func options() throws {
        #expect(throws: (any Error).self) { try TopCommand.parse(["--nodes", "a:b"]) }
        #expect(throws: (any Error).self) { try TopCommand.parse(["--every", "soon"]) }
        _ = try TopCommand.parse(["--nodes", "a,b:7481", "--once"])
        #expect(throws: (any Error).self) {
            try RecommendCommand.parse(["--user", "u", "--node", "a:1", "--nodes", "a:1,b:2"])
        }
        _ = try RecommendCommand.parse(["--user", "u", "--nodes", "a:1,b:2"])
    }
}
