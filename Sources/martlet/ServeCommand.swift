import ArgumentParser
import Foundation
import Logging
import MartletServer

/// `martlet serve`: answers calls until it is asked to stop.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve a bundle: answer recommendation calls until SIGTERM or Ctrl-C.",
        discussion: """
            Values come from defaults, then the YAML file of --config (or $MARTLET_CONFIG), then MARTLET_... variables \
            of the environment, then flags; --print-config shows them all with where each came from. SIGHUP loads the \
            configured bundle anew.
            """)

    @Option(name: .customLong("bundle"), help: ArgumentHelp("The bundle to serve.", valueName: "dir"))
    var bundle: String?

    @Option(help: ArgumentHelp("Where calls are answered; port 0 takes a free one.", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where metrics and health are answered, or off.", valueName: "host:port"))
    var http: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Event loops, each with one shard, 0 to 1024; 0: one for each core.", valueName: "n"))
    var shards: String?

    @Option(help: ArgumentHelp("A YAML file with settings.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The folder from which LoadModel may take bundles.", valueName: "dir"))
    var modelsRoot: String?

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?

    @Option(help: ArgumentHelp("text or json.", valueName: "format"))
    var logFormat: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Any setting by its key, such as limits.k_max=100; may be repeated.", valueName: "key=value")
    )
    var settings: [String] = []

    @Flag(help: "Check the configuration and stop; looks neither at the bundle nor at the ports.")
    var checkConfig = false

    @Flag(help: "Print the effective configuration as YAML, with where each value came from, and stop.")
    var printConfig = false

    func validate() throws {
        for setting in settings where !setting.contains("=") {
            throw ValidationError("--set \(setting): write --set KEY=VALUE, such as --set limits.k_max=100")
        }
    }

    func run() async throws {
        let loaded = try loadConfiguration()
        for warning in loaded.warnings { Self.complain("warning: \(warning)") }
        if printConfig { print(loaded.yaml(), terminator: "") }
        if checkConfig, !printConfig {
            print("The configuration is valid. The bundle was not opened and the ports were not tried.")
        }
        if checkConfig || printConfig { return }

        let configuration = loaded.configuration
        try check(configuration)
        LoggingSystem.bootstrap { label in LogOutput(label: label, configuration.log) }
        do {
            try await NodeServer.run(configuration: configuration, logger: Logger(label: "martlet"))
        } catch {
            Self.complain("The node did not start or could not go on: \(error)")
            throw ExitCode.failure
        }
    }

    /// What the disk says of the bundle; without one a node may start only if LoadModel can bring one.
    private func check(_ configuration: ServerConfiguration) throws {
        guard let bundle = configuration.bundle else {
            guard configuration.modelsRoot == nil else { return }
            Self.complain(
                "There is no bundle to serve: give one with --bundle DIR, `bundle:` in the file of --config or"
                    + " MARTLET_BUNDLE. `martlet train --input FILE --output DIR` makes one. (With --models-root DIR alone the"
                    + " node waits for `martlet models --load PATH`.)")
            throw ExitCode(Self.configurationExit)
        }
        guard FileManager.default.fileExists(atPath: "\(bundle)/manifest.json") else {
            Self.complain("\(bundle) is not a bundle: \(Self.advice(noBundleAt: bundle))")
            throw ExitCode(Self.configurationExit)
        }
    }

    /// What to do about a place without a bundle.
    static func advice(noBundleAt path: String) -> String {
        var isFolder: ObjCBool = false
        let files = FileManager.default
        guard files.fileExists(atPath: path, isDirectory: &isFolder) else {
            return "there is no such folder. `martlet train --input FILE --output \(path)` makes one."
        }
        guard isFolder.boolValue else { return "it is a file. Name the folder that `martlet train --output` wrote." }
        guard let entries = try? files.contentsOfDirectory(atPath: path) else {
            return "it may not be read by this user; check its permissions."
        }
        if entries.isEmpty {
            return "the folder is empty. `martlet train --input FILE --output \(path)` puts one there."
        }
        if let inner = entries.sorted().first(where: { files.fileExists(atPath: "\(path)/\($0)/manifest.json") }) {
            return "it has no manifest.json, but \(inner) in it is one: `martlet serve --bundle \(path)/\(inner)`."
        }
        return "it has no manifest.json and holds other things. Name a bundle's folder; `martlet train --input FILE"
            + " --output DIR` makes one in a folder of its own."
    }

    /// `EX_CONFIG` of sysexits.h: a supervisor need not try again.
    private static let configurationExit: Int32 = 78

    private func loadConfiguration() throws -> LoadedConfiguration {
        let environment = ProcessInfo.processInfo.environment
        var file: (name: String, text: String)?
        if let name = config ?? environment["MARTLET_CONFIG"] {
            do {
                file = (name, try ServerConfiguration.text(ofFile: name))
            } catch {
                Self.complain(error.description)
                throw ExitCode(Self.configurationExit)
            }
        }
        var flags: [FlagValue] = []
        for (flag, key, value) in [
            ("--bundle", "bundle", bundle), ("--listen", "listen", listen), ("--http", "http", http),
            ("--shards", "shards", shards), ("--models-root", "models_root", modelsRoot),
            ("--log-level", "log.level", logLevel), ("--log-format", "log.format", logFormat),
        ] {
            if let value { flags.append(FlagValue(flag: flag, key: key, value: value)) }
        }
        for setting in settings {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            flags.append(FlagValue(flag: "--set", key: parts[0], value: parts.count > 1 ? parts[1] : ""))
        }
        do {
            return try ServerConfiguration.load(file: file, environment: environment, flags: flags)
        } catch {
            Self.complain(error.description)
            throw ExitCode(Self.configurationExit)
        }
    }

    private static func complain(_ text: String) {
        StandardError.write("martlet serve: \(text)\n")
    }
}
