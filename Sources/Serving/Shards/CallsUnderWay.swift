import Retrieval

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
    private struct Entry {
        var call: ShardCall
        var run: any ShardRun
        var seat: Int
    }

    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    /// Calls that are at work on what comes before the ranker.
    var retrieving: Int { entries.count { !$0.run.isRanking } }

    /// Whether a call may be under way beside others. One that is to be explained is timed alone.
    static func canShare(_ call: ShardCall) -> Bool {
        if case .recommend(let request) = call.request { return !request.explain && request.cursor.isEmpty }
        return false
    }

    /// Whether `call` may join those that are there.
    ///
    /// - Parameters:
    ///   - width: Calls whose scans may take turns.
    ///   - callsMax: Calls under way.
    func canTake(_ call: ShardCall, width: Int, callsMax: Int) -> Bool {
        guard let first = entries.first else { return true }
        return entries.count < callsMax && retrieving < width && Self.canShare(call) && Self.canShare(first.call)
    }

    /// A number that no run under way has: of a generator and a scorer.
    var freeSeat: Int {
        var seat = 0
        while entries.contains(where: { $0.seat == seat }) { seat += 1 }
        return seat
    }

    mutating func add(_ call: ShardCall, _ run: any ShardRun, seat: Int) {
        entries.append(Entry(call: call, run: run, seat: seat))
    }

    /// Called when calls have come or gone: scans park only where there are others to wait for.
    func settle() {
        let parks = retrieving > 1
        for entry in entries where !entry.run.isRanking { (entry.run as? SlateRun)?.parksSearches = parks }
    }

    /// Ends what is ready and scores a batch that should not wait; nil where there is no such thing to do.
    ///
    /// - Returns: Whether an answer is ready, and which.
    mutating func finish(now: UInt64, clock: () -> UInt64) -> Progress? {
        for (place, entry) in entries.enumerated() where entry.run.isRanking {
            if entry.call.origin.isCancelled, let run = entry.run as? SlateRun {
                run.cancelRanking()
                entries.remove(at: place)
                return .answered(entry.call, run)
            }
            guard entry.run.waitsForScores == nil || entry.call.deadline <= now else { continue }
            return step(place, now, clock)
        }
        guard let batcher = firstToRank, let reason = batcher.reasonToScore(now) else { return nil }
        batcher.score(reason, now: now, clock: clock)
        return .worked
    }

    /// Does the next piece of work on the way to the ranker, or, where there is none, scores what waits.
    mutating func step(now: UInt64, clock: () -> UInt64) -> Progress {
        var parked: [CandidateGenerator] = []
        for (place, entry) in entries.enumerated() where !entry.run.isRanking {
            if entry.call.deadline > now, let generator = (entry.run as? SlateRun)?.parked {
                parked.append(generator)
                continue
            }
            return step(place, now, clock)
        }
        if !parked.isEmpty {
            CandidateGenerator.advance(parked)
        } else {
            firstToRank?.score(.idle, now: now, clock: clock)
        }
        return .worked
    }

    enum Progress {
        case worked
        case answered(ShardCall, any ShardRun)
    }

    /// Of the generation of whoever has waited longest: no batch holds rows of two.
    private var firstToRank: RankingBatcher? {
        for entry in entries { if let batcher = entry.run.waitsForScores { return batcher } }
        return nil
    }

    private mutating func step(_ place: Int, _ now: UInt64, _ clock: () -> UInt64) -> Progress {
        let entry = entries[place]
        let wasRanking = entry.run.isRanking
        let isDone = entry.run.step(now: now, deadline: entry.call.deadline, clock: clock)
        if isDone { entries.remove(at: place) }
        // The last one has nobody to take turns with.
        if !wasRanking, isDone || entry.run.isRanking { settle() }
        return isDone ? .answered(entry.call, entry.run) : .worked
    }
}
