/// Bounds of what a shard keeps about its users.
package struct UserStatesConfiguration: Sendable, Equatable {
    /// Events in a user's history, `1...4096`.
    package var historyMax: Int
    /// Items of a user that are remembered as seen when their events left the history: 0, or `64...65000`.
    package var seenMax: Int
    /// Items that a user may hide, `16...65000`; the oldest are shown again beyond.
    package var hiddenMax: Int
    /// Seen items are forgotten when their last event is older, in seconds; 0: never.
    package var seenAgeSeconds: UInt32
    /// A pause this long ends a session, `60...86400`.
    package var sessionGapSeconds: UInt32
    /// Of all users of the shard together, as allocated; beyond, users who were not active lately go. 64 KiB or more.
    package var bytesMax: Int

    package init(
        historyMax: Int = 100, seenMax: Int = 2000, hiddenMax: Int = 1000, seenAgeSeconds: UInt32 = 90 * 86_400,
        sessionGapSeconds: UInt32 = 30 * 60, bytesMax: Int = 512 << 20
    ) {
        self.historyMax = historyMax
        self.seenMax = seenMax
        self.hiddenMax = hiddenMax
        self.seenAgeSeconds = seenAgeSeconds
        self.sessionGapSeconds = sessionGapSeconds
        self.bytesMax = bytesMax
    }

    /// - Throws: `invalidConfiguration` that names the setting and its range.
    package func validate() throws(LiveStateError) {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>, or other: Int? = nil) throws(LiveStateError)
        {
            guard range.contains(value) || value == other else {
                let also = other.map { "\($0), or " } ?? ""
                throw LiveStateError(
                    .invalidConfiguration,
                    "\(name) is \(value); allowed: \(also)\(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("historyMax", historyMax, 1...4096)
        try check("seenMax", seenMax, 64...65_000, or: 0)
        try check("hiddenMax", hiddenMax, 16...65_000)
        try check("sessionGapSeconds", Int(sessionGapSeconds), 60...86_400)
        try check("bytesMax", bytesMax, (64 << 10)...(1 << 46))
    }
}

/// What a shard's states have come to. All counts since the start, but for `users` and `bytes`.
package struct UserStatesStatistics: Sendable, Equatable {
    package var users = 0
    /// Users, as allocated, and tables: what `bytesMax` bounds.
    package var bytes = 0
    /// Of the chunks that users lie in; less than 64 KiB for each of 55 sizes is not taken yet, and not resident.
    package var chunkBytes = 0
    package var events: UInt64 = 0
    /// Events that came after later ones of their user.
    package var eventsOutOfOrder: UInt64 = 0
    /// Of them, those that were older than a full history.
    package var eventsTooOldForHistory: UInt64 = 0
    /// Events from the future, taken as of now.
    package var eventsFromTheFuture: UInt64 = 0
    /// Users who went because of `bytesMax`.
    package var usersEvicted: UInt64 = 0
    /// Seen items that went because of `seenMax`; those that grew old are not counted.
    package var seenItemsDropped: UInt64 = 0
    /// Hidden items that went because of `hiddenMax`.
    package var hiddenItemsDropped: UInt64 = 0
}
