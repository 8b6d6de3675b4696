import ArgumentParser
import MartletClient

/// `martlet health`: asks a node how it is. Exit code 0 only when it is ready, so that a supervisor can use it.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask a node whether it is ready; the exit code says it, too.")

    @OptionGroup(title: "Node") var node: NodeArguments

    func run() async throws {
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
