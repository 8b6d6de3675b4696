import ArgumentParser
import MartletClient

/// `martlet models`: lists the bundles a node could serve, or has it load one.
struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "List the bundles under a node's models root, or load one of them.")

    @Option(help: ArgumentHelp("Serve this bundle from now on; relative to the models root.", valueName: "path"))
    var load: String?
    @Flag(help: "Print only the path of the bundle that serves, for scripts; nothing where none does.")
    var serving = false
    @OptionGroup(title: "Node") var node: NodeArguments

    func validate() throws {
        try ArgumentCheck.path(load, "--load")
        if serving, load != nil || node.json {
            throw ValidationError("--serving has no effect with \(load != nil ? "--load" : "--json")")
        }
    }

    func run() async throws {
        if let load {
            try await node.ask("models", timeout: .seconds(300)) { client in
                let reply = try await client.loadModel(LoadModelRequest(path: load))
                if node.json {
                    print(try AnswerOutput.json(Loaded(reply)))
                } else {
                    print(
                        "\(reply.model) serves as generation \(reply.generation); loaded in "
                            + "\(AnswerOutput.time(milliseconds: reply.loadMilliseconds)).")
                }
            }
        } else {
            try await node.ask("models") { client in
                let reply = try await client.listModels()
                if serving {
                    if let path = reply.models.first(where: \.serving)?.path { print(path) }
                } else if node.json {
                    print(try AnswerOutput.json(["models": reply.models.map(Listed.init)]))
                } else {
                    show(reply.models)
                }
            }
        }
    }

    private func show(_ models: [ModelInfo]) {
        guard !models.isEmpty else { return print("There are no bundles under the models root.") }
        var table = AnswerTable([
            ("path", .left), ("model", .left), ("created", .left), ("users", .right), ("items", .right),
            ("interactions", .right), ("size", .right), ("state", .left),
        ])
        for model in models {
            let state =
                model.serving
                ? "serves as generation \(model.generation)" : model.fault.isEmpty ? "sound" : "unsound: \(model.fault)"
            table.add([
                model.path, model.name.isEmpty ? "" : "\(model.name)@\(model.version)", model.created,
                AnswerOutput.count(model.users), AnswerOutput.count(model.items),
                AnswerOutput.count(model.interactions),
                AnswerOutput.size(model.bytes), state,
            ])
        }
        print(table.text, terminator: "")
    }

    /// A bundle as JSON.
    struct Listed: Encodable {
        var path: String
        var name: String
        var version: String
        var created: String
        var users: UInt64
        var items: UInt64
        var interactions: UInt64
        var bytes: UInt64
        var serving: Bool
        var generation: UInt64?
        var fault: String?

        init(_ model: ModelInfo) {
            path = model.path
            name = model.name
            version = model.version
            created = model.created
            users = model.users
            items = model.items
            interactions = model.interactions
            bytes = model.bytes
            serving = model.serving
            generation = model.serving ? model.generation : nil
            fault = model.fault.isEmpty ? nil : model.fault
        }
    }

    /// A load as JSON.
    struct Loaded: Encodable {
        var model: String
        var generation: UInt64
        var loadMilliseconds: UInt64

        init(_ reply: LoadModelReply) {
            model = reply.model
            generation = reply.generation
            loadMilliseconds = reply.loadMilliseconds
        }
    }
}
