import SharedUsers
import Vocabulary

/// How a node shares what it knows of users with others.
struct SharingSettings: Sendable {
    /// As people call the node, and who it is while it runs: a restart makes it another.
    var name: String
    var node: String
    /// How long a request waits for its user.
    var wait: Duration = .milliseconds(20)
    var bounds = RecordBounds()
    /// Milliseconds that the users of a slot stay after the last event of any of them; 0: for ever.
    var life: UInt64 = 0
    /// Whether events outlive the process: then one that comes back knows what it knew.
    var hasLog = false
    /// Events of a shard that wait for Redis.
    var unwrittenMax = 65_536

    /// Notices are read so often.
    static let pollMilliseconds = 100
    /// Without a word of the others for longer, answers are marked.
    static let freshNanoseconds: UInt64 = 500_000_000
    /// After so long, notices may have been dropped that were never read.
    static let gapNanoseconds: UInt64 = 30_000_000_000
    static let noticesMax = 131_072
    static let beatMilliseconds = 200
    /// For Redis to take an event that somebody waits for.
    static let writeTimeout = Duration.milliseconds(50)
    /// For a user to come; a request waits for less.
    static let loadTimeout = Duration.milliseconds(500)
    /// Users that are being asked for.
    static let loadsMax = 4096
    static let compactionsMax = 16
    static let flushUsersMax = 256
    static let flushSlotsMax = 16
    /// Users read at once, of slots that were taken over.
    static let scanUsers = 16
    static let scanBytesMax = 1 << 20

    /// The name of a node by who it is.
    static func name(of node: String) -> Substring { node.prefix { $0 != "|" } }
}

/// What a shard's sharing of users looks like and has counted.
struct SharingState: Sendable {
    var loadsFound: UInt64 = 0
    var loadsAbsent: UInt64 = 0
    var loadsFailed: UInt64 = 0
    /// Requests that went on without their user.
    var loadsLate: UInt64 = 0
    /// Users read behind the back of requests.
    var scanned: UInt64 = 0
    var writes: UInt64 = 0
    var writesFailed: UInt64 = 0
    var compactions: UInt64 = 0
    var damages: UInt64 = 0
    /// Of the others.
    var notices: UInt64 = 0
}
