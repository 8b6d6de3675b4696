/// When a record counts as stored.
package enum SyncPolicy: Sendable, Equatable {
    /// When a sync of its own group ended. Records that come while the disk is at work share the next sync.
    case always
    /// When the next sync ended; syncs begin at least this far apart.
    case interval(nanoseconds: UInt64)
    /// When the operating system has it: it outlives the process, and perhaps not the machine.
    case never

    /// As it is said in configurations and answers.
    package var name: String {
        switch self {
        case .always: "always"
        case .interval: "interval"
        case .never: "never"
        }
    }
}

/// Bounds of a log.
package struct LogConfiguration: Sendable, Equatable {
    package var sync: SyncPolicy
    /// A segment that has reached this size is followed by another.
    package var segmentBytesMax: Int
    /// The same, of a segment that is this old.
    package var segmentAgeMax: Duration
    /// Segments younger than this are kept, as far as `retentionBytes` allows.
    package var retentionAge: Duration
    /// Of all segments together; the oldest go first.
    package var retentionBytes: Int
    /// Bytes that may wait for the disk; beyond, records are refused.
    package var pendingBytesMax: Int
    /// How long a disk that refused is left alone before it is tried again.
    package var retryAfter: Duration

    package init(
        sync: SyncPolicy = .always, segmentBytesMax: Int = 64 << 20, segmentAgeMax: Duration = .seconds(3600),
        retentionAge: Duration = .seconds(30 * 86_400), retentionBytes: Int = 16 << 30,
        pendingBytesMax: Int = 32 << 20, retryAfter: Duration = .milliseconds(250)
    ) {
        self.sync = sync
        self.segmentBytesMax = segmentBytesMax
        self.segmentAgeMax = segmentAgeMax
        self.retentionAge = retentionAge
        self.retentionBytes = retentionBytes
        self.pendingBytesMax = pendingBytesMax
        self.retryAfter = retryAfter
    }
}
