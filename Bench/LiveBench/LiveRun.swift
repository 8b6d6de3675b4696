import Foundation
import LoadGenerator
import MartletClient
import NIOPosix
import Synchronization
import Vocabulary
import Wire

/// Question: how soon after a user's event does the user's slate show it, and what do events cost other users' slates?
///
/// ```
/// windows:    events | none | events | none ...          slates and probes at the same rates in all of them
/// a probe:    slate -> click on one of its items -> acknowledged -> slate without it
///                      '------- acknowledged ------'
///                      '------------------ visible ------------------'
/// ```
/// Events and slates are sent at constant rates, and their times counted from the moment at which they were due. A probe's
/// user is probed once; slates are those of other users, past the result cache.
package struct LiveRun: Sendable {
    package struct Configuration: Sendable {
        package var host = "127.0.0.1"
        package var port = 7400
        package var users = UserSource.pattern("u#######", count: 10_000)
        package var items = UserSource.pattern("i######", count: 10_000)
        /// Events each second, in the windows that have them.
        package var eventsRate = 5000.0
        /// Events of a call.
        package var eventsPerCall = 10
        package var slatesRate = 200.0
        package var probesRate = 50.0
        /// Seconds in all.
        package var duration = 10.0
        /// Seconds of a window.
        package var window = 1.0
        package var k = 20
        package var eventType = "click"
        package var seed: UInt64 = 1
        /// How long an answer may take, or a connection.
        package var timeout: Duration = .seconds(5)

        package init() {}
    }

    private let configuration: Configuration
    /// After so many slates that still show it, an event counts as never shown.
    static let triesMax = 50
    /// Calls of a kind in flight at most; more are not sent, and counted.
    static let inFlightMax = 2000

    package init(_ configuration: Configuration) { self.configuration = configuration }

    /// - Throws: `MartletClientError` when the node cannot be asked at all.
    package func run(stop: StopSignal) async throws -> LiveReport {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var settings = MartletClientConfiguration(host: configuration.host, port: configuration.port)
        settings.clientName = "martlet-bench"
        settings.timeout = configuration.timeout
        settings.connectTimeout = configuration.timeout
        settings.callsInFlightMax = 4096
        // Connections of their own, so that what is measured does not wait behind a background call in this tool.
        let (events, calls) = (
            try MartletClient(settings, eventLoopGroup: group), try MartletClient(settings, eventLoopGroup: group)
        )
        _ = try await calls.health()
        _ = try await events.health()
        let board = LiveBoard()
        var users = UserTurns(count: configuration.users.count, seed: configuration.seed)
        var windows = 0
        let began = Nanoseconds.now()
        // Pairs, so that both kinds have as many.
        while !stop.wasSet, Double(windows) * configuration.window < configuration.duration || windows % 2 == 1 {
            let start = began + UInt64(Double(windows) * configuration.window * 1e9)
            await window(
                LiveWindow(hasEvents: windows % 2 == 0, number: windows / 2), start: start, events, calls, board, &users
            )
            windows += 1
        }
        await events.shutdown(grace: .seconds(5))
        await calls.shutdown(grace: .seconds(5))
        try? await group.shutdownGracefully()
        return board.report(configuration, seconds: Double(Nanoseconds.now() - began) / 1e9, windows: windows)
    }

    /// Sends what is due in a window, and returns when all of it is answered.
    private func window(
        _ window: LiveWindow, start: UInt64, _ events: MartletClient, _ calls: MartletClient, _ board: LiveBoard,
        _ users: inout UserTurns
    ) async {
        let length = configuration.window * 1e9
        var random = SeededGenerator(seed: configuration.seed &+ start)
        await withTaskGroup(of: Void.self) { tasks in
            let eventCalls = window.hasEvents ? configuration.eventsRate / Double(configuration.eventsPerCall) : 0
            var streams = [
                Stream(kind: .events, rate: eventCalls), Stream(kind: .slate, rate: configuration.slatesRate),
                Stream(kind: .probe, rate: configuration.probesRate),
            ]
            var now = Nanoseconds.now()
            // A window that the one before has run into is not made up for: its calls are due from now on.
            let start = max(start, now)
            while now < start + UInt64(length) {
                for place in streams.indices {
                    while let due = streams[place].take(start: start, now: now, length: length) {
                        let kind = streams[place].kind
                        guard board.begin(kind) else { continue }
                        let user = users.next(isProbe: kind == .probe)
                        let seed = random.next()
                        tasks.addTask {
                            switch kind {
                            case .events: await send(events, due, seed, board)
                            case .slate: await ask(calls, user, due, window, board)
                            case .probe: await probe(calls, user, window, board, seed)
                            }
                            board.end(kind)
                        }
                    }
                }
                try? await Task.sleep(for: .microseconds(500))
                now = Nanoseconds.now()
            }
        }
    }

    private func send(_ client: MartletClient, _ due: UInt64, _ seed: UInt64, _ board: LiveBoard) async {
        var random = SeededGenerator(seed: seed)
        let events = (0..<configuration.eventsPerCall).map { place in
            UserEvent(
                user: configuration.users.name(Int.random(in: 0..<configuration.users.count, using: &random)),
                item: configuration.items.name(Int.random(in: 0..<configuration.items.count, using: &random)),
                type: "view", id: "b\(seed)-\(place)")
        }
        let reply = try? await client.recordEvents(RecordEventsRequest(events: events))
        board.noteEvents(
            since: due, taken: reply.map { $0.stored + $0.duplicates } ?? 0,
            refused: reply.map { $0.faults.count } ?? events.count)
    }

    private func ask(
        _ client: MartletClient, _ user: Int, _ due: UInt64, _ window: LiveWindow, _ board: LiveBoard
    ) async {
        var options = CallOptions()
        options.bypassesCache = true
        let request = RecommendRequest(user: configuration.users.name(user), k: configuration.k)
        let isAnswered = (try? await client.recommend(request, options: options)) != nil
        board.noteSlate(since: isAnswered ? due : nil, window)
    }

    /// One event, from the slate that shows its item to the one that does not.
    private func probe(
        _ client: MartletClient, _ user: Int, _ window: LiveWindow, _ board: LiveBoard, _ seed: UInt64
    ) async {
        let user = configuration.users.name(user)
        guard let before = try? await client.recommend(user: user, k: configuration.k), !before.items.isEmpty else {
            return board.noteProbe(.failed, window)
        }
        let item = before.items[Int(seed % UInt64(before.items.count))]
        let event = UserEvent(user: user, item: item, type: configuration.eventType, id: "p\(seed)")
        let began = Nanoseconds.now()
        guard let reply = try? await client.recordEvents(RecordEventsRequest(events: [event])), reply.faults.isEmpty
        else { return board.noteProbe(.failed, window) }
        let acknowledged = Nanoseconds.now() - began
        var still = 0
        while still < Self.triesMax {
            guard let after = try? await client.recommend(user: user, k: configuration.k) else {
                return board.noteProbe(.failed, window)
            }
            if !after.items.contains(item), after.items != before.items {
                return board.noteProbe(
                    .seen(acknowledged: acknowledged, visible: Nanoseconds.now() - began, still: still), window)
            }
            still += 1
        }
        board.noteProbe(.never(acknowledged: acknowledged, still: still), window)
    }
}

/// A window of a run: with events or without, the first, second... of its kind.
struct LiveWindow: Sendable {
    var hasEvents: Bool
    var number: Int
}

enum LiveKind: Int, Sendable {
    case events, slate, probe
}

/// When the calls of a kind are due.
private struct Stream {
    let kind: LiveKind
    let rate: Double
    private var sent = 0

    init(kind: LiveKind, rate: Double) {
        self.kind = kind
        self.rate = rate
    }

    /// When the next call was due; nil: none is due yet.
    mutating func take(start: UInt64, now: UInt64, length: Double) -> UInt64? {
        guard rate > 0 else { return nil }
        let offset = Double(sent) * 1e9 / rate
        guard offset < length, start + UInt64(offset) <= now else { return nil }
        sent += 1
        return start + UInt64(offset)
    }
}

/// Whose turn it is: half of the users are probed, one after the other, the others' slates are asked for at random.
private struct UserTurns {
    private let count: Int
    private var probed = 0
    private var random: SeededGenerator

    init(count: Int, seed: UInt64) {
        self.count = count
        random = SeededGenerator(seed: seed)
    }

    mutating func next(isProbe: Bool) -> Int {
        let half = max(1, count / 2)
        if isProbe {
            probed += 1
            return (probed - 1) % half
        }
        return min(count - 1, half + Int.random(in: 0..<max(1, count - half), using: &random))
    }
}
