import TestSupport
import Testing
import Vocabulary

@testable import Telemetry

@Suite(.ownThreads) struct ScrapeTests {
    /// A node with two shards and something in every metric.
    static func busyNode() -> NodeMetrics {
        let shards = (0..<2).map { ShardMetrics(shard: $0, scenarios: ["default", "odd \"name\"\\\n"]) }
        for shard in shards {
            for method in CallMethod.allCases { for code in StatusCode.allCases { shard.countRequest(method, code) } }
            for outcome in RequestOutcome.allCases {
                for scenario in 0..<2 { shard.recordRequest(scenario: scenario, outcome, nanoseconds: 12_345) }
            }
            for stage in RequestStage.allCases {
                shard.record(stage, nanoseconds: 777)
                shard.countDeadlineExceeded(at: stage)
            }
            for reason in RejectionReason.allCases { shard.countRejected(reason) }
            for reason in FallbackReason.allCases { shard.countFallback(reason) }
            for reason in DegradedReason.allCases { shard.countDegraded(reason) }
            for source in RetrievalSource.allCases { shard.countCandidates(3, from: source) }
            for result in CacheResult.allCases { shard.countCache(.l1, result) }
            for reason in ConnectionRefusal.allCases { shard.countConnectionRefused(reason) }
            for fault in FrameFault.allCases { shard.countBadFrame(fault) }
            shard.countCancelled()
            shard.countCacheJoined()
            for refill in CacheRefill.allCases { shard.countRefill(refill) }
            shard.setCache(bytes: 1000, entries: 10)
            shard.setQueueDepth(4)
            shard.setUsers(500)
            shard.connectionOpened()
            shard.connectionOpened()
            shard.connectionClosed()
            shard.publishThreadAllocations()
        }
        let node = NodeMetrics(shards: shards, build: BuildInfo(kernels: "scalar"))
        node.setReady(true)
        node.setGeneration(3, model: "movies@7", loadNanoseconds: 1_500_000_000)
        for result in SwapResult.allCases { node.countSwap(result) }
        for part in MemoryPart.allCases { node.setMemory(part, bytes: 64) }
        node.countConnectionRefusedAtAccept(.connectionLimit)
        return node
    }

    static func text(_ format: ExpositionFormat) -> String {
        String(decoding: busyNode().scrape(format), as: UTF8.self)
    }

    @Test func `a scrape holds every family of the catalogue once, in its order, and no other`() {
        for format in [ExpositionFormat.prometheusText, .openMetrics] {
            let names = Self.text(format).split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
                .map { String($0.split(separator: " ")[2]) }
            let expected = MetricCatalogue.all.map { format == .openMetrics ? $0.family : $0.name }
            #expect(names.sorted() == expected.sorted())
            #expect(Set(names).count == names.count)
        }
    }

    @Test func `counts of all shards are added up`() {
        let text = Self.text(.prometheusText)
        #expect(text.contains("\nmartlet_requests_total{method=\"Recommend\",code=\"NOT_FOUND\"} 2\n"))
        #expect(text.contains("\nmartlet_retrieval_candidates_total{source=\"item_to_item\"} 6\n"))
        #expect(text.contains("\nmartlet_connections 2\n"))
        #expect(text.contains("\nmartlet_connections_opened_total 4\n"))
        #expect(text.contains("\nmartlet_connections_refused_total{reason=\"connection_limit\"} 3\n"))
        #expect(text.contains("\nmartlet_shard_queue_depth{shard=\"1\"} 4\n"))
        #expect(text.contains("\nmartlet_model_info{model=\"movies@7\"} 1\n"))
        #expect(text.contains("\nmartlet_generation_load_seconds 1.5\n"))
    }

    @Test func `a histogram is cumulative and its count is its last bucket`() {
        let lines = Self.text(.prometheusText).split(separator: "\n")
            .filter { $0.hasPrefix("martlet_request_duration_seconds") && $0.contains("default\",outcome=\"served") }
        #expect(lines.count == DurationBuckets.count + 2)
        #expect(lines.contains { $0.hasSuffix("le=\"1e-05\"} 0") })
        #expect(lines.contains { $0.hasSuffix("le=\"1.5e-05\"} 2") })
        #expect(lines.contains { $0.hasSuffix("le=\"+Inf\"} 2") })
        #expect(lines.contains { $0.contains("_count{") && $0.hasSuffix("} 2") })
        #expect(lines.contains { $0.contains("_sum{") && $0.hasSuffix("} 2.469e-05") })
    }

    @Test func `OpenMetrics ends with EOF, names families without _total and gives units`() {
        let text = Self.text(.openMetrics)
        #expect(text.hasSuffix("\n# EOF\n"))
        #expect(text.contains("# TYPE martlet_requests counter\n"))
        #expect(text.contains("\nmartlet_requests_total{method=\"Recommend\",code=\"OK\"} 2\n"))
        #expect(text.contains("# UNIT martlet_stage_duration_seconds seconds\n"))
        #expect(text.contains("# TYPE martlet_build info\n"))
        #expect(text.contains("\nmartlet_build_info{version=\""))
        #expect(!Self.text(.prometheusText).contains("# EOF"))
    }

    @Test func `label values are escaped`() {
        #expect(Self.text(.prometheusText).contains("scenario=\"odd \\\"name\\\"\\\\\\n\""))
    }

    @Test(.enabled(if: ExternalTool.promtool.mayRun, "needs promtool in PATH (`make deps` installs it)"))
    func `promtool check metrics has nothing to say of a full scrape`() throws {
        for node in [Self.busyNode(), NodeMetrics(shards: [], build: BuildInfo(kernels: "scalar"))] {
            let result = try ExternalTool.promtool.run(["check", "metrics"], input: node.scrape(.prometheusText))
            #expect(result.status == 0)
            #expect(result.output == "")
        }
    }

    @Test func `a reader beside the writer sees counts that never go down`() async {
        let shard = ShardMetrics(shard: 0, scenarios: ["default"])
        let node = NodeMetrics(shards: [shard], build: BuildInfo(kernels: "scalar"))
        async let writing: Void = Task.detached {
            for _ in 0..<200_000 { shard.record(.fuse, nanoseconds: 10) }
        }.value
        var last = 0
        for _ in 0..<20 {
            let text = String(decoding: node.scrape(.prometheusText), as: UTF8.self)
            let line = text.split(separator: "\n").first {
                $0.hasPrefix("martlet_stage_duration_seconds_count{stage=\"fuse\"}")
            }
            let count = line.flatMap { Int($0.split(separator: " ").last ?? "") } ?? -1
            #expect(count >= last)
            last = count
        }
        await writing
        let text = String(decoding: node.scrape(.prometheusText), as: UTF8.self)
        #expect(text.contains("martlet_stage_duration_seconds_count{stage=\"fuse\"} 200000\n"))
    }
}

@Suite(.ownThreads) struct MetricCatalogueTests {
    @Test func `every line follows the naming rules`() {
        for metric in MetricCatalogue.all {
            #expect(metric.name.hasPrefix("martlet_") || metric.name.hasPrefix("process_"), "\(metric.name)")
            #expect(metric.name.allSatisfy { $0.isLowercase || $0 == "_" || $0.isNumber }, "\(metric.name)")
            #expect((metric.kind == .counter) == metric.name.hasSuffix("_total"), "\(metric.name)")
            #expect((metric.kind == .info) == metric.name.hasSuffix("_info"), "\(metric.name)")
            if metric.unit != .none { #expect(metric.family.hasSuffix("_\(metric.unit.rawValue)"), "\(metric.name)") }
            #expect(metric.help.hasSuffix("."), "\(metric.name)")
        }
        #expect(Set(MetricCatalogue.all.map(\.name)).count == MetricCatalogue.all.count)
    }

    @Test func `the layout has a cell for every label value`() {
        typealias Layout = ShardMetrics.Layout
        #expect(CallMethod.allCases.count == Layout.methods)
        #expect(StatusCode.allCases.count == Layout.codes)
        #expect(RequestOutcome.allCases.count == Layout.outcomes)
        for count in [
            RerankingEffect.allCases.count, FallbackReason.allCases.count,
            RetrievalSource.allCases.count, CacheResult.allCases.count,
            ConnectionRefusal.allCases.count, FrameFault.allCases.count, BatchCloseReason.allCases.count,
        ] { #expect(count <= 8) }
        #expect(Layout.rejected + RejectionReason.allCases.count <= Layout.smallCells)
        #expect(DegradedReason.allCases.allSatisfy { $0.rawValue < 32 })
        #expect(Layout.deadline + RequestStage.allCases.count <= Layout.smallCells)
    }
}

@Suite(.ownThreads) struct ExpositionFormatTests {
    @Test(
        arguments: [
            (nil, ExpositionFormat.prometheusText),
            ("*/*", .prometheusText),
            ("text/plain", .prometheusText),
            ("text/html", .prometheusText),
            ("", .prometheusText),
            (";;,,q=", .prometheusText),
            ("application/openmetrics-text", .openMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
            ("application/openmetrics-text;version=2.0.0", .prometheusText),
            ("application/openmetrics-text;q=0", .prometheusText),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.8", .prometheusText),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
            ),
        ] as [(String?, ExpositionFormat)])
    func `the Accept header chooses the format`(accept: String?, format: ExpositionFormat) {
        #expect(ExpositionFormat.negotiate(accept: accept) == format)
    }
}
