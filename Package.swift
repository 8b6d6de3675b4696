// swift-tools-version: 6.2
import PackageDescription

// The map of the house. Targets stand in dependency order: an arrow only points up this file.
// `MARTLET_STRICT=1` turns warnings into errors (continuous integration does).
let strict: [SwiftSetting] =
    Context.environment["MARTLET_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : []

/// A Swift target of the product.
func room(_ name: String, path: String? = nil, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, path: path ?? "Sources/\(name)", swiftSettings: strict)
}

/// A command that people run.
func command(_ name: String, path: String? = nil, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, path: path ?? "Sources/\(name)", swiftSettings: strict)
}

/// The tests of a room, in a folder of the same name.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, swiftSettings: strict)
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
    name: "martlet",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "martlet", targets: ["martlet"]),
        .executable(name: "martlet-bench", targets: ["martlet-bench"]),
        .library(name: "MartletClient", targets: ["MartletClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C: our SIMD kernels, the generated messages, and doors to system libraries (module maps only).
        .target(name: "CKernels", path: "Sources/CKernels"),
        .systemLibrary(
            name: "CProtobufC", path: "Sources/CProtobufC", pkgConfig: "libprotobuf-c",
            providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(
            name: "CJemalloc", path: "Sources/CJemalloc", pkgConfig: "jemalloc", providers: [.apt(["libjemalloc-dev"])]),
        // Without pkg-config: Debian's file for it holds a define that SwiftPM refuses, with a warning at every build.
        .systemLibrary(name: "CHiredis", path: "Sources/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CMalloc", path: "Sources/CMalloc"),
        .target(name: "CWireMessages", dependencies: ["CProtobufC"], path: "Sources/CWireMessages"),

        // L0: the words. Value types only.
        room("Vocabulary", []),

        // L1: vectors and kernels; the bytes of a model; metrics; breakers, budgets and limits; when a batch goes; frames and
        // messages; durable records; what live events tell of users.
        room("VectorMath", ["CKernels"]),
        room("Artifacts", [crypto]),
        room("Telemetry", ["Vocabulary", "CJemalloc"]),
        room("Resilience", []),
        room("MicroBatching", ["Vocabulary"]),
        room("Wire", ["Vocabulary", "CWireMessages", nioCore]),
        room("EventLog", ["Vocabulary"]),
        room("LiveState", ["Vocabulary", "CMalloc"]),

        // L2: indexes, factor models, the catalogue of users and items, the features of rankers; the client library.
        room("NearestNeighbors", ["Vocabulary", "VectorMath", "Artifacts"]),
        room("FactorModels", ["VectorMath", "Artifacts"]),
        room("Catalog", ["Vocabulary", "Artifacts"]),
        room("Features", ["Vocabulary", "Artifacts"]),
        room("LoadBalancing", ["Vocabulary", "Resilience"]),
        room("Overload", ["Resilience"]),
        room(
            "MartletClient",
            ["Vocabulary", "Wire", "Resilience", "LoadBalancing", "Telemetry", nioCore, nioPosix, logging]),

        // L3: sources and their fusion, and rankers: what the node serves and what training tunes; Redis beside the node, and what
        // nodes tell each other of users through it.
        room("Retrieval", ["Vocabulary", "VectorMath", "Artifacts", "NearestNeighbors", "FactorModels", "Catalog"]),
        room("RankingModels", ["Vocabulary", "VectorMath", "Artifacts", "Catalog", "Features"]),
        room(
            "CandidateRanking",
            [
                "Vocabulary", "VectorMath", "Artifacts", "LiveState", "Catalog", "FactorModels", "Features",
                "Retrieval", "RankingModels",
            ]),
        room("RemoteCache", ["Vocabulary", "Resilience", "CHiredis", nioCore, nioPosix, nioSSL, deque, crypto]),
        room("SharedUsers", ["Vocabulary", "EventLog"]),

        // L4: the product (admission, shards, stages, generations) and the way to a bundle. They never import each other.
        room(
            "Serving",
            [
                "Vocabulary", "VectorMath", "FactorModels", "NearestNeighbors", "Retrieval", "CandidateRanking",
                "MicroBatching", "Catalog", "Telemetry", "EventLog", "LiveState", "Overload", deque,
            ]),
        room(
            "Training",
            [
                "Vocabulary", "VectorMath", "Artifacts", "NearestNeighbors", "FactorModels", "Catalog", "Retrieval",
                "Features", "RankingModels", "CandidateRanking", "EventLog", "LiveState", "CZlib",
            ]
        ),

        // L5: listener, HTTP endpoint, configuration, composition.
        room(
            "MartletServer",
            [
                "Vocabulary", "VectorMath", "Wire", "Artifacts", "NearestNeighbors", "Retrieval", "RankingModels",
                "CandidateRanking", "Serving", "EventLog", "LiveState", "RemoteCache", "SharedUsers", "Catalog",
                "FactorModels", "Overload",
                "Telemetry", nioCore, nioPosix,
                nioHTTP1, logging, lifecycle, unixSignals, yams, deque,
            ]),

        // L6: the commands. Argument parsing only.
        command(
            "martlet",
            [
                "MartletServer", "Training", "Retrieval", "CandidateRanking", "RankingModels", "Features", "Telemetry",
                "MartletClient", "EventLog",
                "Catalog", "Artifacts", "Vocabulary",
                nioCore, nioPosix, logging, arguments,
            ]
        ),
        .systemLibrary(name: "CEpoll", path: "Bench/CEpoll"),
        room("Charts", path: "Bench/Charts", []),
        room(
            "LoadGenerator", path: "Bench/LoadGenerator",
            ["Charts", "CEpoll", "Wire", "MartletClient", "Telemetry", "Vocabulary", histogram]),
        room(
            "IndexBench", path: "Bench/IndexBench",
            ["Charts", "NearestNeighbors", "FactorModels", "Retrieval", "VectorMath", "Artifacts", "Vocabulary"]),
        room("FilterBench", path: "Bench/FilterBench", ["Artifacts", "NearestNeighbors", "Catalog", "Retrieval"]),
        room(
            "RankerBench", path: "Bench/RankerBench",
            ["LiveState", "RankingModels", "CandidateRanking", "Retrieval", "Features", "Artifacts", "VectorMath"]),
        room(
            "RerankingBench", path: "Bench/RerankingBench",
            ["Serving", "Retrieval", "FactorModels", "Catalog", "VectorMath"]),
        room("CacheBench", path: "Bench/CacheBench", ["Serving", "LoadGenerator", "Vocabulary"]),
        room("LiveStateBench", path: "Bench/LiveStateBench", ["LiveState", "Vocabulary"]),
        room("RedisBench", path: "Bench/RedisBench", ["RemoteCache", nioCore, nioPosix]),
        room(
            "ReplayBench", path: "Bench/ReplayBench", ["Charts", "MartletClient", "Wire", "Training", "Vocabulary"]),
        room(
            "LiveBench", path: "Bench/LiveBench",
            ["LoadGenerator", "EventLog", "MartletClient", "Wire", "Vocabulary", nioPosix]),
        room("Simulation", path: "Bench/Simulation", ["LoadBalancing", "Overload", "Vocabulary"]),
        command(
            "martlet-bench", path: "Bench/martlet-bench",
            [
                "Simulation", "LoadGenerator", "IndexBench", "FilterBench", "RankerBench", "RerankingBench",
                "LiveStateBench", "CacheBench", "RedisBench", "ReplayBench", "LiveBench", "CandidateRanking",
                "FactorModels", "VectorMath", "MartletClient", arguments,
            ]),
        command("factor-bench", path: "Bench/FactorBench", ["FactorModels", "VectorMath", arguments]),

        // Tests mirror Sources.
        room("TestSupport", path: "Tests/TestSupport", [nioCore, nioPosix]),
        tests("VocabularyTests", ["Vocabulary"]),
        tests("EventLogTests", ["EventLog", "Vocabulary", "TestSupport"]),
        tests("LiveStateTests", ["LiveState", "Vocabulary", "TestSupport"]),
        tests("LoadBalancingTests", ["LoadBalancing", "Resilience", "Vocabulary", "TestSupport"]),
        tests("SimulationTests", ["Simulation", "LoadBalancing", "Overload", "Vocabulary", "TestSupport"]),
        tests("OverloadTests", ["Overload", "TestSupport"]),
        tests("ResilienceTests", ["Resilience", "TestSupport"]),
        tests(
            "RemoteCacheTests",
            ["RemoteCache", "Resilience", "Vocabulary", "TestSupport", nioCore, nioPosix, nioSSL]),
        tests("SharedUsersTests", ["SharedUsers", "Vocabulary", "TestSupport"]),
        tests("MicroBatchingTests", ["MicroBatching", "Vocabulary", "TestSupport"]),
        tests("FeaturesTests", ["Features", "Artifacts", "TestSupport"]),
        tests(
            "RetrievalTests",
            [
                "Retrieval", "NearestNeighbors", "FactorModels", "Catalog", "Artifacts", "VectorMath", "Vocabulary",
                "TestSupport",
            ]),
        tests(
            "RankingModelsTests", ["RankingModels", "Features", "VectorMath", "Artifacts", "TestSupport"],
            exclude: ["Resources"]),
        tests(
            "ServingTests",
            [
                "Serving", "Retrieval", "NearestNeighbors", "FactorModels", "Catalog", "VectorMath", "Vocabulary",
                "EventLog", "LiveState", "SharedUsers", "TestSupport",
            ]),
        tests(
            "EndToEndTests",
            [
                "MartletServer", "MartletClient", "Serving", "Training", "Retrieval", "CandidateRanking",
                "RankingModels", "Features", "FactorModels", "Catalog", "Artifacts", "VectorMath", "Vocabulary",
                "EventLog", "LiveState", "Wire", "Telemetry", "martlet", "RemoteCache", "TestSupport", logging, nioCore,
                nioPosix,
            ]),
        tests(
            "BenchTests",
            [
                "LoadGenerator", "IndexBench", "FilterBench", "RankerBench", "RerankingBench", "LiveStateBench",
                "CacheBench", "LiveBench", "martlet-bench", "MartletClient", "Serving", "EventLog", "TestSupport",
                "Wire",
                "Training", "CandidateRanking", "RankingModels", "Features",
                "Artifacts",
                "FactorModels", "VectorMath", "Vocabulary", arguments,
            ]),
        tests(
            "martletTests",
            [
                "martlet", "MartletClient", "Training", "CandidateRanking", "RankingModels", "Retrieval", "Artifacts",
                "EventLog", "Vocabulary", "TestSupport", nioCore, arguments,
            ]),
        tests("WireTests", ["Wire", "CWireMessages", "Vocabulary", nioCore]),
        tests(
            "MartletClientTests",
            ["MartletClient", "LoadBalancing", "Wire", "Vocabulary", "TestSupport", nioCore, nioPosix]),
        tests("ArtifactsTests", ["Artifacts", "TestSupport"]),
        tests("FactorModelsTests", ["FactorModels", "VectorMath", "Artifacts", "CKernels", "TestSupport"]),
        tests("CatalogTests", ["Catalog", "Artifacts", "Vocabulary", "TestSupport"]),
        tests("VectorMathTests", ["VectorMath", "CKernels"]),
        tests("NearestNeighborsTests", ["NearestNeighbors", "Vocabulary", "VectorMath", "Artifacts", "TestSupport"]),
        tests(
            "TrainingTests",
            [
                "Training", "CandidateRanking", "Retrieval", "RankingModels", "Features", "FactorModels",
                "NearestNeighbors", "Catalog", "Artifacts", "VectorMath", "Vocabulary", "EventLog", "LiveState",
                "CZlib", "TestSupport",
            ]),
        tests("TelemetryTests", ["Telemetry", "Vocabulary", "TestSupport"]),
        tests(
            "MartletServerTests",
            [
                "MartletServer", "LiveState", "RemoteCache", "Retrieval", "Telemetry", "Vocabulary", "TestSupport",
                logging,
                nioCore,
                nioPosix,
                nioHTTP1,
            ]),
    ],
    swiftLanguageModes: [.v6]
)
