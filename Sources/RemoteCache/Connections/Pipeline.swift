import DequeModule

/// The commands of one connection that wait for replies, in the order in which they were sent. Pure.
///
/// Replies come in the order of the commands and carry no number, so that place is all that ties them together. A command whose
/// time is over keeps its place: its caller is told, and its late reply is thrown away instead of being given to another.
struct Pipeline {
    typealias Completion = (RedisResult) -> Void

    struct Entry {
        /// nil: nobody waits any more.
        var completion: Completion?
        let deadline: UInt64
        let bytes: Int
    }

    let countMax: Int
    let bytesMax: Int
    private(set) var entries: Deque<Entry> = []
    private(set) var bytes = 0
    /// The earliest deadline of a command that somebody waits for may be later than this, never sooner.
    private(set) var earliest = UInt64.max
    /// Late replies that were thrown away.
    private(set) var lateReplies: UInt64 = 0

    init(countMax: Int, bytesMax: Int) {
        self.countMax = countMax
        self.bytesMax = bytesMax
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    /// Whether a command of `count` bytes may go. A command larger than all room may not, ever.
    func hasRoom(for count: Int) -> Bool { entries.count < countMax && count <= bytesMax - bytes }

    mutating func add(bytes count: Int, deadline: UInt64, completion: Completion?) {
        entries.append(Entry(completion: completion, deadline: deadline, bytes: count))
        bytes += count
        if completion != nil { earliest = min(earliest, deadline) }
    }

    /// The command that the next reply belongs to; nil: none was sent, so that the reply is a fault.
    mutating func takeFirst() -> Entry? {
        guard let entry = entries.popFirst() else { return nil }
        bytes -= entry.bytes
        if entry.completion == nil { lateReplies += 1 }
        if entries.isEmpty { earliest = .max }
        return entry
    }

    /// The callers whose time is over at `now`. Their commands keep their places.
    ///
    /// - Complexity: O(count) when a deadline may have passed, otherwise O(1).
    mutating func expire(at now: UInt64) -> [Completion] {
        guard earliest <= now else { return [] }
        var expired: [Completion] = []
        earliest = .max
        for index in entries.indices {
            guard let completion = entries[index].completion else { continue }
            if entries[index].deadline <= now {
                expired.append(completion)
                entries[index].completion = nil
            } else {
                earliest = min(earliest, entries[index].deadline)
            }
        }
        return expired
    }

    /// All callers, as the connection is lost.
    mutating func removeAll() -> [Completion] {
        let left = entries.compactMap(\.completion)
        entries.removeAll()
        bytes = 0
        earliest = .max
        return left
    }
}
