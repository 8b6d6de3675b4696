import ArgumentParser
import Foundation
import MartletClient
import Vocabulary

/// `martlet items`: tells a node what has changed of its items.
struct ItemsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "items", abstract: "Add, delete, hide or show items on a running node.",
        subcommands: [UpsertCommand.self, DeleteCommand.self, AvailabilityCommand.self])

    /// `martlet items upsert FILE`.
    struct UpsertCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "upsert", abstract: "Add items to a running node, or describe them anew.",
            discussion: """
                The file is CSV or TSV as for training (item, title, tags, available_from, available_until, and any other \
                column as an attribute), or, as *.jsonl, one object a line: {"item": "a", "title": "A", "tags": ["x"], \
                "attributes": {"brand": ["y"], "price": 9.5}, "vector": [0.1, ...], "from": 1700000000, "until": ...}. \
                Of an item that the model knows, title, tags and attributes that are named take the place of the model's.
                """)

        @Argument(help: "A file of items.", completion: .file())
        var file: String
        @Option(help: ArgumentHelp("The tenant that the items belong to.", valueName: "name"))
        var tenant = ""
        @OptionGroup(title: "Node") var node: NodeArguments

        func validate() throws {
            try ArgumentCheck.path(file, "the file")
            try ArgumentCheck.name(tenant, "--tenant")
        }

        func run() async throws {
            let items = try ItemFile.read(file)
            try await ItemsCommand.send(node, ItemFile.groups(items)) { client, group in
                var request = UpsertItemsRequest(items: group)
                request.tenant = tenant
                return try await client.upsertItems(request)
            }
        }
    }

    /// `martlet items delete ITEM...`.
    struct DeleteCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "delete", abstract: "Have a running node never show items again, or take changes back.")

        @OptionGroup var items: ItemNames
        @Flag(help: "The opposite: forget what was changed of these items; they are again what the model says.")
        var restore = false
        @OptionGroup(title: "Node") var node: NodeArguments

        func run() async throws {
            try await ItemsCommand.send(node, items.groups()) { client, group in
                var request = DeleteItemsRequest(items: group, restore: restore)
                request.tenant = items.tenant
                return try await client.deleteItems(request)
            }
        }
    }

    /// `martlet items availability ITEM...`.
    struct AvailabilityCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "availability", abstract: "Say when a running node may show items.",
            discussion: """
                What is said takes the place of the model's own windows; without --hidden, --from and --until the items are \
                always available. Times are seconds since 1970 or such as 2026-11-21T08:00:00Z.
                """)

        @OptionGroup var items: ItemNames
        @Flag(help: "Not at all, until something else is said.")
        var hidden = false
        @Option(help: ArgumentHelp("From this time on.", valueName: "time")) var from: String?
        @Option(help: ArgumentHelp("Before this time.", valueName: "time")) var until: String?
        @OptionGroup(title: "Node") var node: NodeArguments

        func validate() throws {
            let (from, until) = try (Self.seconds(from, "--from"), Self.seconds(until, "--until"))
            if let from, let until, from >= until { throw ValidationError("--from is not before --until") }
            if hidden, from != nil || until != nil {
                throw ValidationError("--hidden is for always; leave out --from and --until")
            }
        }

        private static func seconds(_ text: String?, _ flag: String) throws -> Int64? {
            guard let text else { return nil }
            if let seconds = Int64(text) { return seconds }
            if let date = try? Date(text, strategy: .iso8601) { return Int64(date.timeIntervalSince1970) }
            throw ValidationError(
                "\(flag): '\(text)' is no time; write seconds since 1970, or such as 2026-11-21T08:00:00Z")
        }

        func run() async throws {
            let (from, until) = try (Self.seconds(from, "--from"), Self.seconds(until, "--until"))
            try await ItemsCommand.send(node, items.groups()) { client, group in
                var request = SetAvailabilityRequest(
                    items: group.map {
                        ItemWindow(item: $0, isHidden: hidden, fromSeconds: from, untilSeconds: until)
                    })
                request.tenant = items.tenant
                return try await client.setAvailability(request)
            }
        }
    }

    /// Faults that are shown one by one.
    private static let faultsShownMax = 20

    /// Sends groups of changes one after the other, and tells what became of them; exit code 1 when one has a fault.
    private static func send<Group>(
        _ node: NodeArguments, _ groups: [Group],
        _ call: (MartletClient, Group) async throws -> ChangeItemsReply
    ) async throws where Group: Collection {
        var total = Outcome()
        try await node.ask("items", timeout: .seconds(30)) { client in
            var first = 0
            for group in groups {
                do {
                    total.add(try await call(client, group), first: first)
                } catch {
                    if total.stored > 0 {
                        StandardError.write(
                            "martlet items: \(total.stored) changes were stored before; sending all again is safe\n")
                    }
                    throw error
                }
                first += group.count
            }
        }
        if node.json {
            print(try AnswerOutput.json(total))
        } else {
            print("\(total.stored) stored, \(total.unknownItems) of them of items that the model does not know.")
        }
        for fault in total.faults.prefix(faultsShownMax) {
            StandardError.write("martlet items: item \(fault.number): \(fault.message)\n")
        }
        if total.faults.count > faultsShownMax {
            StandardError.write("martlet items: and \(total.faults.count - faultsShownMax) more\n")
        }
        if !total.faults.isEmpty { throw ExitCode.failure }
    }

    /// What became of all groups, as JSON.
    private struct Outcome: Encodable {
        struct Fault: Encodable {
            /// From 1, in the order given.
            var number: Int
            var message: String
        }

        var stored = 0
        var unknownItems = 0
        var version: UInt64 = 0
        var faults: [Fault] = []

        mutating func add(_ reply: ChangeItemsReply, first: Int) {
            stored += reply.stored
            unknownItems += reply.unknownItems
            version = reply.version
            faults += reply.faults.map { Fault(number: first + $0.item + 1, message: $0.message) }
        }
    }
}

/// Items that a command is about.
struct ItemNames: ParsableArguments {
    @Argument(help: "The items' IDs.")
    var item: [String] = []
    @Option(
        name: .customLong("items"),
        help: ArgumentHelp("A file with the items' IDs, one a line; - is standard input.", valueName: "file"),
        completion: .file())
    var file: String?
    @Option(help: ArgumentHelp("The tenant that the items belong to.", valueName: "name"))
    var tenant = ""

    func validate() throws {
        for one in item { try ArgumentCheck.id(one, "an item") }
        try ArgumentCheck.path(file, "--items")
        try ArgumentCheck.name(tenant, "--tenant")
        if item.isEmpty, file == nil { throw ValidationError("no item is named: write their IDs, or --items FILE") }
        if !item.isEmpty, file != nil {
            throw ValidationError("items stand as arguments and in --items; name them in one place")
        }
    }

    /// The IDs in groups that fit a call.
    func groups() throws -> [[String]] {
        let all = try file.map { try RankCommand.lines(of: $0) } ?? item
        return stride(from: 0, to: all.count, by: RequestLimits.changedItemsMax).map {
            Array(all[$0..<min(all.count, $0 + RequestLimits.changedItemsMax)])
        }
    }
}
