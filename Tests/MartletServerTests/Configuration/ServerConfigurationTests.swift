import Logging
import Retrieval
import TestSupport
import Testing
import Vocabulary

@testable import MartletServer

@Suite struct ServerConfigurationTests {
    static func problems(
        _ yaml: String = "", environment: [String: String] = [:], flags: [FlagValue] = []
    ) -> [String] {
        do throws(ConfigurationError) {
            _ = try ServerConfiguration.load(file: ("node.yaml", yaml), environment: environment, flags: flags)
            return []
        } catch {
            return error.problems
        }
    }

    @Test func `the defaults are valid`() throws {
        #expect(try ServerConfiguration.load().configuration == ServerConfiguration())
        #expect(try ServerConfiguration.load(file: ("empty.yaml", "")).configuration == ServerConfiguration())
        #expect(
            try ServerConfiguration.load(file: ("comment.yaml", "# nothing\n")).configuration == ServerConfiguration())
    }

    @Test func `flags win over the environment, that over the file, and that over the defaults`() throws {
        let yaml = "listen: 127.0.0.1:1\nhttp: 127.0.0.1:2\nshards: 3\n"
        let loaded = try ServerConfiguration.load(
            file: ("node.yaml", yaml),
            environment: ["MARTLET_HTTP": "127.0.0.1:20", "MARTLET_SHARDS": "30", "PATH": "/bin"],
            flags: [FlagValue(flag: "--shards", key: "shards", value: "300")])
        #expect(loaded.configuration.listen.port == 1)
        #expect(loaded.configuration.http?.port == 20)
        #expect(loaded.configuration.shards == 300)
        #expect(loaded.origins["listen"] == .file("node.yaml", line: 1))
        #expect(loaded.origins["http"] == .environment("MARTLET_HTTP"))
        #expect(loaded.origins["shards"] == .flag("--shards"))
        #expect(loaded.origins["bundle"] == nil)
        #expect(loaded.warnings == [])
    }

    @Test func `every key can be set from the file, the environment and a flag, and reads back as it was written`()
        throws
    {
        let values: [String: String] = [
            "node_name": "n1", "listen": "[::1]:7001", "http": "off", "shards": "7", "bundle": "/b",
            "models_root": "/m", "index": "scan", "item_rows": "f16", "graph_rows": "int8", "ranker_precision": "bf16",
            "ranker_item_bytes": "5MiB",
            "recall_min": "0.9",
            "recall_sample_share": "0.5",
            "calls_together": "4", "search_helpers": "2", "ranking.batch_rows": "99", "ranking.batch_requests": "5",
            "cache.bytes": "3MiB", "cache.filter_bytes": "2MiB", "cache.ttl": "90s", "cache.entry_bytes_max": "5KiB",
            "cache.ttl_min": "3s", "cache.ttl_visits": "7", "cache.stale_for": "4s", "cache.background_share": "0.2",
            "cache.warm_keys": "77", "cache.warm_file": "/tmp/warm", "cache.warm_before_ready": "2s",
            "limits.frame_bytes_max": "2MiB",
            "limits.connections_max": "11", "limits.calls_in_flight_max": "12", "limits.queued_requests_max": "13",
            "limits.queue_wait": "21ms", "brownout.latency": "9ms", "brownout.level": "2",
            "limits.k_max": "140", "limits.write_buffer_bytes_max": "9MiB", "limits.handshake_timeout": "15ms",
            "limits.idle_timeout": "16m", "default_deadline": "170us", "drain_timeout": "18h", "log.level": "debug",
            "log.format": "json", "events.directory": "/e", "events.sync": "never", "events.sync_interval": "7ms",
            "events.segment_bytes": "3MiB", "events.segment_age": "5m", "events.retention_age": "40d",
            "events.retention_bytes": "8GiB", "events.pending_bytes_max": "6MiB", "events.future_max": "9s",
            "events.snapshot_interval": "44s", "events.age_max": "100d", "events.history_max": "55",
            "events.shown_max": "33",
            "events.seen_max": "66", "events.seen_age": "77d",
            "events.state_bytes_max": "88MiB", "events.repeats_window": "9999", "events.items_max": "1111",
            "redis.url": "rediss://me@redis:7000/2", "redis.mode": "cluster", "redis.password_file": "/p",
            "redis.trusted_file": "/t", "redis.prefix": "shop", "redis.timeout": "7ms", "redis.connections": "3",
            "items.changes_max": "2222", "items.bytes_max": "5MiB",
            "live_items.merge_interval": "300ms", "live_items.fast_half_life": "5m",
            "live_items.slow_half_life": "36h", "live_items.age_max": "21s", "live_items.bytes_max": "6MiB",
            "live_items.trending_max": "71", "live_items.prior_impressions": "72",
            "slates.directory": "/s", "slates.sample": "0.25", "slates.candidates_max": "33",
            "slates.segment_bytes": "3MiB", "slates.segment_age": "5m", "slates.retention_age": "40d",
            "slates.retention_bytes": "8GiB", "slates.pending_bytes_max": "6MiB",
        ]
        #expect(Set(values.keys) == Set(Setting.all.map(\.key)))
        var all: Set<String> = []
        for setting in Setting.all {
            let value = try #require(values[setting.key])
            let parts = setting.key.split(separator: ".")
            let yaml = parts.count == 1 ? "\(parts[0]): '\(value)'" : "\(parts[0]):\n  \(parts[1]): '\(value)'\n"
            for loaded in [
                try ServerConfiguration.load(file: ("f", yaml)),
                try ServerConfiguration.load(environment: [setting.variable: value]),
                try ServerConfiguration.load(flags: [FlagValue(flag: "--set", key: setting.key, value: value)]),
            ] {
                #expect(setting.text(in: loaded.configuration) == (setting.key == "cache.ttl" ? "90s" : value))
                #expect(loaded.configuration != ServerConfiguration())
            }
            all.insert(setting.variable)
        }
        #expect(all.count == Setting.all.count)
    }

    @Test func `what is printed reads back as the same configuration`() throws {
        let yaml = """
            node_name: 'a "b" #c: \\'
            bundle: /tmp/it's here
            cache: {bytes: 1MiB}
            log: {level: trace}
            scenarios:
              default:
                k: 10
                slates_sample: 0.5
                cache_ttl: 0
                retrieval:
                  normalisation: rank
                  sources: [{source: als, limit: 30, weight: 0.25}, {source: item_to_item}]
                reranking:
                  pool: 150
                  diversity: {by: factors, strength: 0.3}
                  caps: [{attribute: 'a "b"', most: 3}, {attribute: year, most: 1}]
                  pins: [{item: "it's: one", place: 2}]
                  boosts:
                    - {attribute: brand, value: "x, y", factor: 1.25}
                    - {item: m1, add: -0.5}
                  exploration: {method: epsilon, epsilon: 0.1, protected: 3, among: 40}
              "home page":
                k: 5
                batch_rows: 32
                batch_requests: 1
              plain: {reranking: {}}
              other:
                reranking:
                  diversity: {by: attribute, attribute: genres, strength: 1}
                  exploration: {method: softmax, temperature: 0.25}
            """
        let loaded = try ServerConfiguration.load(
            file: ("node.yaml", yaml), environment: ["MARTLET_DRAIN_TIMEOUT": "3s"])
        let printed = loaded.yaml()
        let again = try ServerConfiguration.load(file: ("printed.yaml", printed))
        #expect(again.configuration == loaded.configuration)
        let scenarios = loaded.configuration.scenarios
        #expect(scenarios["home page"]?.reranking == scenarios["default"]?.reranking)
        #expect(scenarios["default"]?.reranking?.boosts.count == 2)
        #expect(scenarios["plain"]?.reranking?.isEmpty == true)
        #expect(scenarios["home page"]?.batchRows == 32 && scenarios["home page"]?.batchRequests == 1)
        #expect(scenarios["plain"]?.batchRows == nil)
        #expect(
            scenarios["other"]?.reranking?.exploration == .init(.softmax(temperature: 0.25), protected: 1, among: 100))
        #expect(printed.contains("# node.yaml:1\n"))
        #expect(printed.contains("# MARTLET_DRAIN_TIMEOUT\n"))
        #expect(printed.contains("# default\n"))
    }

    @Test func `a scenario takes from the default one what it does not say`() throws {
        let yaml = """
            scenarios:
              home: {k: 7}
              default:
                k: 10
                cache_ttl: 5s
                retrieval: {sources: [{source: popular, limit: 9, weight: 2}]}
            """
        let scenarios = try ServerConfiguration.load(file: ("node.yaml", yaml)).configuration.scenarios
        let mix = RetrievalMix(sources: [.init(source: .popular, limit: 9, weight: 2)], normalisation: .zscore)
        #expect(scenarios["default"]?.k == 10)
        #expect(scenarios["home"]?.k == 7)
        #expect(scenarios["home"]?.cacheTTL == .seconds(5))
        #expect(scenarios["home"]?.retrieval == mix)
    }

    @Test(arguments: [
        ("listne: 127.0.0.1:1", "node.yaml:1: unknown key 'listne'; did you mean 'listen'?"),
        ("\n\nk_max: 3", "node.yaml:3: unknown key 'k_max'; did you mean 'limits.k_max'?"),
        ("limits:\n  k_maxx: 3", "node.yaml:2: unknown key 'limits.k_maxx'; did you mean 'limits.k_max'?"),
        ("zzzzzzzzzzzzzzzzz: 3", "node.yaml:1: unknown key 'zzzzzzzzzzzzzzzzz'"),
        ("scenarios:\n  a: {kk: 3}", "node.yaml:2: unknown key 'scenarios.a.kk'; did you mean 'scenarios.a.k'?"),
        (
            "scenarios: {a: {batch_rows: 7}}",
            "node.yaml:1: scenarios.a.batch_rows: '7' is not a whole number from 8 to 4096"
        ),
        ("cache: 3", "node.yaml:1: 'cache' must hold `key: value` lines"),
        ("shards: [1]", "node.yaml:1: 'shards' takes a single value"),
        ("- a", "node.yaml:1: the file must hold `key: value` lines"),
        ("shards: many", "node.yaml:1: shards: 'many' is not a whole number from 0 to 1024"),
        (
            "scenarios: {a: {retrieval: {sources: [{source: als},{source: als}]}}}",
            "node.yaml:1: scenarios.a.retrieval: the source 'als' stands twice;"
        ),
        ("scenarios: {a: {retrieval: {sources: []}}}", "node.yaml:1: scenarios.a.retrieval: no sources"),
        (
            "scenarios: {a: {retrieval: {sources: [{source: alss}]}}}",
            "'alss' is not one of als, spectral, item_to_item"
        ),
        ("scenarios: {a: {retrieval: {sources: [{limit: 3}]}}}", "names no source; write one of als, spectral"),
        (
            "limits: {k_max: 500}\nscenarios: {a: {k: 600}}",
            "scenarios.a.k: 600 is above limits.k_max, which is 500; raise that or lower k"
        ),
        // More than the protocol allows would have no effect.
        ("limits: {k_max: 1001}", "node.yaml:1: limits.k_max: '1001' is not a whole number from 1 to 1000"),
        ("scenarios: {a: {k: 1001}}", "scenarios.a.k: '1001' is not a whole number from 1 to 1000"),
        ("listen: 127.0.0.1:7480", "http: 127.0.0.1:7480 is the address of `listen` too; give the two different ports"),
    ])
    func `a mistake in the file is named with its line and what was meant`(yaml: String, problem: String) throws {
        let problems = Self.problems(yaml)
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    @Test(arguments: [
        "scenarios: {a: {retrieval: {sources: [{source: alss}]}}}",
        "scenarios: {a: {retrieval: {sources: [{limit: 3}]}}}",
        "scenarios: {a: {retrieval: {sources: als}}}",
        "scenarios: {a: {retrieval: {sources: [{source: als, weight: -1}]}}}",
        "scenarios: {a: {retrieval: {sources: [{source: als, limit: 0}]}}}",
        "scenarios: {a: {retrieval: {sources: [{source: als}], normalisation: z}}}",
    ])
    func `one mistake in a retrieval mix is one problem`(yaml: String) {
        #expect(Self.problems(yaml).count == 1, "\(Self.problems(yaml))")
    }

    @Test(arguments: [
        ("{diversity: {by: factors}}", "reranking.diversity' must be like {by: factors, strength: 0.3}"),
        ("{diversity: {by: genres, strength: 1}}", "diversity.by: 'genres' is not factors or attribute"),
        ("{diversity: {by: attribute, strength: 1}}", "diversity' must be like"),
        ("{diversity: {by: factors, strength: 1.5}}", "diversity.strength: 1.5 is not a number from 0 to 1"),
        ("{diversity: {by: factors, strength: nan}}", "diversity.strength: 'nan' is not a number"),
        ("{pool: 0}", "reranking.pool: '0' is not a whole number from 1 to 1000"),
        ("{caps: {attribute: a, most: 1}}", "reranking.caps' must be a list, such as [{attribute: category, most: 3}]"),
        ("{caps: [{attribute: a}]}", "reranking.caps[0]' must be like {attribute: category, most: 3}"),
        ("{caps: [{attribute: a, most: 0}]}", "caps[0].most: '0' is not a whole number from 1 to 1000"),
        ("{caps: [{attribute: a, most: 1}, {attribute: a, most: 2}]}", "caps[1]: 'a' is capped twice"),
        ("{pins: [{item: a, place: 1}, {item: b, place: 1}]}", "pins[1]: place 1 is taken by 'a'"),
        ("{pins: [{item: a, place: 1}, {item: a, place: 2}]}", "pins[1]: 'a' is pinned twice"),
        ("{pins: [{item: a, plac: 1}]}", "unknown key 'scenarios.a.reranking.pins[0].plac'; did you mean"),
        ("{boosts: [{item: a}]}", "reranking.boosts[0]' must say by how much"),
        ("{boosts: [{attribute: a, add: 1}]}", "boosts[0]' must name either an item, or an attribute and its value"),
        ("{boosts: [{item: a, factor: 0}]}", "boosts[0].factor: 0.0 is not above 0 and at most 100.0"),
        ("{exploration: {epsilon: 0.1}}", "exploration' must be like {method: epsilon, epsilon: 0.1}"),
        ("{exploration: {method: epsilon, epsilon: 2}}", "exploration.epsilon: 2.0 is not a number from 0 to 1"),
        ("{exploration: {method: softmax, temperature: 0}}", "exploration.temperature: 0.0 is not in"),
        ("{exploration: {method: softmax, temperature: 1, among: 0}}", "among: '0' is not a whole number"),
        ("{diversty: {}}", "unknown key 'scenarios.a.reranking.diversty'; did you mean"),
        ("3", "'scenarios.a.reranking' must hold settings: pool, diversity, caps"),
    ])
    func `one mistake in reranking is one problem, which says what is meant`(yaml: String, words: String) {
        let problems = Self.problems("scenarios: {a: {reranking: \(yaml)}}")
        #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
    }

    @Test func `a configuration file that cannot be read is named with why and what to do`() throws {
        let folder = try TemporaryFolder()
        try folder.write(Array("shards: 3\n".utf8), to: "node.yaml")
        #expect(try ServerConfiguration.text(ofFile: folder.file("node.yaml")) == "shards: 3\n")
        try folder.write([0x61, 0x3A, 0xFF], to: "latin.yaml")
        try folder.write([UInt8](repeating: 0x20, count: ConfigurationFile.bytesMax + 1), to: "large.yaml")
        for (path, words) in [
            (folder.file("none.yaml"), "there is no such file; correct --config"),
            (folder.file("node.yaml/x"), "there is no such file"), (folder.path, "is a folder, not a configuration"),
            (folder.file("latin.yaml"), "is not UTF-8 text"), (folder.file("large.yaml"), "larger than 1048576 bytes"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try ServerConfiguration.text(ofFile: path) }
            #expect(error?.description.hasPrefix("\(path): \(words)") == true, "\(String(describing: error))")
        }
        let unnamed = #expect(throws: ConfigurationError.self) { try ServerConfiguration.text(ofFile: "") }
        #expect(unnamed?.description.contains("empty") == true)
    }

    @Test func `all mistakes are told at once`() {
        let problems = Self.problems(
            "a: 1\nshards: x\n", environment: ["MARTLET_CACHE_TTL": "5"],
            flags: [FlagValue(flag: "--listen", key: "listen", value: "7400")])
        #expect(problems.count == 4, "\(problems)")
        #expect(problems.contains { $0.hasPrefix("MARTLET_CACHE_TTL: cache.ttl: '5' is not a duration") })
        #expect(problems.contains { $0.hasPrefix("--listen: listen: '7400' is not HOST:PORT") })
    }

    @Test func `an unknown variable is a warning that names the nearest setting`() throws {
        let loaded = try ServerConfiguration.load(
            environment: ["MARTLET_SHARD": "3", "MARTLET_PORT_7400_TCP": "tcp://10.0.0.1:7400", "MARTLET_CONFIG": "x"])
        #expect(loaded.warnings.count == 2)
        #expect(
            loaded.warnings.contains("MARTLET_SHARD in the environment is not a setting; did you mean MARTLET_SHARDS?"))
    }

    @Test func `an unknown key of --set is a mistake`() {
        let problems = Self.problems(flags: [FlagValue(flag: "--set", key: "cache.byte", value: "3")])
        #expect(problems == ["--set: unknown key 'cache.byte'; did you mean 'cache.bytes'?"])
    }

    @Test func `mutated files are refused or read, never a crash`() {
        let seed = Array(
            "listen: 127.0.0.1:1\ncache: {bytes: 1MiB, ttl: 3s}\nscenarios:\n  a: {k: 3, retrieval: {sources: [{source: als}]}}\n"
                .utf8)
        var state: UInt64 = 42
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        for _ in 0..<2000 {
            var bytes = seed
            for _ in 0...next(4) {
                switch next(3) {
                case 0: bytes[next(bytes.count)] = UInt8(next(256))
                case 1: bytes.remove(at: next(bytes.count))
                default: bytes.insert(Array("{}[]:-&*#'\"\n ".utf8)[next(13)], at: next(bytes.count))
                }
            }
            _ = Self.problems(String(decoding: bytes, as: UTF8.self))
        }
    }
}

@Suite struct SettingValueTests {
    @Test(arguments: [("0", 0), ("17", 17), ("17B", 17), ("4KiB", 4096), ("4 KiB", 4096), ("1GiB", 1 << 30)])
    func `sizes are read with or without their unit`(text: String, bytes: Int) throws {
        #expect(try SettingValue.size(text, in: 0...(1 << 40)) == bytes)
    }

    @Test(arguments: ["", "B", "-1", "1.5MiB", "1MB", "1 2", "99999999999999999999", "9999999999GiB", "0x10"])
    func `what is no size is refused`(text: String) {
        #expect(throws: SettingFault.self) { try SettingValue.size(text, in: 0...(1 << 40)) }
    }

    @Test(arguments: ["", "s", "5", "-1s", "1.5s", "1 day", "9999999999999h", "8000h", "1e3s"])
    func `what is no duration is refused`(text: String) {
        #expect(throws: SettingFault.self) { try SettingValue.duration(text) }
    }

    @Test(arguments: ["0s", "250us", "999ms", "1s", "90s", "5m", "2h"])
    func `a duration in its largest whole unit is its own text`(text: String) throws {
        #expect(SettingValue.text(duration: try SettingValue.duration(text)) == text)
    }

    @Test(arguments: ["127.0.0.1:0", "localhost:7400", "[::1]:65535", "0.0.0.0:80"])
    func `an endpoint is its own text`(text: String) throws {
        #expect(try SettingValue.endpoint(text).description == text)
    }

    @Test(arguments: [
        "", ":7400", "7400", "host", "host:", "host:65536", "host:-1", "::1:7400", "[::1]", "http://h:1", "h h:1",
    ])
    func `what is no endpoint is refused`(text: String) {
        #expect(throws: SettingFault.self) { try SettingValue.endpoint(text) }
    }
}

@Suite struct NearestKeyTests {
    @Test func `edits are counted as by the textbook`() {
        #expect(NearestKey.edits(Array("kitten".utf8), Array("sitting".utf8)) == 3)
        #expect(NearestKey.edits([], Array("abc".utf8)) == 3)
        #expect(NearestKey.edits(Array("same".utf8), Array("same".utf8)) == 0)
    }
}

@Suite struct LogOutputTests {
    @Test func `a record is one line whatever stands in it`() {
        let metadata: Logger.Metadata = ["model.path": "/a b/c", "n": "3", "text": "two\nlines \"q\""]
        let text = LogOutput(label: "martlet", LogConfiguration(level: .info, format: .text))
            .line(level: .notice, message: "Serving", metadata: metadata, at: "T")
        #expect(text == "T notice martlet: Serving model.path=\"/a b/c\" n=3 text=\"two\\nlines \\\"q\\\"\"\n")
        let json = LogOutput(label: "martlet", LogConfiguration(level: .info, format: .json))
            .line(level: .notice, message: "Ser\u{1}ving", metadata: ["n": "3"], at: "T")
        let expected = #"{"level":"notice","logger":"martlet","message":"Ser\u0001ving","n":"3","time":"T"}"#
        #expect(json == expected + "\n")
    }
}
