import Retrieval
import Vocabulary

/// The calls that a shard serves at the moment: one, or several slates whose scans take turns and whose candidates are
/// ranked together.
///
/// Each slate has a generator of its own. Whatever comes before its scan, and between the scan and the ranker, is done for
/// one slate at a time, in the order of arrival; the scans go forward together, and so do the candidates.
///
/// ```
///  begun -step-> parked at a scan -all are parked: advance together-> scanned -step-> answered
///                                                                        |               ^
///                                                                        +-> waits for scores -a batch of several-> scored
/// ```
/// Who waits for scores does not keep others from beginning, up to `callsMax`.
struct CallsUnderWay {
    private final class Entry {
        let call: ShardCall
        let run: any ShardRun
        /// The run, where it is one whose scans can take turns.
        let slate: SlateRun?
        let seat: Int

        init(call: ShardCall, run: any ShardRun, seat: Int) {
            self.call = call
            self.run = run
            self.seat = seat
            slate = run as? SlateRun
        }
    }

    /// On the way to the ranker, in the order of arrival.
    private var retrievals: [Entry] = []
    /// Those whose candidates wait for scores, in the order in which they came to the ranker.
    private var waiting: [Entry] = []
    /// Those that a step brings to their end.
    private var ready: [Entry] = []
    /// The earliest deadline of those that wait, or earlier.
    private var earliestDeadline = UInt64.max
    /// Numbers of the seats that are taken, as bits.
    private var seats: UInt64 = 0

    /// Calls that can be under way at the same time.
    static let countMax = UInt64.bitWidth

    var isEmpty: Bool { count == 0 }
    var count: Int { retrievals.count + waiting.count + ready.count }
    var isRetrieving: Bool { !retrievals.isEmpty }

    /// Whether a call may be under way beside others. One that is to be explained is timed alone.
    static func canShare(_ call: ShardCall) -> Bool {
        switch call.request {
        case .recommend(let request): !request.explain && request.cursor.isEmpty
        case .rank(let request): !request.explain
        default: false
        }
    }

    /// Whether `call` may join those that are there.
    ///
    /// - Parameters:
    ///   - width: Calls whose scans may take turns.
    ///   - callsMax: Calls under way.
    func canTake(_ call: ShardCall, width: Int, callsMax: Int) -> Bool {
        guard let other = retrievals.first ?? waiting.first ?? ready.first else { return true }
        return count < callsMax && retrievals.count < width && Self.canShare(call) && Self.canShare(other.call)
    }

    // MARK: Coming

    /// A number that no run under way has: of a generator and of a place before the ranker.
    var freeSeat: Int { (~seats).trailingZeroBitCount }

    mutating func add(_ call: ShardCall, _ run: any ShardRun, seat: Int) {
        retrievals.append(Entry(call: call, run: run, seat: seat))
        seats |= 1 << UInt64(seat)
    }

    /// Called when calls have come or gone: scans park only where there are others to wait for.
    ///
    /// - Returns: Calls whose scans take turns.
    @discardableResult
    func settle() -> Int {
        for entry in retrievals { entry.slate?.parksSearches = retrievals.count > 1 }
        return retrievals.count
    }

    // MARK: Going on

    enum Progress {
        case worked
        case answered(ShardCall, any ShardRun)
        /// Nobody waits for it any more: it is given up where it stood.
        case cancelled(ShardCall, StageTimes)
    }

    /// Ends what is ready and scores a batch that should not wait; nil where there is no such thing to do.
    mutating func finish(now: UInt64, clock: () -> UInt64) -> Progress? {
        if waiting.isEmpty, ready.isEmpty { return nil }
        if now >= earliestDeadline { release { $0.call.deadline <= now } }
        if !ready.isEmpty { return step(ready.removeFirst(), now, clock) }
        guard let batcher = waiting.first?.run.waitsForScores, let reason = batcher.reasonToScore(now) else {
            return nil
        }
        return score(batcher, reason, now, clock)
    }

    /// Does the next piece of work on the way to the ranker, or, where there is none, scores what waits.
    mutating func step(now: UInt64, clock: () -> UInt64) -> Progress {
        var parked: [CandidateGenerator] = []
        for (place, entry) in retrievals.enumerated() {
            if entry.call.origin.isCancelled {
                retrievals.remove(at: place)
                seats &= ~(1 << UInt64(entry.seat))
                if retrievals.count == 1 { settle() }
                return .cancelled(entry.call, entry.run.times)
            }
            if entry.call.deadline > now, let generator = entry.slate?.parked {
                parked.append(generator)
                continue
            }
            retrievals.remove(at: place)
            return step(entry, now, clock, at: place)
        }
        if !parked.isEmpty {
            CandidateGenerator.advance(parked)
        } else if let batcher = waiting.first?.run.waitsForScores {
            return score(batcher, .idle, now, clock)
        }
        return .worked
    }

    /// - Parameter place: Among those on the way to the ranker, where it stood.
    private mutating func step(_ entry: Entry, _ now: UInt64, _ clock: () -> UInt64, at place: Int = 0) -> Progress {
        let isDone = entry.run.step(now: now, deadline: entry.call.deadline, clock: clock)
        if isDone {
            seats &= ~(1 << UInt64(entry.seat))
        } else if entry.run.waitsForScores != nil {
            waiting.append(entry)
            earliestDeadline = min(earliestDeadline, entry.call.deadline)
        } else {
            retrievals.insert(entry, at: place)
            return .worked
        }
        // The last one has nobody to take turns with.
        if retrievals.count == 1 { settle() }
        return isDone ? .answered(entry.call, entry.run) : .worked
    }

    /// Scores the next batch of one generation: no batch holds rows of two.
    private mutating func score(
        _ batcher: RankingBatcher, _ reason: BatchCloseReason, _ now: UInt64, _ clock: () -> UInt64
    ) -> Progress {
        for entry in waiting where entry.call.origin.isCancelled { entry.slate?.cancelRanking() }
        batcher.score(reason, now: now, clock: clock)
        release { $0.run.waitsForScores == nil }
        return .worked
    }

    /// Lets those go on that need not wait any more.
    private mutating func release(_ isReady: (Entry) -> Bool) {
        ready += waiting.filter(isReady)
        waiting.removeAll(where: isReady)
        earliestDeadline = waiting.reduce(.max) { min($0, $1.call.deadline) }
    }
}
