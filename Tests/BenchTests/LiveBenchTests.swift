import EventLog
import Foundation
import LoadGenerator
import TestSupport
import Testing
import Vocabulary

@testable import LiveBench

/// What a bench of live events needs of the world.
enum LiveWorld {
    /// The node's program, which is built beside these tests.
    static func martlet() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("martlet").path
    }

    static func makeBundle(_ path: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try martlet())
        process.arguments = [
            "sample", "--bundle", "--users", "200", "--items", "400", "--rank", "8", "--threads", "1", "--output", path,
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    static func node(_ bundle: String) throws -> NodeProcess.Options {
        var options = NodeProcess.Options(martlet: try martlet(), bundle: bundle)
        options.patience = .seconds(300)
        return options
    }
}

@Suite("Benches of live events", .timeLimit(.minutes(30)), .ownThreads)
struct LiveBenchTests {
    @Test("Killed nodes lose nothing and count nothing twice", arguments: [("always", false), ("interval", true)])
    func durability(sync: String, dropsUnsynced: Bool) async throws {
        let folder = try TemporaryFolder()
        try LiveWorld.makeBundle(folder.file("bundle"))
        var configuration = DurabilityRun.Configuration(
            node: try LiveWorld.node(folder.file("bundle")), events: folder.file("events"))
        configuration.rounds = 2
        configuration.sync = sync
        configuration.dropsUnsynced = dropsUnsynced
        configuration.users = .pattern("u#######", count: 200)
        configuration.items = .pattern("i######", count: 400)
        configuration.connections = 2
        configuration.inFlight = 2
        configuration.seconds = 0.2...0.5
        configuration.timeout = .seconds(300)
        var report = DurabilityReport(mayLose: false)
        try await DurabilityRun(configuration).run(stop: StopSignal()) { report.add($0) }
        #expect(report.roundCount == 2)
        #expect(!report.isBad, "seed \(configuration.seed): \(report.total)")
    }

    @Test("A probe finds its event in the next slate")
    func live() async throws {
        let folder = try TemporaryFolder()
        try LiveWorld.makeBundle(folder.file("bundle"))
        var options = try LiveWorld.node(folder.file("bundle"))
        options.settings = ["events.directory=\(folder.file("events"))", "events.sync=interval"]
        let node = try await NodeProcess(options)
        var configuration = LiveRun.Configuration()
        configuration.port = node.port
        configuration.users = .pattern("u#######", count: 200)
        configuration.items = .pattern("i######", count: 400)
        configuration.eventsRate = 200
        configuration.slatesRate = 40
        configuration.probesRate = 20
        configuration.duration = 0.8
        configuration.window = 0.4
        configuration.timeout = .seconds(300)
        let report = try await LiveRun(configuration).run(stop: StopSignal())
        node.stop()
        #expect(report.still == 0 && report.never == 0 && report.probesFailed == 0, "\(report.text)")
        #expect(report.probes > 0 && report.eventsTaken > 0 && report.eventsRefused == 0)
        #expect(!report.isBad)
        #expect(report.text.contains("event -> visible"))
    }

    @Test("Restarts with and without a snapshot are told apart")
    func restart() async throws {
        let folder = try TemporaryFolder()
        try LiveWorld.makeBundle(folder.file("bundle"))
        var configuration = RestartRun.Configuration(
            node: try LiveWorld.node(folder.file("bundle")), folder: folder.file("events"))
        configuration.events = 3000
        configuration.tail = 120
        configuration.users = .pattern("u#######", count: 200)
        configuration.items = .pattern("i######", count: 400)
        configuration.rounds = 2
        var starts: [RestartRun.Start] = []
        try await RestartRun(configuration).run(stop: StopSignal(), { starts.append($0) }, told: { _ in })
        #expect(starts.map(\.replayed) == [3000, 120, 120])
        #expect(starts.map { $0.snapshotBytes > 0 } == [false, true, true])
    }
}

@Suite(.ownThreads) struct EventLedgerTests {
    @Test("Acknowledged and not in the log is lost; more than once in it is doubled, and told once")
    func compare() {
        let ledger = EventLedger()
        for _ in 0..<5 { _ = ledger.add(user: 1, item: 1, type: 0) }
        ledger.acknowledge([0, 1, 2])
        #expect(
            ledger.compare(counts: [1, 2, 0, 1, 0], foreign: 0)
                == EventLedger.Finding(lost: 1, doubled: 1, unacknowledged: 1, foreign: 0))
        #expect(ledger.acknowledged == 2)
        #expect(
            ledger.compare(counts: [1, 2, 1, 1, 0], foreign: 3)
                == EventLedger.Finding(lost: 0, doubled: 0, unacknowledged: 2, foreign: 3))
    }

    @Test func `IDs and numbers tell each other`() {
        #expect(EventLedger.number(ofID: EventLedger.id(123)) == 123)
        #expect(EventLedger.number(ofID: "p1") == nil)
    }
}

@Suite(.ownThreads) struct PowerCutTests {
    /// Writes to a log the records that `bytes` has, and lets `body` have the folder before it is closed.
    private func withLog(
        _ folder: TemporaryFolder, sync: SyncPolicy, records: Int, _ body: () throws -> Void
    ) throws {
        let storage = try FileStorage(path: folder.file("events"), creates: true)
        let stored = DispatchSemaphore(value: 0)
        let log = try LogWriter(
            storage, LogConfiguration(sync: sync, segmentBytesMax: 2000), clock: { Nanoseconds.now() },
            wallClock: { 1 }, outcome: { outcome in if outcome.through == UInt64(records) { stored.signal() } })
        for number in 0..<records {
            let event = UserEvent(user: "u", item: "i", type: "click", id: "e\(number)")
            _ = try log.append(kind: RecordKind.events.rawValue, EventRecord.encode([event]))
        }
        stored.wait()
        try body()
        log.close()
    }

    private func records(_ path: String) throws -> (Int, LogReport) {
        var count = 0
        let report = try LogReader(FileStorage(path: path, creates: false)).read { _ in count += 1 }
        return (count, report)
    }

    @Test("What was synced stays", arguments: [1, 40, 400])
    func synced(count: Int) throws {
        let folder = try TemporaryFolder()
        var random = LoadGenerator.SeededGenerator(seed: 1)
        try withLog(folder, sync: .always, records: count) {
            try FileManager.default.copyItem(atPath: folder.file("events"), toPath: folder.file("cut"))
        }
        _ = try PowerCut.apply(to: folder.file("cut"), random: &random)
        let (left, report) = try records(folder.file("cut"))
        #expect(left == count && report.damages.isEmpty)
    }

    @Test("What was not synced goes")
    func unsynced() throws {
        let folder = try TemporaryFolder()
        var random = LoadGenerator.SeededGenerator(seed: 1)
        try withLog(folder, sync: .never, records: 10) {
            try FileManager.default.copyItem(atPath: folder.file("events"), toPath: folder.file("cut"))
        }
        let before = try records(folder.file("cut")).0
        let bytes = try PowerCut.apply(to: folder.file("cut"), random: &random)
        let (left, report) = try records(folder.file("cut"))
        #expect(before == 10 && bytes > 0)
        #expect(left == 0 && report.damages.isEmpty)
    }
}
