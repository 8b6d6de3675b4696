import ArgumentParser
import Foundation
import LiveBench
import LoadGenerator

/// The node that a command starts itself, and the folder of its event log.
struct NodeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The program of the node, as `make build` leaves it.", valueName: "file"))
    var martlet: String
    @Option(help: ArgumentHelp("The bundle that the node serves.", valueName: "dir"))
    var bundle: String
    @Option(
        help: ArgumentHelp(
            "The folder for the event log, missing or empty; it stays. Default: one of its own, which goes.",
            valueName: "dir"))
    var events: String?
    @Option(parsing: .unconditional, help: "Shards of the node, 1 to 64.") var shards = 2
    @Option(
        name: .customLong("set"), help: ArgumentHelp("A setting of the node; may be repeated.", valueName: "key=value"))
    var settings: [String] = []

    func validate() throws {
        guard (1...64).contains(shards) else { throw ValidationError("--shards is \(shards); allowed: 1 to 64") }
        guard FileManager.default.isExecutableFile(atPath: martlet) else {
            throw ValidationError("--martlet: \(martlet) is no program; `make build` makes .build/release/martlet")
        }
        guard FileManager.default.fileExists(atPath: bundle + "/manifest.json") else {
            throw ValidationError("--bundle: \(bundle) has no manifest.json; `martlet sample --bundle` makes a bundle")
        }
        if let events, let names = try? FileManager.default.contentsOfDirectory(atPath: events), !names.isEmpty {
            throw ValidationError("--events: \(events) is not empty; name a new folder")
        }
    }

    var node: NodeProcess.Options {
        var options = NodeProcess.Options(martlet: martlet, bundle: bundle)
        options.settings = settings
        options.shards = shards
        return options
    }

    /// Runs `body` with the folder, and removes it where it is this program's own.
    func withEvents(_ body: (String) async throws -> Void) async throws {
        if let events { return try await body(events) }
        let folder = NSTemporaryDirectory() + "martlet-bench-\(ProcessInfo.processInfo.processIdentifier)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }
}

extension MachineLoad {
    /// Says on standard error what else runs.
    static func tell() { if let note = note() { Terminal.complain(note) } }
}
