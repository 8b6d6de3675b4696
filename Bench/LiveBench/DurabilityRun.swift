import Foundation
import LoadGenerator
import MartletClient
import NIOPosix

/// Question: is every event that a node acknowledged in its log exactly once, and in its users' state, whenever the node
/// dies?
///
/// ```
/// each round:  traffic -> SIGKILL at a random moment [-> power cut] -> restart -> log and slates looked at
///              -> what was not acknowledged is sent again, and some of what was -> log looked at again
/// ```
package struct DurabilityRun {
    package struct Configuration: Sendable {
        package var node: NodeProcess.Options
        /// The event log's folder: empty or missing at the beginning, kept over the rounds.
        package var events: String
        package var rounds = 10
        /// `always`, `interval` or `never`.
        package var sync = "always"
        /// Takes away what was not synced, as if the machine had lost its power.
        package var dropsUnsynced = false
        package var users = UserSource.pattern("u#######", count: 2000)
        package var items = UserSource.pattern("i######", count: 2000)
        package var connections = 4
        /// Calls in flight on each connection.
        package var inFlight = 8
        /// Between the first call and the kill.
        package var seconds: ClosedRange<Double> = 0.2...2.5
        package var seed: UInt64 = 1
        /// How long an answer, or a connection, may take.
        package var timeout: Duration = .seconds(10)

        package init(node: NodeProcess.Options, events: String) {
            self.node = node
            self.events = events
        }

        /// Without a sync, a machine may lose what the node had acknowledged.
        package var mayLose: Bool { sync == "never" && dropsUnsynced }
    }

    /// What a round showed.
    package struct Round: Sendable {
        package var number = 0
        /// Events acknowledged before the kill, of this round.
        package var acknowledged = 0
        package var finding = EventLedger.Finding()
        /// Acknowledged by the node that runs, and not in its log: whatever the policy, that may not be.
        package var missing = 0
        package var cutBytes = 0
        package var nanosecondsToReady: UInt64 = 0
        /// Of the time to ready: state brought back.
        package var restoreMilliseconds = 0
        package var replayed = 0
        package var snapshots = 0
        /// Sent again because nobody had said what became of them.
        package var resent = 0
        /// Acknowledged items in slates.
        package var shown = 0
        /// Events that could not be stored although the node ran.
        package var notStored = 0
        /// What the log reader took for damage.
        package var damages = 0

        package func isBad(mayLose: Bool) -> Bool {
            (!mayLose && finding.lost > 0) || missing > 0 || finding.doubled > 0 || finding.foreign > 0 || shown > 0
                || damages > 0
                || notStored > 0
        }
    }

    private let configuration: Configuration
    private let ledger = EventLedger()
    private let itemNumbers: [String: Int]
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private static let watchedUsers = 20
    /// Acknowledged events that are sent once more after each restart: of the newest, and of all of the round.
    private static let repeatedNewest = 2000
    private static let repeatedOthers = 6000

    package init(_ configuration: Configuration) {
        self.configuration = configuration
        var numbers: [String: Int] = [:]
        for number in 0..<configuration.items.count { numbers[configuration.items.name(number)] = number }
        itemNumbers = numbers
    }

    /// Runs all rounds, and gives each to `body`.
    ///
    /// - Throws: `LoadError` when a node does not start, `LogError` when its log cannot be read.
    package func run(stop: StopSignal, _ body: (Round) -> Void) async throws {
        var random = SeededGenerator(seed: configuration.seed)
        var options = configuration.node
        options.settings += [
            "events.directory=\(configuration.events)", "events.sync=\(configuration.sync)",
            "events.snapshot_interval=1s", "events.segment_bytes=1MiB", "events.repeats_window=16777216",
        ]
        var node = try await NodeProcess(options)
        for number in 1...configuration.rounds where !stop.wasSet {
            var round = Round(number: number)
            let acknowledged = ledger.acknowledged
            let first = ledger.count
            let watched = watched(number)
            try await load(node, watched: watched, random: &random)
            round.acknowledged = ledger.acknowledged - acknowledged
            round.snapshots = node.count("snapshot of users taken")
            if configuration.dropsUnsynced {
                round.cutBytes = try PowerCut.apply(to: configuration.events, random: &random)
            }
            node = try await NodeProcess(options)
            round.nanosecondsToReady = node.nanosecondsToReady
            round.restoreMilliseconds = Int(node.restored["events.milliseconds"] ?? "") ?? 0
            round.replayed = Int(node.restored["events.replayed"] ?? "") ?? 0
            round.finding.lost = try look(&round)
            let clients = try clients(node, count: 1)
            let traffic = traffic(clients, watched: watched)
            round.shown = try await traffic.shownAgain(clients[0])
            try await sendAgain(traffic, from: first, &round, &random)
            round.missing = try look(&round)
            for client in clients { await client.shutdown() }
            body(round)
        }
        node.stop()
        try? await group.shutdownGracefully()
    }

    /// Others in each round, so that nobody runs out of items.
    private func watched(_ round: Int) -> Range<Int> {
        let count = min(Self.watchedUsers, configuration.users.count)
        let start = (round * count) % max(1, configuration.users.count - count)
        return start..<start + count
    }

    private func clients(_ node: NodeProcess, count: Int) throws -> [MartletClient] {
        var settings = MartletClientConfiguration(port: node.port)
        settings.clientName = "martlet-bench"
        settings.timeout = configuration.timeout
        settings.connectTimeout = configuration.timeout
        settings.waitsForNode = true
        return try (0..<count).map { _ in try MartletClient(settings, eventLoopGroup: group) }
    }

    private func traffic(_ clients: [MartletClient], watched: Range<Int>) -> EventTraffic {
        EventTraffic(
            ledger: ledger, users: configuration.users, items: configuration.items, watched: watched,
            itemNumbers: itemNumbers, clients: clients)
    }

    /// Events until the node is killed in their midst.
    private func load(_ node: NodeProcess, watched: Range<Int>, random: inout SeededGenerator) async throws {
        let clients = try clients(node, count: configuration.connections)
        let traffic = traffic(clients, watched: watched)
        let over = StopSignal()
        let seconds = Double.random(in: configuration.seconds, using: &random)
        let seeds = clients.map { _ in (0..<configuration.inFlight).map { _ in random.next() } }
        let sending = Task {
            await withTaskGroup(of: Void.self) { tasks in
                for (client, seeds) in zip(clients, seeds) {
                    for seed in seeds { tasks.addTask { await traffic.send(client, seed: seed, until: over) } }
                }
            }
        }
        try? await Task.sleep(for: .seconds(seconds))
        node.killNow()
        over.set()
        // Acknowledgements that are on the wire count.
        try? await Task.sleep(for: .milliseconds(20))
        // Calls in flight end with their connections.
        for client in clients { await client.shutdown() }
        await sending.value
    }

    /// - Returns: Acknowledged events that are not in the log.
    private func look(_ round: inout Round) throws -> Int {
        let (found, report) = try LogCheck.read(configuration.events, ledger)
        round.finding.doubled += found.doubled
        round.finding.foreign = max(round.finding.foreign, found.foreign)
        round.finding.unacknowledged = max(round.finding.unacknowledged, found.unacknowledged)
        round.damages = max(round.damages, report.damages.count)
        return found.lost
    }

    /// Sends what has no acknowledgement, and some of what has: that must not count again.
    private func sendAgain(
        _ traffic: EventTraffic, from first: Int, _ round: inout Round, _ random: inout SeededGenerator
    ) async throws {
        let entries = ledger.all
        let open = entries.indices.filter { !entries[$0].isAcknowledged }
        let acknowledged = (first..<entries.count).filter { entries[$0].isAcknowledged }
        var known = Array(acknowledged.suffix(Self.repeatedNewest))
        for _ in 0..<Self.repeatedOthers {
            if let number = acknowledged.randomElement(using: &random) { known.append(number) }
        }
        round.resent = open.count
        let numbers = open + known
        for start in stride(from: 0, to: numbers.count, by: EventTraffic.batchMax) {
            let batch = Array(numbers[start..<min(numbers.count, start + EventTraffic.batchMax)])
            guard let reply = await traffic.record(batch, traffic.clients[0]) else {
                round.notStored += batch.count
                continue
            }
            round.notStored += reply.faults.count
        }
    }
}
