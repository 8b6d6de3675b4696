import EventLog
import Foundation
import LoadGenerator
import Vocabulary

/// Question: how soon does a node serve again that has millions of events in its log, with a snapshot and without?
///
/// ```
/// log of `events` -> start, all replayed -> orderly stop, which takes a snapshot -> `tail` more -> start, SIGKILL, start...
/// ```
package struct RestartRun {
    package struct Configuration: Sendable {
        package var node: NodeProcess.Options
        /// The event log's folder: missing or empty.
        package var folder: String
        package var events = 10_000_000
        /// Events behind the snapshot.
        package var tail = 100_000
        package var users = UserSource.pattern("u#######", count: 1_000_000)
        package var items = UserSource.pattern("i######", count: 100_000)
        /// Restarts from the snapshot.
        package var rounds = 3
        package var seed: UInt64 = 1

        package init(node: NodeProcess.Options, folder: String) {
            self.node = node
            self.folder = folder
        }
    }

    /// A start.
    package struct Start: Sendable {
        package var name: String
        package var nanosecondsToReady: UInt64
        /// Of it: bringing back what is known of users.
        package var restoreMilliseconds: Int
        package var replayed: Int
        package var snapshotBytes: Int
        package var residentBytes: Int

        package static let header =
            "                                 ready     restored   events replayed  snapshot     resident"
        package var line: String {
            String(
                format: "%@  %7.0f ms  %7d ms  %@  %7.1f MB  %7.0f MB",
                name.padding(toLength: 28, withPad: " ", startingAt: 0),
                Double(nanosecondsToReady) / 1e6, restoreMilliseconds,
                String(repeating: " ", count: max(0, 15 - grouped(replayed).count)) + grouped(replayed),
                Double(snapshotBytes) / 1e6, Double(residentBytes) / 1e6)
        }
    }

    private let configuration: Configuration
    /// Events of a record.
    private static let recordEvents = 50

    package init(_ configuration: Configuration) { self.configuration = configuration }

    /// Runs all, and gives each start to `body`.
    ///
    /// - Throws: `LoadError` when a node does not start, `LogError` when the log cannot be written.
    package func run(stop: StopSignal, _ body: (Start) -> Void, told: (String) -> Void) async throws {
        var random = SeededGenerator(seed: configuration.seed)
        try write(configuration.events, &random, told)
        var options = configuration.node
        options.patience = .seconds(600)
        options.settings += ["events.directory=\(configuration.folder)", "events.snapshot_interval=0s"]
        for round in 0...configuration.rounds where !stop.wasSet {
            let node = try await NodeProcess(options)
            body(Self.start(node, round == 0 ? "without a snapshot" : "from the snapshot, \(round)"))
            if round > 0 {
                node.killNow()
            } else {
                node.stop()
                try write(configuration.tail, &random, told)
            }
        }
    }

    private static func start(_ node: NodeProcess, _ name: String) -> Start {
        let restored = node.restored
        return Start(
            name: name, nanosecondsToReady: node.nanosecondsToReady,
            restoreMilliseconds: Int(restored["events.milliseconds"] ?? "") ?? 0,
            replayed: Int(restored["events.replayed"] ?? "") ?? 0,
            snapshotBytes: Int(restored["events.snapshot_bytes"] ?? "") ?? 0, residentBytes: node.residentBytes)
    }

    /// Puts events at the end of the log, as a node would.
    private func write(_ count: Int, _ random: inout SeededGenerator, _ told: (String) -> Void) throws {
        let began = Nanoseconds.now()
        let log = try LogWriter(
            FileStorage(path: configuration.folder, creates: true), LogConfiguration(sync: .never),
            clock: { Nanoseconds.now() }, wallClock: { UInt64(Date().timeIntervalSince1970 * 1000) }, outcome: { _ in })
        defer { log.close() }
        let now = UInt64(Date().timeIntervalSince1970 * 1000)
        var written = 0
        while written < count {
            let events = (0..<min(Self.recordEvents, count - written)).map { place in
                let random = random.next()
                return UserEvent(
                    user: configuration.users.name(Int(random % UInt64(configuration.users.count))),
                    item: configuration.items.name(Int((random >> 24) % UInt64(configuration.items.count))),
                    type: "click",
                    // The last month, in order.
                    timeMilliseconds: now - 2_600_000_000 + UInt64(2_500_000_000 * Double(written) / Double(count)),
                    id: "\(random)-\(place)")
            }
            do throws(LogError) {
                _ = try log.append(kind: RecordKind.events.rawValue, EventRecord.encode(events))
                written += events.count
            } catch {
                guard error.code == .full else { throw error }
                // The disk is behind.
                usleep(2000)
            }
        }
        told(
            "\(grouped(count)) events written in "
                + TimeText.of(Double(Nanoseconds.now() - began)))
    }
}
