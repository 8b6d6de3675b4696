import ArgumentParser
import MartletClient

/// `martlet health`: asks a node how it is. Exit code 0 only when it is ready, so that a supervisor can use it.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask a node whether it is ready; the exit code says it, too.",
        discussion: """
            Exit codes: 0 the node is ready; 1 it is not, or does not answer. With --wait the question is put again until \
            the node is ready or the time is up: what a script does after it has started one.
            """)

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long to wait for the node to be ready, such as 10s.", valueName: "duration"))
    var wait: String?
    @OptionGroup(title: "Node") var node: NodeArguments

    func validate() throws { _ = try patience() }

    private func patience() throws -> Duration {
        try wait.map { try NodeArguments.duration($0, "time to wait") } ?? .zero
    }

    func run() async throws {
        let patience = try patience()
        if patience > .zero {
            let began = ContinuousClock.now
            let isReady = try await Polling(patience: patience) { ContinuousClock.now - began }.run { left in
                await serves(within: left)
            }
            if !isReady { StandardError.write("martlet health: the node was not ready within \(wait ?? "")\n") }
        }
        try await report()
    }

    private func serves(within left: Duration) async -> Bool {
        var isReady = false
        try? await node.attempt("health", timeout: min(left, .seconds(1))) { client in
            isReady = try await client.health().state == .ready
        }
        return isReady
    }

    private func report() async throws {
        try await node.ask("health") { client in
            let reply = try await client.health()
            if node.json {
                print(try AnswerOutput.json(Document(reply)))
            } else {
                print(
                    "\(reply.nodeName.isEmpty ? "The node" : AnswerTable.printable(reply.nodeName)): \(reply.state.name)"
                )
                print("  model       \(reply.model.isEmpty ? "none" : reply.model), generation \(reply.generation)")
                print("  shards      \(reply.shardCount)")
                print("  up for      \(AnswerOutput.time(milliseconds: reply.uptimeMilliseconds))")
                print("  software    \(reply.softwareVersion)")
            }
            if reply.state != .ready { throw ExitCode.failure }
        }
    }

    /// The answer as JSON.
    struct Document: Encodable {
        var state: String
        var generation: UInt64
        var model: String
        var shardCount: UInt32
        var uptimeMilliseconds: UInt64
        var softwareVersion: String
        var nodeName: String

        init(_ reply: HealthReply) {
            state = reply.state.name
            generation = reply.generation
            model = reply.model
            shardCount = reply.shardCount
            uptimeMilliseconds = reply.uptimeMilliseconds
            softwareVersion = reply.softwareVersion
            nodeName = reply.nodeName
        }
    }
}
