import LiveState
import Vocabulary

/// Everything that is wrong with a configuration, each problem with its place and what to write instead.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let problems: [String]

    package var description: String { problems.joined(separator: "\n") }
}

/// Where a value came from.
package enum SettingOrigin: Sendable, Equatable, CustomStringConvertible {
    case defaults
    case file(String, line: Int)
    case environment(String)
    case flag(String)

    package var description: String {
        switch self {
        case .defaults: "default"
        case .file(let name, let line): "\(name):\(line)"
        case .environment(let variable): variable
        case .flag(let flag): flag
        }
    }
}

/// A configuration put together, with where each value came from.
package struct LoadedConfiguration: Sendable {
    package var configuration: ServerConfiguration
    /// By key; a scenario's origin stands under `scenarios.NAME`. What is missing is a default.
    package var origins: [String: SettingOrigin]
    /// Things that were ignored and may not have been meant so.
    package var warnings: [String]
}

/// A value given by a flag of the command.
package struct FlagValue: Sendable {
    /// As the person wrote it, such as `--listen`.
    package var flag: String
    package var key: String
    package var value: String

    package init(flag: String, key: String, value: String) {
        self.flag = flag
        self.key = key
        self.value = value
    }
}

extension ServerConfiguration {
    /// Variables with the prefix that belong to other parts of the project.
    private static let otherVariables: Set<String> = [
        "MARTLET_CONFIG", "MARTLET_NODE", "MARTLET_DATA", "MARTLET_STRICT", "MARTLET_CI",
    ]

    /// Puts the configuration together: defaults, then `file`, then `environment`, then `flags`.
    ///
    /// - Parameters:
    ///   - file: Name and text of the YAML file.
    ///   - environment: The whole environment. An unknown `MARTLET_` variable is a warning only, because container
    ///     platforms invent such names for a service called martlet.
    ///   - flags: In the order given; the last one for a key wins.
    /// - Throws: All problems at once.
    package static func load(
        file: (name: String, text: String)? = nil, environment: [String: String] = [:], flags: [FlagValue] = []
    ) throws(ConfigurationError) -> LoadedConfiguration {
        var loaded = LoadedConfiguration(configuration: ServerConfiguration(), origins: [:], warnings: [])
        var problems: [String] = []

        func assign(_ setting: Setting, _ text: String, _ origin: SettingOrigin) {
            do throws(SettingFault) {
                try setting.assign(&loaded.configuration, text)
                loaded.origins[setting.key] = origin
            } catch {
                problems.append(
                    "\(origin): \(setting.key): '\(SettingValue.withoutPasswords(text))' is not \(error.expected)")
            }
        }

        if let file {
            let parsed = ConfigurationFile(name: file.name, text: file.text)
            problems += parsed.problems
            for (setting, text, line) in parsed.assignments { assign(setting, text, .file(file.name, line: line)) }
            loaded.apply(parsed.scenarios, file: file.name)
            loaded.configuration.events.apply(parsed.eventTypes)
        }
        for (variable, value) in environment.sorted(by: { $0.key < $1.key }) {
            guard variable.hasPrefix(Setting.variablePrefix), !otherVariables.contains(variable) else { continue }
            if let setting = Setting.byVariable[variable] {
                assign(setting, value, .environment(variable))
            } else {
                let hint = NearestKey.suggestion(for: variable, among: Setting.byVariable.keys)
                loaded.warnings.append(
                    "\(variable) in the environment is not a setting" + (hint.map { "; did you mean \($0)?" } ?? ""))
            }
        }
        for flag in flags {
            if let setting = Setting.byKey[flag.key] {
                assign(setting, flag.value, .flag(flag.flag))
            } else {
                let hint = NearestKey.suggestion(for: flag.key, among: Setting.byKey.keys)
                problems.append(
                    "\(flag.flag): unknown key '\(flag.key)'" + (hint.map { "; did you mean '\($0)'?" } ?? ""))
            }
        }
        if problems.isEmpty { problems = loaded.configuration.problems }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        return loaded
    }

    /// Throws unless the values fit together. Does not look at the disk or the network.
    package func validate() throws(ConfigurationError) {
        let problems = problems
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
    }

    private var problems: [String] {
        var problems: [String] = []
        if let http, http.port != 0, http == listen {
            problems.append("http: \(http) is the address of `listen` too; give the two different ports")
        }
        for (name, scenario) in orderedScenarios where scenario.k > limits.kMax {
            problems.append(
                "scenarios.\(name).k: \(scenario.k) is above limits.k_max, which is \(limits.kMax); raise that or lower k"
            )
        }
        if cache.bytes > 0, cache.entryBytesMax > cache.bytes {
            problems.append(
                "cache.entry_bytes_max: \(SettingValue.text(size: cache.entryBytesMax)) is more than the whole cache,"
                    + " \(SettingValue.text(size: cache.bytes))")
        }
        if limits.writeBufferBytesMax < limits.frameBytesMax {
            problems.append(
                "limits.write_buffer_bytes_max: \(SettingValue.text(size: limits.writeBufferBytesMax)) cannot hold one frame"
                    + " of limits.frame_bytes_max, \(SettingValue.text(size: limits.frameBytesMax))")
        }
        if let directory = slates.directory, directory == events.directory {
            problems.append(
                "slates.directory: \(directory) is the folder of the event log; give the two different ones")
        }
        if redis.sharesItems, redis.url == nil {
            problems.append("redis.share_items: needs redis.url, the Redis that the nodes share")
        }
        if !events.stream.names.isEmpty, redis.url == nil {
            problems.append("events.stream: needs redis.url, the Redis whose streams are read")
        }
        if let deadLetter = events.stream.deadLetter, events.stream.names.contains(deadLetter) {
            problems.append("events.stream_dead_letter: \(deadLetter) is one of events.stream; name another one")
        }
        do throws(LiveStateError) { _ = try EventTypes(events.types) } catch {
            problems.append("event_types: \(error)")
        }
        do throws(LiveStateError) { try ItemActivityConfiguration(liveItems).validate() } catch {
            problems.append("live_items: \(error)")
        }
        if scenarios["default"] == nil { problems.append("scenarios: there must be one called 'default'") }
        return problems
    }
}

extension LoadedConfiguration {
    /// What a scenario does not say, it takes from `default`.
    fileprivate mutating func apply(
        _ scenarios: [(name: String, change: ConfigurationFile.ScenarioChange, line: Int)], file: String
    ) {
        func merged(_ base: ScenarioConfiguration, _ change: ConfigurationFile.ScenarioChange) -> ScenarioConfiguration
        {
            var result = base
            if let k = change.k { result.k = k }
            if let ttl = change.cacheTTL { result.cacheTTL = ttl }
            if let retrieval = change.retrieval { result.retrieval = retrieval }
            if let reranking = change.reranking { result.reranking = reranking }
            if let ranker = change.ranker { result.ranker = ranker }
            if let count = change.rankCandidates { result.rankCandidates = count }
            if let share = change.slatesSample { result.slatesSample = share }
            if let rows = change.batchRows { result.batchRows = rows }
            if let requests = change.batchRequests { result.batchRequests = requests }
            return result
        }
        var base = ScenarioConfiguration()
        if let own = scenarios.first(where: { $0.name == "default" }) { base = merged(base, own.change) }
        configuration.scenarios["default"] = base
        for (name, change, line) in scenarios {
            configuration.scenarios[name] = name == "default" ? base : merged(base, change)
            origins["scenarios.\(name)"] = .file(file, line: line)
        }
    }
}
