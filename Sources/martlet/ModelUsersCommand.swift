import ArgumentParser
import Artifacts
import Catalog

/// Shows which users a bundle knows: whom one can ask for, and what they had.
struct ModelUsersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "List users of a bundle with how many items they had, or one user's items.",
        discussion: "Columns are separated by tabs, for scripts.")

    enum Order: String, ExpressibleByArgument, CaseIterable {
        case longest, shortest
    }

    @Argument(help: "The bundle's folder.", completion: .directory)
    var bundle: String
    @Option(help: "Which users come first: those with the longest or the shortest history.")
    var order = Order.longest
    @Option(
        name: [.customShort("n"), .customLong("count")], parsing: .unconditional, help: "How many lines, 1 or more.")
    var count = 10
    @Option(help: "Show what this user had, newest first, with titles.")
    var user: String?

    func validate() throws {
        guard count > 0 else { throw ValidationError("-n is \(count); allowed: 1 or more") }
        try ArgumentCheck.path(bundle, "the bundle")
        if let user { try ArgumentCheck.id(user, "--user") }
    }

    func run() throws {
        var isKnown = true
        do throws(ArtifactError) {
            let bundle = try Bundle(opening: bundle, verify: .sizes)
            let users = try UserDirectory(bundle: bundle)
            if let user {
                isKnown = try show(user, of: users, items: ItemCatalog(bundle: bundle))
            } else {
                list(users)
            }
        } catch {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
        }
        if !isKnown { throw ExitCode(1) }
    }

    private func list(_ users: UserDirectory) {
        let lengths = (0..<UInt32(users.count)).map { (row: $0, length: users.history(of: $0).count) }
        let sorted = lengths.sorted { a, b in
            if a.length != b.length { return order == .longest ? a.length > b.length : a.length < b.length }
            return a.row < b.row
        }
        for (row, length) in sorted.prefix(count) { print("\(users.name(row))\t\(length)") }
    }

    private func show(_ name: String, of users: UserDirectory, items: ItemCatalog) -> Bool {
        guard let row = users.row(of: name) else {
            StandardError.write("Error: the bundle does not know the user \(name)\n")
            return false
        }
        for item in users.history(of: row).reversed().prefix(count) {
            print("\(items.name(item))\t\(items.title(item))")
        }
        return true
    }
}
