import Retrieval

/// The calls that a shard serves at the moment: one, or several slates whose scans take turns.
///
/// Each slate has a generator of its own. Whatever comes before its scan and after it is done for one slate at a time, in
/// the order of arrival; the scans go forward together.
///
/// ```
///  begun  -step->  parked at a scan  -all are parked: advance together->  scanned  -step->  answered
/// ```
struct CallsUnderWay {
    private var entries: [(call: ShardCall, run: any ShardRun)] = []

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    /// Whether a call's scans may take turns with others'. One that is to be explained is timed alone.
    static func canShare(_ call: ShardCall) -> Bool {
        if case .recommend(let request) = call.request { return !request.explain && request.cursor.isEmpty }
        return false
    }

    /// Whether `call` may join those that are there, up to `countMax`.
    func canTake(_ call: ShardCall, _ countMax: Int) -> Bool { entries.count < countMax && Self.canShare(call) }

    mutating func add(_ call: ShardCall, _ run: any ShardRun) { entries.append((call, run)) }

    /// Called when all have been added: scans park only where there are others to wait for.
    func settle() {
        for entry in entries { (entry.run as? SlateRun)?.parksSearches = entries.count > 1 }
    }

    /// Does the next piece of work; gives a call whose answer is ready.
    mutating func step(now: UInt64, clock: () -> UInt64) -> (call: ShardCall, run: any ShardRun)? {
        var parked: [CandidateGenerator] = []
        for (place, entry) in entries.enumerated() {
            if entry.call.deadline > now, let generator = (entry.run as? SlateRun)?.parked {
                parked.append(generator)
                continue
            }
            guard entry.run.step(now: now, deadline: entry.call.deadline, clock: clock) else { return nil }
            entries.remove(at: place)
            // The last one has nobody to take turns with.
            if entries.count == 1 { settle() }
            return entry
        }
        if !parked.isEmpty { CandidateGenerator.advance(parked) }
        return nil
    }
}
