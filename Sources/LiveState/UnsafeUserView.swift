import Glibc

/// What is known of one user, for as long as the closure runs that was given it. Nothing is copied but what is asked for.
package struct UserView {
    private let blob: UserBlob
    private let types: EventTypes
    private let configuration: UserStatesConfiguration

    init(_ blob: UserBlob, types: EventTypes, configuration: UserStatesConfiguration) {
        self.blob = blob
        self.types = types
        self.configuration = configuration
    }

    /// The user's ID in UTF-8.
    package var id: UnsafeRawBufferPointer { blob.id }
    /// Changes with every event that changes the slate; never 0.
    package var epoch: UInt32 { blob.epoch }
    /// The second of the newest event.
    package var lastActivity: UInt32 { blob.lastActivity }
    /// Events ever; stays at the largest number.
    package var totalEvents: UInt32 { blob.totalEvents }
    /// The second of the newest event of the history.
    package var newest: UInt32 { blob.historyLast }
    /// Events in the history.
    package var historyCount: Int { blob.historyCount }
    /// Items that the user hides.
    package var hiddenCount: Int { blob.hiddenCount }
    /// As allocated.
    package var bytes: Int { Int(blob.capacity) }
    /// Whether events have left the history, or came too late for it.
    package var isHistoryCut: Bool { Int(blob.totalEvents) > blob.historyCount }

    /// Fills `buffer` with the history, newest first.
    ///
    /// - Complexity: O(events); allocates nothing once the buffer is warm.
    package func copyHistory(into buffer: inout HistoryBuffer) {
        let count = blob.historyCount
        buffer.fill(count) { events in
            var place = count
            blob.forEachEvent { event, seconds in
                place -= 1
                events[place] = HistoryEvent(
                    item: event.item, type: event.type, seconds: seconds, value: event.value)
            }
        }
    }

    /// Calls `body` with each item that the user has seen; more than once with some.
    ///
    /// - Parameters:
    ///   - types: Of these types of events, as far as they count as seen.
    ///   - now: The present second: nothing older than `seenAgeSeconds` is told.
    ///   - after: Nothing older than this second is told. Exact within the history; of items that left it the day of their
    ///     last event is known, so one that is up to a day older may be told.
    /// - Complexity: O(events + seen items).
    package func forEachSeen(
        types wanted: EventTypeSet = .all, now: UInt32, after: UInt32 = 0, _ body: (UInt32) -> Void
    ) {
        let wanted = wanted.intersection(types.seen)
        let first = max(after, configuration.firstSeenSecond(now))
        let firstDay = SetEntry.day(first)
        // Types whose flag was taken away since do not count, but of the types that an item had.
        blob.forEach(.seen) { entry in
            if entry.day >= firstDay, entry.types & wanted.bits != 0 { body(entry.item) }
            return true
        }
        blob.forEachLatelySeen { entry in
            if entry.day >= firstDay, entry.types & wanted.bits != 0 { body(entry.item) }
        }
        blob.forEachEvent { event, seconds in
            if seconds >= first, wanted.contains(event.type) { body(event.item) }
        }
    }

    /// Calls `body` with each hidden item, lowest first.
    package func forEachHidden(_ body: (UInt32) -> Void) {
        blob.forEach(.hidden) { entry in
            body(entry.item)
            return true
        }
    }

    package func isHidden(_ item: UInt32) -> Bool { blob.contains(item, in: .hidden) }

    /// Counts the events of the last minute, hour and day, by type.
    ///
    /// - Complexity: O(events); allocates nothing.
    package func count(into counts: inout WindowCounts, now: UInt32) {
        counts.reset()
        var oldest: UInt32?
        blob.forEachEvent { event, seconds in
            if oldest == nil { oldest = seconds }
            counts.add(event.type, age: now < seconds ? 0 : now - seconds)
        }
        if isHistoryCut { counts.limit(toAge: oldest.map { now < $0 ? 0 : now - $0 } ?? 0) }
    }

    /// What the user is doing: events with less than `sessionGapSeconds` between each other, the last of them less than that
    /// ago. Nil where there is no such event.
    ///
    /// - Complexity: O(events); allocates nothing.
    package func session(now: UInt32) -> UserSession? {
        let gap = configuration.sessionGapSeconds
        let count = blob.historyCount
        guard count > 0, now < blob.historyLast || now - blob.historyLast < gap else { return nil }
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: count) { items in
            var length = 0
            var start = blob.historyBase
            var last = start
            var lastType: UInt8 = 0
            blob.forEachEvent { event, seconds in
                if length == 0 || seconds - last >= gap {
                    length = 0
                    start = seconds
                }
                items[length] = event.item
                length += 1
                last = seconds
                lastType = event.type
            }
            var own = UnsafeMutableBufferPointer(rebasing: items[..<length])
            own.sort()
            var distinct = 0
            for place in own.indices where place == 0 || own[place] != own[place - 1] { distinct += 1 }
            return UserSession(
                events: length, distinctItems: distinct, secondsSinceStart: now < start ? 0 : now - start,
                secondsSinceLast: now < last ? 0 : now - last, lastType: lastType,
                isCut: isHistoryCut && length == count)
        }
    }
}
