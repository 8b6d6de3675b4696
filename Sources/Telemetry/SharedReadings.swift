/// Figures of changes of items that nodes share, as metrics show them.
package struct ItemSharingReading: Sendable, Equatable {
    package var isOn = false
    package var isCurrent = true
    /// Uptime in nanoseconds when it began.
    package var since: UInt64 = 0
    /// Since the last poll whose changes the shards have; since the start, where there was none.
    package var behindNanoseconds: UInt64 = 0
    /// Own changes that wait to be written.
    package var unwritten = 0
    /// Items of which shared changes are known, restored ones included.
    package var items = 0
    package var written: UInt64 = 0
    /// Written because they were missing.
    package var contributed: UInt64 = 0
    package var taken: UInt64 = 0
    package var known: UInt64 = 0
    package var full: UInt64 = 0
    package var malformed: UInt64 = 0
    /// How often everything was read.
    package var rereads: UInt64 = 0
    package var failures: UInt64 = 0
    package var lastFailure: String?

    package init() {}

    /// What became of changes, with the label of each.
    package var results: [(label: String, count: UInt64)] {
        [
            ("written", written), ("contributed", contributed), ("taken", taken), ("known", known), ("full", full),
            ("malformed", malformed),
        ]
    }
}

/// Figures of events that come through streams, as metrics show them.
package struct EventStreamReading: Sendable, Equatable {
    package var isOn = false
    /// Entries that were read.
    package var read: UInt64 = 0
    /// Entries of those that another consumer had left.
    package var claimed: UInt64 = 0
    package var acknowledged: UInt64 = 0
    /// Events.
    package var stored: UInt64 = 0
    package var duplicates: UInt64 = 0
    /// Entries with something that is no event.
    package var malformed: UInt64 = 0
    /// Of those: copied to the stream for them.
    package var deadLettered: UInt64 = 0
    /// Batches that the event log refused, and that were given again.
    package var refusals: UInt64 = 0
    package var failures: UInt64 = 0
    package var lastFailure: String?
    /// Entries that the group was given and has not acknowledged, when it was last asked.
    package var pending: UInt64 = 0
    /// Entries that nobody of the group was given yet; 0 where the server cannot say.
    package var waiting: UInt64 = 0

    package init() {}

    package var results: [(label: String, count: UInt64)] {
        [
            ("read", read), ("claimed", claimed), ("acknowledged", acknowledged), ("malformed", malformed),
            ("dead_lettered", deadLettered),
        ]
    }
}
