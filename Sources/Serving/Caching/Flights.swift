/// Calls for the same bytes at the same time: one of them is computed, the others wait for what is kept of it.
///
/// ```
///  join   nobody is at it: leads          somebody is: waits
///  land   the leader is answered: those who wait ask the cache; whom it does not answer, they are computed after all
/// ```
/// That way a waiter gets nothing that a later call would not have got from the cache: no answer from before its user's
/// last event, none that was cut short for another's deadline, none that is left to chance. Belongs to a shard.
struct Flights {
    private struct Flight {
        var key: [UInt8]
        var waiters: [ShardCall] = []
    }

    enum Entry {
        case leads, waits, full
    }

    private var flights: [UInt64: Flight] = [:]
    private let waitersMax: Int
    /// All that wait.
    private(set) var waiterCount = 0
    /// The first last moment of those who wait, or earlier.
    private(set) var earliestDeadline = UInt64.max

    init(waitersMax: Int) { self.waitersMax = waitersMax }

    /// - Parameter hash: Of `key`; two keys of one hash do not fly together: the second is computed by itself.
    mutating func join(_ call: ShardCall, key: [UInt8], hash: UInt64) -> Entry {
        guard let flight = flights[hash] else {
            flights[hash] = Flight(key: key)
            return .leads
        }
        guard flight.key == key else { return .leads }
        guard waiterCount < waitersMax else { return .full }
        flights[hash]?.waiters.append(call)
        waiterCount += 1
        earliestDeadline = min(earliestDeadline, call.lastMoment)
        return .waits
    }

    /// Whether somebody computes the answer to `key`.
    func isUnderWay(_ key: [UInt8], hash: UInt64) -> Bool { flights[hash]?.key == key }

    /// Ends the flight of a leader, and gives those who waited.
    mutating func land(_ key: [UInt8], hash: UInt64) -> [ShardCall] {
        guard flights[hash]?.key == key, let flight = flights.removeValue(forKey: hash) else { return [] }
        waiterCount -= flight.waiters.count
        if waiterCount == 0 { earliestDeadline = .max }
        return flight.waiters
    }

    /// Takes out those whose time is nearly up, or who were cancelled.
    mutating func removeLate(now: UInt64) -> [ShardCall] {
        var late: [ShardCall] = []
        earliestDeadline = .max
        for (hash, flight) in flights where !flight.waiters.isEmpty {
            let isLate = { (call: ShardCall) in call.lastMoment <= now || call.origin.isCancelled }
            if flight.waiters.contains(where: isLate) {
                late += flight.waiters.filter(isLate)
                flights[hash]?.waiters.removeAll(where: isLate)
            }
            for call in flights[hash]?.waiters ?? [] { earliestDeadline = min(earliestDeadline, call.lastMoment) }
        }
        waiterCount -= late.count
        return late
    }
}
