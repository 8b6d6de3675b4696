import Vocabulary

/// How large a batch may be.
package struct BatchLimits: Sendable, Equatable {
    /// Rows of a batch, at least 1.
    package var rows: Int
    /// Requests of a batch, at least 1; 1: each is scored alone.
    package var requests: Int

    package init(rows: Int = .max, requests: Int = .max) {
        precondition(rows > 0 && requests > 0, "a batch of \(rows) rows of \(requests) requests")
        self.rows = rows
        self.requests = requests
    }

    /// Keeps to the other's limits, too.
    package mutating func narrow(_ other: BatchLimits) {
        rows = min(rows, other.rows)
        requests = min(requests, other.requests)
    }

    /// Whether no more fits beside what a batch has.
    package func areReached(rows: Int, requests: Int) -> Bool { rows >= self.rows || requests >= self.requests }
}

/// Requests whose rows wait to go through a model, and the rule by which rows of several go together.
///
/// A value: the clock is passed in, nothing waits in here, nothing is scored in here. Whoever drives it asks `reasonToClose`
/// whenever it could as well do something else, and takes a batch when there is a reason.
///
/// ```
///  add --> waiting, in the order of turns --takeBatch--> parts of a batch, until all rows of the entry are taken --> gone
///             |  ^---- the rest of a long entry, when its turn is over: behind all others
///             +--> remove (cancelled), dropExpired (its deadline passed): gone alone, the others stay
/// ```
/// Short entries are served first come, first served. An entry that has begun is carried through to the end of its turn of
/// `turnRows` rows; what is left then goes behind the others, so that a request of ten thousand rows costs one of ten no more
/// than a turn. Rows are never dropped but with their own entry.
package struct BatchQueue: Sendable {
    /// Rows of one entry, as a part of a batch.
    package struct Part: Equatable, Sendable {
        package var id: Int
        package var rows: Range<Int>
        /// How long the entry waited before its first part, in nanoseconds; nil in later parts.
        package var waited: UInt64?
    }

    private struct Entry {
        var id: Int
        var rows: Int
        var limits: BatchLimits
        var taken = 0
        /// Rows of the present turn that are taken.
        var takenOfTurn = 0
        var deadline: UInt64
        var arrived: UInt64

        var left: Int { rows - taken }
    }

    /// Entries that may wait; further ones are refused.
    package let entriesMax: Int
    /// Rows of one entry that may go before all others had a turn.
    package let turnRows: Int

    private var entries: [Entry] = []
    /// Rows that are not taken yet.
    package private(set) var rows = 0

    package init(entriesMax: Int, turnRows: Int = 256) {
        precondition(entriesMax > 0 && turnRows > 0, "\(entriesMax), \(turnRows)")
        self.entriesMax = entriesMax
        self.turnRows = turnRows
    }

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }

    // MARK: Coming and going

    /// Takes an entry.
    ///
    /// - Parameters:
    ///   - id: Of no other entry that waits.
    ///   - limits: Of every batch that the entry is in.
    ///   - deadline: Uptime in nanoseconds; `UInt64.max`: none.
    /// - Returns: False, and nothing is taken, when `entriesMax` wait or it has no rows.
    package mutating func add(
        _ id: Int, rows: Int, limits: BatchLimits = BatchLimits(), deadline: UInt64, at now: UInt64
    ) -> Bool {
        guard entries.count < entriesMax, rows > 0 else { return false }
        assert(!entries.contains { $0.id == id }, "\(id) waits already")
        entries.append(Entry(id: id, rows: rows, limits: limits, deadline: deadline, arrived: now))
        self.rows += rows
        return true
    }

    /// Forgets an entry with what is left of its rows; false when there is none.
    @discardableResult
    package mutating func remove(_ id: Int) -> Bool {
        guard let place = entries.firstIndex(where: { $0.id == id }) else { return false }
        rows -= entries[place].left
        entries.remove(at: place)
        return true
    }

    /// Forgets the entries whose deadline has passed; the others are not touched.
    package mutating func dropExpired(_ now: UInt64) -> [Int] {
        guard entries.contains(where: { $0.deadline <= now }) else { return [] }
        let expired = entries.filter { $0.deadline <= now }
        for entry in expired { remove(entry.id) }
        return expired.map(\.id)
    }

    // MARK: Batches

    /// Why a batch should go now rather than wait for more rows; nil: let something else go first.
    ///
    /// - Parameters:
    ///   - rowsMax: Of a batch.
    ///   - curve: What batches cost.
    ///   - slack: How long it may take until this is asked again, in nanoseconds.
    ///   - companyPrice: What it costs that a request waits for others; no more than that is to be gained where the fixed
    ///     part of a batch is smaller.
    /// - Complexity: O(entries).
    package func reasonToClose(
        rowsMax: Int, curve: ServiceTimeCurve, slack: UInt64, companyPrice: UInt64 = 0, at now: UInt64
    ) -> BatchCloseReason? {
        guard let first = entries.first else { return nil }
        var limits = BatchLimits(rows: rowsMax)
        if first.takenOfTurn > 0 {
            limits.narrow(first.limits)
            return first.left < limits.rows && rows < limits.rows ? .rest : .full
        }
        // Rows of entries that had their turn do not count: they would hold up whoever has had none.
        var fresh = 0
        var freshEntries = 0
        var earliest = UInt64.max
        for entry in entries {
            earliest = min(earliest, entry.deadline)
            if entry.taken == 0 {
                limits.narrow(entry.limits)
                // Full before this one, which wants to be with fewer.
                if freshEntries > 0, limits.areReached(rows: fresh, requests: freshEntries) { return .full }
                fresh += entry.rows
                freshEntries += 1
                if limits.areReached(rows: fresh, requests: freshEntries) { return .full }
            }
        }
        if fresh > 0, curve.isSettled, curve.fixed < Double(companyPrice) { return .cheap }
        if earliest != .max, earliest <= now &+ slack &+ curve.cost(rows: min(rows, rowsMax)) { return .deadline }
        return nil
    }

    /// Takes the rows of the next batch, in the order of turns.
    ///
    /// - Parameter rowsMax: Rows at most; a rest of a quarter of that or less goes along rather than by itself.
    /// - Returns: At least one row, unless nothing waits.
    package mutating func takeBatch(rowsMax: Int, at now: UInt64) -> [Part] {
        precondition(rowsMax > 0, "a batch of \(rowsMax) rows")
        var parts: [Part] = []
        var limits = BatchLimits(rows: rowsMax)
        var taken = 0
        var over: [Entry] = []
        var finished = 0
        while finished < entries.count {
            var entry = entries[finished]
            limits.narrow(entry.limits)
            if limits.areReached(rows: taken, requests: parts.count) { break }
            var take = min(entry.left, limits.rows - taken, turnRows - entry.takenOfTurn)
            if parts.isEmpty, entry.left > take, entry.left <= limits.rows + limits.rows / 4 { take = entry.left }
            parts.append(
                Part(
                    id: entry.id, rows: entry.taken..<(entry.taken + take),
                    waited: entry.taken == 0 ? now &- min(now, entry.arrived) : nil))
            entry.taken += take
            entry.takenOfTurn += take
            rows -= take
            taken += take
            if entry.left > 0, entry.takenOfTurn < turnRows {
                entries[finished] = entry
                break
            }
            finished += 1
            if entry.left > 0 {
                entry.takenOfTurn = 0
                over.append(entry)
            }
        }
        entries.removeFirst(finished)
        entries += over
        return parts
    }
}
