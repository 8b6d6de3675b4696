import Retrieval
import Serving
import Vocabulary
import Wire
import Yams

import enum Serving.RankerUse

/// Reads the YAML file: single values by the table of settings, scenarios by the rules below.
struct ConfigurationFile {
    let name: String
    private(set) var assignments: [(setting: Setting, text: String, line: Int)] = []
    private(set) var scenarios: [(name: String, change: ScenarioChange, line: Int)] = []
    var eventTypes: [EventTypeChange] = []
    private(set) var problems: [String] = []

    /// What a file says of a scenario; nil: nothing.
    struct ScenarioChange: Equatable {
        var k: Int?
        var cacheTTL: Duration?
        var retrieval: RetrievalMix?
        var reranking: RerankingConfiguration?
        var ranker: RankerUse?
        var rankCandidates: Int?
        var slatesSample: Double?
        var batchRows: Int?
        var batchRequests: Int?

        static let keys = [
            "k", "cache_ttl", "retrieval", "ranker", "rank_candidates", "batch_rows", "batch_requests", "reranking",
            "slates_sample",
        ]
    }

    static let bytesMax = 1 << 20
    /// Scenarios are labels of metrics, so there are few of them.
    static let scenariosMax = 64

    init(name: String, text: String) {
        self.name = name
        guard text.utf8.count <= Self.bytesMax else {
            problems.append("\(name): larger than \(Self.bytesMax) bytes; is it a configuration?")
            return
        }
        do {
            guard let root = try Yams.compose(yaml: text) else { return }
            if case .scalar(let scalar) = root, scalar.string.isEmpty { return }
            read(root, under: "")
        } catch {
            problems.append("\(name): not valid YAML: \(error)")
        }
    }

    mutating func fail(_ node: Node, _ message: String) {
        problems.append("\(name):\(node.mark?.line ?? 1): \(message)")
    }

    private mutating func read(_ node: Node, under prefix: String) {
        guard case .mapping(let mapping) = node else {
            fail(node, "\(prefix.isEmpty ? "the file" : "'\(prefix)'") must hold `key: value` lines")
            return
        }
        for (keyNode, value) in mapping {
            guard let part = keyNode.scalar?.string else {
                fail(keyNode, "a key must be a word")
                continue
            }
            let key = prefix.isEmpty ? part : "\(prefix).\(part)"
            if key == "scenarios" {
                readScenarios(value)
            } else if key == "event_types" {
                readEventTypes(value)
            } else if let setting = Setting.byKey[key] {
                guard let scalar = value.scalar else {
                    fail(value, "'\(key)' takes a single value")
                    continue
                }
                assignments.append((setting, scalar.string, keyNode.mark?.line ?? 1))
            } else if Setting.all.contains(where: { $0.key.hasPrefix(key + ".") }) {
                read(value, under: key)
            } else {
                let known = Setting.all.map(\.key) + ["scenarios", "event_types"]
                failUnknown(keyNode, key, known: known)
            }
        }
    }

    mutating func failUnknown(_ node: Node, _ key: String, known: [String]) {
        let hint = NearestKey.suggestion(for: key, among: known).map { "; did you mean '\($0)'?" } ?? ""
        fail(node, "unknown key '\(key)'\(hint)")
    }

    // MARK: Scenarios

    private mutating func readScenarios(_ node: Node) {
        guard case .mapping(let mapping) = node else {
            fail(node, "'scenarios' must hold a name and settings for each scenario")
            return
        }
        if mapping.count > Self.scenariosMax {
            fail(node, "\(mapping.count) scenarios; at most \(Self.scenariosMax) are allowed")
        }
        for (keyNode, value) in mapping {
            guard let scenario = keyNode.scalar?.string, (1...255).contains(scenario.utf8.count) else {
                fail(keyNode, "the name of a scenario must have 1 to 255 bytes")
                continue
            }
            if let change = readScenario(value, key: "scenarios.\(scenario)") {
                scenarios.append((scenario, change, keyNode.mark?.line ?? 1))
            }
        }
    }

    private mutating func readScenario(_ node: Node, key: String) -> ScenarioChange? {
        guard case .mapping(let mapping) = node else {
            fail(node, "'\(key)' must hold settings: \(ScenarioChange.keys.joined(separator: ", "))")
            return nil
        }
        var change = ScenarioChange()
        for (keyNode, value) in mapping {
            let part = keyNode.scalar?.string ?? ""
            switch part {
            case "k":
                change.k = scalar(value, "\(key).k") { (text) throws(SettingFault) in
                    try SettingValue.integer(text, in: 1...RequestLimits.kMax)
                }
            case "cache_ttl":
                change.cacheTTL = scalar(value, "\(key).cache_ttl") { (text) throws(SettingFault) in
                    try SettingValue.duration(text)
                }
            case "retrieval": change.retrieval = readRetrieval(value, key: "\(key).retrieval")
            case "reranking": change.reranking = readReranking(value, key: "\(key).reranking")
            case "ranker":
                change.ranker = scalar(value, "\(key).ranker") { (text) throws(SettingFault) in
                    try SettingValue.choice(text, of: RankerUse.self)
                }
            case "rank_candidates":
                change.rankCandidates = scalar(value, "\(key).rank_candidates") { (text) throws(SettingFault) in
                    try SettingValue.integer(text, in: 1...RetrievalMix.limitMax)
                }
            case "batch_rows":
                change.batchRows = scalar(value, "\(key).batch_rows") { (text) throws(SettingFault) in
                    try SettingValue.integer(text, in: Setting.batchRowsRange)
                }
            case "batch_requests":
                change.batchRequests = scalar(value, "\(key).batch_requests") { (text) throws(SettingFault) in
                    try SettingValue.integer(text, in: Setting.batchRequestsRange)
                }
            case "slates_sample":
                change.slatesSample = scalar(value, "\(key).slates_sample") { (text) throws(SettingFault) in
                    try SettingValue.share(text)
                }
            default:
                failUnknown(keyNode, "\(key).\(part)", known: ScenarioChange.keys.map { "\(key).\($0)" })
            }
        }
        return change
    }

    private mutating func readRetrieval(_ node: Node, key: String) -> RetrievalMix? {
        guard case .mapping(let mapping) = node else {
            fail(node, "'\(key)' must hold sources and, if wanted, normalisation")
            return nil
        }
        let problemsBefore = problems.count
        var sources: [RetrievalMix.Entry] = []
        var normalisation = RetrievalMix.Normalisation.zscore
        for (keyNode, value) in mapping {
            let part = keyNode.scalar?.string ?? ""
            switch part {
            case "sources": sources = readSources(value, key: "\(key).sources")
            case "normalisation":
                normalisation =
                    scalar(value, "\(key).normalisation") { (text) throws(SettingFault) in
                        try SettingValue.choice(text, of: RetrievalMix.Normalisation.self)
                    } ?? normalisation
            default: failUnknown(keyNode, "\(key).\(part)", known: ["sources", "normalisation"].map { "\(key).\($0)" })
            }
        }
        // What could not be read is missing below; faults of what is left would be false ones.
        guard problems.count == problemsBefore else { return nil }
        let mix = RetrievalMix(sources: sources, normalisation: normalisation)
        if let fault = mix.fault() {
            fail(node, "\(key): \(fault); a mix looks like `sources: [{source: als, limit: 200, weight: 1}]`")
            return nil
        }
        return mix
    }

    private mutating func readSources(_ node: Node, key: String) -> [RetrievalMix.Entry] {
        guard case .sequence(let sequence) = node else {
            fail(node, "'\(key)' must be a list")
            return []
        }
        var sources: [RetrievalMix.Entry] = []
        for (index, entry) in sequence.enumerated() {
            let key = "\(key)[\(index)]"
            guard case .mapping(let mapping) = entry else {
                fail(entry, "'\(key)' must be like {source: als, limit: 200, weight: 0.6}")
                continue
            }
            var source: RetrievalSource?
            var limit = 200
            var weight: Float = 1
            for (keyNode, value) in mapping {
                let part = keyNode.scalar?.string ?? ""
                switch part {
                case "source":
                    source = scalar(value, "\(key).source") { (text) throws(SettingFault) in
                        try SettingValue.choice(text, of: RetrievalSource.self)
                    }
                case "limit":
                    limit =
                        scalar(value, "\(key).limit") { (text) throws(SettingFault) in
                            try SettingValue.integer(text, in: 1...RetrievalMix.limitMax)
                        } ?? limit
                case "weight":
                    weight =
                        scalar(value, "\(key).weight") { (text) throws(SettingFault) in
                            guard let weight = Float(text), weight.isFinite, weight >= 0 else {
                                throw SettingFault(expected: "a number from 0, such as 0.6")
                            }
                            return weight
                        } ?? weight
                default:
                    failUnknown(keyNode, "\(key).\(part)", known: ["source", "limit", "weight"].map { "\(key).\($0)" })
                }
            }
            guard let source else {
                if !mapping.contains(where: { $0.key.scalar?.string == "source" }) {
                    fail(entry, "'\(key)' names no source; write one of \(RetrievalSource.allNames)")
                }
                continue
            }
            sources.append(RetrievalMix.Entry(source: source, limit: limit, weight: weight))
        }
        return sources
    }

    mutating func scalar<Value>(
        _ node: Node, _ key: String, _ parse: (String) throws(SettingFault) -> Value
    ) -> Value? {
        guard let text = node.scalar?.string else {
            fail(node, "'\(key)' takes a single value")
            return nil
        }
        do throws(SettingFault) {
            return try parse(text)
        } catch {
            fail(node, "\(key): '\(text)' is not \(error.expected)")
            return nil
        }
    }
}
