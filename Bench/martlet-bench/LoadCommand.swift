import ArgumentParser
import Foundation
import LoadGenerator
import MartletClient

/// `martlet-bench load`
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Calls a node at a constant rate, or as fast as it answers.")

    @Option(help: "The node's RPC address.")
    var node = "127.0.0.1:7400"

    @Option(
        help: "Several nodes, through the client library: HOST:PORT,HOST:PORT ..., file:PATH or dns:HOST:PORT.")
    var nodes: String?

    @Option(
        parsing: .unconditional,
        help: "Open loop: so many calls a second, whatever the answers do; above 0 to 50000000.")
    var rate: Double?

    @Option(
        parsing: .unconditional,
        help: "Closed loop: so many calls in flight on each connection, 1 to 4096. The default, with 1.")
    var closed: Int?

    @Option(
        parsing: .unconditional,
        help: "Connections to open (with --client: clients), 1 to 60000. Default: 64; with --client 1.")
    var connections: Int?

    @Option(parsing: .unconditional, help: "Threads that send, 1 to 64; each has its share of the connections.")
    var threads = 1

    @Option(parsing: .unconditional, help: "Seconds to measure, above 0 to 86400.")
    var duration = 10.0

    @Option(parsing: .unconditional, help: "Seconds to run before measuring, 0 to 3600. Default: 1; with --requests 0.")
    var warmup: Double?

    @Option(parsing: .unconditional, help: "Stop after so many calls, 1 or more, if the duration has not ended before.")
    var requests: Int?

    @Option(parsing: .unconditional, help: "How many users to ask for, 1 to 50000000, named by --user-pattern.")
    var users = 10_000

    @Option(help: "Names of users: the # are replaced by 1 to --users, padded with zeros.")
    var userPattern = "u#######"

    @Option(help: "File with one user ID a line, the most frequent first, instead of --users.")
    var usersFile: String?

    @Option(parsing: .unconditional, help: "How many items the methods 'similar' and 'item' ask for, 1 to 50000000.")
    var items = 10_000

    @Option(help: "Names of items.")
    var itemPattern = "i######"

    @Option(help: "File with one item ID a line, the most frequent first, instead of --items.")
    var itemsFile: String?

    @Option(parsing: .unconditional, help: "Exponent of Zipf's law for users and items, 0 to 10; 0: all alike.")
    var zipf = 1.0

    @Option(help: "zipf, or sequential: one user after the other.")
    var order = "zipf"

    @Option(
        name: [.customShort("k"), .customLong("k")], parsing: .unconditional,
        help: "Items to ask for in each call, 0 to 65535; 0: what the scenario gives.")
    var k = 20

    @Option(help: "The scenario to name in each call.")
    var scenario = ""

    @Option(help: "The tenant to name in each call.")
    var tenant = ""

    @Option(help: "Weights of the methods recommend, many, similar, item, health; as in recommend=90,item=10.")
    var mix = "recommend=100"

    @Option(parsing: .unconditional, help: "Users in each call of the method 'many', 1 to 1024.")
    var manyUsers = 32

    @Flag(help: "Ask the node not to answer from its result cache.")
    var bypassCache = false

    @Option(help: "critical, normal, sheddable or background: a busy node turns away the last ones first.")
    var priority = "normal"

    @Option(parsing: .unconditional, help: "How long a call may take, as in 250ms; 0s: no limit.")
    var timeout = "1s"

    @Option(parsing: .unconditional, help: "Open loop: calls in flight on a connection at most, 1 to 4096.")
    var window = 256

    @Flag(inversion: .prefixedNo, help: "Burn the core of an idle sender rather than wake up late.")
    var spin = true

    @Flag(help: "Go through the client library instead of the raw driver.")
    var client = false

    @Option(parsing: .unconditional, help: "Seed of every random choice, 0 or more.")
    var seed: UInt64 = 1

    @Option(help: "Write the report as JSON to this file; - is the standard output, without the table.")
    var json: String?

    @Option(help: "Write a drawing of the run to this SVG file.")
    var plot: String?

    @Option(help: "What must hold, as in p99=5ms,errors=0; else the exit code is 2. p99 needs 1000 calls, p99.9 10000.")
    var slo: String?

    @Flag(help: "Search the highest rate that holds --slo (default p99=5ms,errors=0).")
    var findMax = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Tries of the search at most, 1 to 100 (default: 24); only with --find-max.",
            discussion: """
                Each takes --duration, or longer where the percentiles of --slo need more calls: p99 needs 1000 answers, \
                p99.9 10000. A rate that fails is tried a second time before it counts.
                """))
    var findSteps: Int?

    private static let standardSteps = 24
    private static let standardObjective = "p99=5ms,errors=0"

    @Flag(help: "No progress lines.")
    var quiet = false

    func validate() throws {
        if let findSteps {
            guard findMax else { throw ValidationError("--find-steps has no effect without --find-max") }
            guard (1...100).contains(findSteps) else {
                throw ValidationError("--find-steps is \(findSteps); allowed: 1 to 100")
            }
        }
        guard rate == nil || closed == nil else { throw ValidationError("--rate and --closed exclude each other") }
        guard findMax else { return }
        if closed != nil { throw ValidationError("--find-max is an open loop, not --closed") }
        if rate != nil { throw ValidationError("--find-max chooses the rates itself; leave out --rate") }
        if requests != nil {
            throw ValidationError("--find-max runs for --duration at each rate; leave out --requests")
        }
    }

    func run() async throws {
        do {
            try await perform()
        } catch let error as LoadError {
            Terminal.complain("martlet-bench: \(error)")
            throw ExitCode(1)
        }
    }

    private func perform() async throws {
        let settings: LoadConfiguration
        let objective: ServiceObjective?
        let jsonFile: ReportFile?
        let plotFile: ReportFile?
        do {
            settings = try self.settings()
            objective = try (slo ?? (findMax ? Self.standardObjective : nil)).map { try ServiceObjective(parsing: $0) }
            // Before the run: a report that has no place to go is found out now.
            jsonFile = try json.flatMap { $0 == "-" ? nil : try ReportFile($0, flag: "--json") }
            plotFile = try plot.map { try ReportFile($0, flag: "--plot") }
        } catch let error as LoadError {
            throw ValidationError("\(error)")
        }
        let stop = StopSignal()
        let interrupts = Interrupts(stop)
        defer { interrupts.end() }
        Terminal.raiseDescriptorLimit(wanted: settings.connections + 64)
        let driver: any LoadDriver
        var library: ClientDriver?
        if client || nodes != nil {
            let opened = try await ClientDriver(settings)
            (driver, library) = (opened, opened)
        } else {
            driver = try RawDriver(settings)
        }
        if !quiet {
            Terminal.complain("\(driver.description)")
            if let note = MachineLoad.note() { Terminal.complain(note) }
        }
        if let warning = driver.users?.warning { Terminal.complain("WARNING: \(warning)") }
        let ending: RunEnding
        if findMax, let objective {
            let journal = try await search(driver, settings, objective, stop)
            if let report = journal.best ?? journal.last {
                try publish(report, objective.verdicts(on: report), of: journal, json: jsonFile, plot: plotFile)
            }
            tell(journal)
            ending = journal.ending
        } else {
            let report = try await measure(driver, settings, settings.mode, settings.duration, "", stop)
            let verdicts = objective?.verdicts(on: report) ?? []
            try publish(report, verdicts, json: jsonFile, plot: plotFile)
            ending = report.ending(objective, verdicts)
            explain(ending)
        }
        if let cluster = await library?.clusterReport() {
            if json == "-" { Terminal.complain(cluster) } else { Terminal.say("\n\(cluster)") }
        }
        await library?.close()
        switch ending {
        case .fine: return
        case .stopped: throw ExitCode(interrupts.exitCode)
        case .objectiveMissed, .nothingAnswered, .nodeLost: throw ExitCode(ending.rawValue)
        }
    }

    private func explain(_ ending: RunEnding) {
        switch ending {
        case .fine, .objectiveMissed: break
        case .stopped: Terminal.complain("martlet-bench: stopped early; the report tells of the time until then")
        case .nothingAnswered:
            Terminal.complain("martlet-bench: not one call was answered well; the errors above say why")
        case .nodeLost:
            Terminal.complain(
                "martlet-bench: the node was lost during the run and calls failed; its log says why. With errors=N in"
                    + " --slo that objective decides alone.")
        }
    }

    /// The outcome of a search, last: where the table has gone, or beside the JSON.
    private func tell(_ journal: SearchJournal) {
        switch journal.ending {
        case .fine where json != "-": Terminal.say("\n\(journal.conclusion)")
        case .fine: Terminal.complain(journal.conclusion)
        default: Terminal.complain("martlet-bench: \(journal.conclusion)")
        }
    }

    private func measure(
        _ driver: any LoadDriver, _ settings: LoadConfiguration, _ mode: LoadMode, _ duration: Double, _ label: String,
        _ stop: StopSignal
    ) async throws -> LoadReport {
        let progress = ProgressPrinter(total: settings.warmup + duration, isQuiet: quiet, label: label)
        defer { progress.end() }
        return try await driver.run(mode, warmup: settings.warmup, duration: duration, stop: stop) {
            progress.show($0)
        }
    }

    /// Runs at one rate after the other.
    private func search(
        _ driver: any LoadDriver, _ settings: LoadConfiguration, _ objective: ServiceObjective, _ stop: StopSignal
    ) async throws -> SearchJournal {
        var journal = SearchJournal(objective, duration: settings.duration, stepsMax: findSteps ?? Self.standardSteps)
        while let rate = journal.search.next {
            guard !stop.wasSet else {
                journal.stop()
                break
            }
            let report = try await measure(
                driver, settings, .open(rate: Double(rate)), journal.duration(at: rate), journal.progressLabel, stop)
            journal.record(report)
        }
        Terminal.complain(journal.table)
        return journal
    }

    /// - Parameter search: The search whose best run this is; without one that held there is nothing to show but JSON.
    private func publish(
        _ report: LoadReport, _ verdicts: [ServiceObjective.Verdict], of search: SearchJournal? = nil,
        json file: ReportFile?, plot: ReportFile?
    ) throws {
        let document = try report.json(verdicts, search: search) + Data("\n".utf8)
        if json == "-" {
            Terminal.put(document)
        } else if search == nil || search?.best != nil {
            Terminal.say(report.text)
            for verdict in verdicts {
                Terminal.say("  objective \(verdict.term): \(verdict.measured), \(verdict.word)")
            }
        }
        try file?.write(document)
        try plot?.write(Data(report.svg.utf8))
    }

    private func settings() throws -> LoadConfiguration {
        var settings = LoadConfiguration()
        (settings.host, settings.port) = try LoadCommand.address(node)
        do { settings.nodes = try nodes.map { try NodeSource(parsing: $0) } } catch {
            throw LoadError("--nodes: \((error as? MartletClientError)?.message ?? "\(error)")")
        }
        settings.mode = findMax || rate != nil ? .open(rate: rate ?? 1000) : .closed(inFlight: closed ?? 1)
        settings.endsWhenNodeIsGone = findMax
        settings.connections = connections ?? (client || nodes != nil ? 1 : 64)
        settings.threads = threads
        settings.duration = duration
        settings.warmup = warmup ?? (requests == nil ? 1 : 0)
        settings.requestsMax = requests
        settings.users = try usersFile.map { try .reading(file: $0) } ?? .pattern(userPattern, count: users)
        settings.items = try itemsFile.map { try .reading(file: $0) } ?? .pattern(itemPattern, count: items)
        guard let order = RequestOrder(rawValue: order) else {
            throw ValidationError("--order is zipf or sequential, not '\(order)'")
        }
        settings.order = order
        settings.exponent = zipf
        settings.k = k
        settings.scenario = scenario
        settings.tenant = tenant
        settings.mix = try MethodMix(parsing: mix)
        settings.usersPerManyCall = manyUsers
        settings.bypassCache = bypassCache
        settings.priority = try LoadConfiguration.priority(priority)
        do throws(LoadError) { settings.timeout = try ServiceObjective.nanoseconds(timeout) / 1e9 } catch {
            throw LoadError("--timeout: \(error)")
        }
        settings.openWindow = window
        settings.spin = spin
        settings.seed = seed
        try settings.validate()
        return settings
    }

    static func address(_ text: String) throws(LoadError) -> (String, Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else {
            throw LoadError("--node: '\(text)' should be HOST:PORT, as in 127.0.0.1:7400")
        }
        guard (1...65535).contains(port) else {
            throw LoadError("--node: the port of '\(text)' is \(port); ports are 1 to 65535")
        }
        let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        return (host.isEmpty ? "127.0.0.1" : host, port)
    }
}
