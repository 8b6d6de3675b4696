import ArgumentParser
import Foundation
import MartletClient
import Vocabulary

/// Which node to ask, and how long to wait: shared by the commands that ask one.
struct NodeArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The node to ask; else $MARTLET_NODE, else 127.0.0.1:7400.", valueName: "host:port"))
    var node: String?

    @Option(
        help: ArgumentHelp(
            "Several nodes, in place of --node: HOST:PORT,HOST:PORT ..., file:PATH or dns:HOST:PORT.",
            valueName: "nodes"))
    var nodes: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("How long to wait, such as 500ms or 2s.", valueName: "duration"))
    var timeout: String?

    @Flag(help: "Print one JSON object instead of a table.")
    var json = false

    func validate() throws {
        _ = try address()
        _ = try duration(otherwise: .zero)
        _ = try source()
        if nodes != nil, node != nil { throw ValidationError("--node and --nodes exclude each other") }
    }

    private func source() throws -> NodeSource? {
        do { return try nodes.map { try NodeSource(parsing: $0) } } catch {
            throw ValidationError("--nodes: \((error as? MartletClientError)?.message ?? "\(error)")")
        }
    }

    private func address() throws -> (host: String, port: Int) {
        let text = node ?? ProcessInfo.processInfo.environment["MARTLET_NODE"] ?? "127.0.0.1:7400"
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            colon > text.startIndex
        else { throw ValidationError("\(text) is no node: write HOST:PORT, such as 127.0.0.1:7400 or [::1]:7400") }
        guard (1...65535).contains(port) else {
            let fault = port > 65535 ? "too large" : "too small"
            throw ValidationError("\(text) is no node: the port \(port) is \(fault); ports are 1 to 65535")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return (host, port)
    }

    /// The timeout as given, or `otherwise`.
    func duration(otherwise: Duration) throws -> Duration {
        try timeout.map { try Self.duration($0, "timeout") } ?? otherwise
    }

    /// - Parameter what: Names the time in messages.
    static func duration(_ text: String, _ what: String) throws -> Duration {
        let units: [(String, Double)] = [("us", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            if let number = Double(text.dropLast(unit.count)), number > 0, number * seconds < 86_400 {
                return .seconds(number * seconds)
            }
        }
        throw ValidationError("\(text) is no \(what): write a number and a unit, such as 500ms, 2s or 1m")
    }

    /// Calls `body` with a client of the node; what goes wrong becomes a sentence and exit code 1.
    func ask(
        _ command: String, timeout: Duration = .seconds(5), _ body: (MartletClient) async throws -> Void
    ) async throws {
        let (host, port) = try address()
        do {
            try await attempt(command, timeout: duration(otherwise: timeout), body)
        } catch {
            guard let error = error as? MartletClientError else { throw error }
            StandardError.write("martlet \(command): \(error.message)\n")
            if let advice = Self.advice(on: error, node: nodes ?? "\(host):\(port)") {
                StandardError.write("\(advice)\n")
            }
            throw ExitCode.failure
        }
    }

    /// Calls `body` with a client of the node.
    func attempt(
        _ command: String, timeout: Duration, _ body: (MartletClient) async throws -> Void
    ) async throws {
        let (host, port) = try address()
        var configuration = MartletClientConfiguration(host: host, port: port)
        configuration.nodes = try source()
        configuration.clientName = "martlet \(command)"
        configuration.timeout = timeout
        // The call's own time ends the wait: on a busy machine, or far away, two seconds for a connection are few.
        configuration.connectTimeout = max(configuration.connectTimeout, timeout)
        configuration.pingTimeout = max(configuration.pingTimeout, timeout)
        // One call: the other shards' connections would come too late.
        configuration.routesByShard = false
        let client = try MartletClient(configuration)
        do {
            try await body(client)
            await client.shutdown()
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// What to do about an error that is not the question's fault; nil where its message says all.
    static func advice(on error: MartletClientError, node: String) -> String? {
        switch error.code {
        case .unavailable where !error.retryIsSafe:
            "The node had the question and went away: it was stopped, or its log says why. `martlet health --node"
                + " \(node)` tells whether it is back; then ask again."
        case .unavailable, .deadlineExceeded:
            "Is the node running? `martlet serve --bundle DIR` starts one; --node HOST:PORT or $MARTLET_NODE names"
                + " another than \(node); --timeout waits longer."
        default: nil
        }
    }
}

/// What the answer may hold: shared by `recommend` and `similar`.
struct SlateArguments: ParsableArguments {
    @Option(name: .customShort("k"), parsing: .unconditional, help: "How many items, 1 to 1000.")
    var k = 20

    @Option(help: ArgumentHelp("An item not to show, one ID; repeated: none of them.", valueName: "item"))
    var exclude: [String] = []

    @Option(help: ArgumentHelp("Only items with this tag; repeated: with at least one of them.", valueName: "tag"))
    var tag: [String] = []

    @Option(help: ArgumentHelp("Only items with this tag; repeated: with each of them.", valueName: "tag"))
    var everyTag: [String] = []

    @Option(help: ArgumentHelp("No items with this tag; repeated: with none of them.", valueName: "tag"))
    var notTag: [String] = []

    @Option(
        name: .customLong("where"),
        help: ArgumentHelp(
            "Only items with such an attribute: 'brand=acme|zenith', 'brand!=x', 'price<=20'; repeated: all must hold.",
            valueName: "condition"))
    var conditions: [String] = []

    @Option(help: ArgumentHelp("The tenant that users and items belong to.", valueName: "name"))
    var tenant = ""

    func validate() throws {
        try ArgumentCheck.range(k, "-k", 1...1000)
        for item in exclude { try ArgumentCheck.id(item, "--exclude") }
        for tag in tag { try ArgumentCheck.id(tag, "--tag") }
        for tag in everyTag { try ArgumentCheck.id(tag, "--every-tag") }
        for tag in notTag { try ArgumentCheck.id(tag, "--not-tag") }
        if conditions.count > RequestLimits.conditionsMax {
            throw ValidationError(
                "--where stands \(conditions.count) times; at most \(RequestLimits.conditionsMax) are allowed")
        }
        _ = try parsedConditions()
        try ArgumentCheck.name(tenant, "--tenant")
    }

    private func parsedConditions() throws -> [AttributeCondition] {
        try conditions.map { try ConditionArgument($0).condition }
    }

    func filter() throws -> AttributeFilter {
        AttributeFilter(anyTag: tag, allTags: everyTag, noTag: notTag, conditions: try parsedConditions())
    }
}
