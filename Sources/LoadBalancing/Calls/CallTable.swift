import Resilience
import Vocabulary

/// The calls under way, in a fixed number of entries: nothing is allocated when a call comes or goes.
struct CallTable: Sendable {
    /// One sending of a call.
    struct Attempt: Sendable {
        var ordinal = 0
        var node = 0
        var sentAt: UInt64 = 0
        var ticket: CircuitBreaker.Ticket?

        /// No attempt has ordinal 0.
        var isOut: Bool { ordinal != 0 }
    }

    struct Entry: Sendable {
        var generation: UInt64 = 0
        var isLive = false
        /// A copy of a call, by which an ejected node is tried; nobody waits for it.
        var isProbe = false
        var slot: Slot?
        var isRepeatable = false
        var keepsToOwner = false
        var deadline = UInt64.max
        var ordinals = 0
        var retriesLeft = 0
        /// Ordinal of the hedge; 0: there was none.
        var hedgeOrdinal = 0
        /// At most two are out at once; when one is, it may be either.
        var first = Attempt()
        var second = Attempt()
        var hedgeAt = UInt64.max
        var retryAt = UInt64.max
        /// Where the last failed attempt went; -1: nowhere.
        var avoid = -1

        var due: UInt64 { min(deadline, hedgeAt, retryAt) }
        var attemptsOut: Int { (first.isOut ? 1 : 0) + (second.isOut ? 1 : 0) }
    }

    private(set) var entries: [Entry]
    private var free: [Int32]

    init(capacity: Int) {
        precondition((1...AttemptID.entriesMax).contains(capacity), "\(capacity) calls")
        entries = [Entry](repeating: Entry(), count: capacity)
        free = (0..<Int32(capacity)).reversed()
    }

    var live: Int { entries.count - free.count }

    /// - Returns: nil when all entries are taken.
    mutating func take() -> Int? {
        guard let place = free.popLast() else { return nil }
        let index = Int(place)
        let generation = entries[index].generation
        entries[index] = Entry()
        entries[index].generation = (generation + 1) & ((1 << 40) - 1)
        entries[index].isLive = true
        return index
    }

    mutating func release(_ index: Int) {
        assert(entries[index].isLive, "entry \(index) is free already")
        entries[index].isLive = false
        free.append(Int32(index))
    }

    subscript(_ index: Int) -> Entry {
        _read { yield entries[index] }
        _modify { yield &entries[index] }
    }

    /// The entry of a call or attempt that is still under way.
    func entry(of raw: UInt64) -> Int? {
        let id = AttemptID(raw: raw)
        guard id.entry < entries.count, entries[id.entry].isLive, entries[id.entry].generation == id.generation else {
            return nil
        }
        return id.entry
    }
}

extension AttemptID {
    package init(raw: UInt64) { self.raw = raw }
}
