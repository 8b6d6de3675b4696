import NIOCore
import Wire

/// The calls of one connection that have no reply yet, by call id. Belongs to the connection's event loop.
///
/// A table of twice as many places as there are calls: an id's place is its last bits, and an id whose place is taken is
/// passed over. So an id comes back only after all 2^32 others, and a late reply to a call that was given up finds nobody.
struct InFlightCalls {
    struct Entry {
        /// 0: the place is free.
        var id: UInt32 = 0
        var item = 0
        /// The sending that it is, for a client of several nodes; 0: the connection answers for the call itself.
        var attempt: UInt64 = 0
        var call: (any AnyCall)?
    }

    private var entries = [Entry](repeating: Entry(), count: 64)
    private var lastID: UInt32 = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Gives the call an id that no other call in flight has; never 0.
    ///
    /// - Parameter call: nil where only the attempt counts.
    mutating func add(_ call: (any AnyCall)?, item: Int, attempt: UInt64 = 0) -> UInt32 {
        if 2 * count >= entries.count { grow() }
        let mask = UInt32(entries.count - 1)
        repeat {
            lastID &+= 1
        } while lastID == 0 || entries[Int(lastID & mask)].id != 0
        entries[Int(lastID & mask)] = Entry(id: lastID, item: item, attempt: attempt, call: call)
        count += 1
        return lastID
    }

    mutating func remove(_ id: UInt32) -> Entry? {
        let place = Int(id & UInt32(entries.count - 1))
        guard id != 0, entries[place].id == id else { return nil }
        count -= 1
        var entry = Entry()
        swap(&entry, &entries[place])
        return entry
    }

    /// Takes out the call with this id if it is what the caller thinks: ids of other connections mean other calls here.
    mutating func remove(_ id: UInt32, where isRight: (Entry) -> Bool) -> Entry? {
        let entry = entries[Int(id & UInt32(entries.count - 1))]
        return entry.id == id && isRight(entry) ? remove(id) : nil
    }

    /// Takes out the calls whose time has passed, and says when to look again.
    mutating func removeExpired(at now: NIODeadline) -> (expired: [Entry], next: NIODeadline?) {
        var expired: [Entry] = []
        var next: NIODeadline?
        for entry in entries where entry.id != 0 {
            guard let deadline = entry.call?.deadline else { continue }
            if deadline <= now { expired.append(entry) } else { next = min(next ?? deadline, deadline) }
        }
        for entry in expired { _ = remove(entry.id) }
        return (expired, next)
    }

    mutating func removeAll() -> [Entry] {
        defer {
            entries = [Entry](repeating: Entry(), count: 64)
            count = 0
        }
        return entries.filter { $0.id != 0 }
    }

    /// Ids that differ in their last bits differ in one more of them.
    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: 2 * old.count)
        for entry in old where entry.id != 0 { entries[Int(entry.id & UInt32(entries.count - 1))] = entry }
    }
}
