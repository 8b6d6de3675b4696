/// What became of looking for a user in Redis.
package enum UserLoad: UInt8, CaseIterable, Sendable {
    case found, absent, failed
    /// The request went on without it.
    case late
    /// Read behind the back of requests.
    case scanned

    package var label: String {
        switch self {
        case .found: "found"
        case .absent: "absent"
        case .failed: "failed"
        case .late: "late"
        case .scanned: "scanned"
        }
    }
}

/// What a shard shares of its users, as it is now and as it was counted.
package struct SharingReading: Sendable, Equatable {
    package var slots = 0
    /// Of them, those all of whose users were read.
    package var wholeSlots = 0
    /// Those whose former holders may know what nobody else can.
    package var suspectSlots = 0
    package var unwritten = 0
    /// Since other nodes were heard of.
    package var ageNanoseconds: UInt64 = 0
    package var claims: UInt64 = 0
    package var losses: UInt64 = 0
    /// By `UserLoad`.
    package var loads: [UInt64] = []
    package var writes: UInt64 = 0
    package var writesFailed: UInt64 = 0
    package var compactions: UInt64 = 0
    package var damages: UInt64 = 0
    package var notices: UInt64 = 0

    package init() {}
}

extension ShardMetrics.Layout {
    // From `smallAt`, behind Redis.
    static var sharing: Int { redis + redisCells }
    static var sharingLoads: Int { sharing + 16 }
    static var sharingCells: Int { 24 }
}

extension ShardMetrics {
    /// Publishes what the shard's sharing of users says of itself.
    package func setSharing(_ reading: SharingReading) {
        let values: [UInt64] = [
            UInt64(clamping: reading.slots), UInt64(clamping: reading.wholeSlots),
            UInt64(clamping: reading.suspectSlots), UInt64(clamping: reading.unwritten), reading.ageNanoseconds,
            reading.claims, reading.losses, reading.writes, reading.writesFailed, reading.compactions,
            reading.damages, reading.notices,
        ]
        for (place, value) in values.enumerated() { cells.set(smallAt &+ Layout.sharing &+ 1 &+ place, to: value) }
        for (place, value) in reading.loads.prefix(8).enumerated() {
            cells.set(smallAt &+ Layout.sharingLoads &+ place, to: value)
        }
    }

    /// Counts answers that were marked as made without what other nodes may know.
    package func countStaleUsers(_ count: Int) {
        if count > 0 { cells.add(UInt64(count), to: smallAt &+ Layout.sharing) }
    }

    package var staleUsers: UInt64 { cells.read(smallAt &+ Layout.sharing) }

    /// As published last.
    package var sharingReading: SharingReading {
        func cell(_ place: Int) -> UInt64 { cells.read(smallAt &+ Layout.sharing &+ 1 &+ place) }
        var reading = SharingReading()
        reading.slots = Int(clamping: cell(0))
        reading.wholeSlots = Int(clamping: cell(1))
        reading.suspectSlots = Int(clamping: cell(2))
        reading.unwritten = Int(clamping: cell(3))
        reading.ageNanoseconds = cell(4)
        reading.claims = cell(5)
        reading.losses = cell(6)
        reading.writes = cell(7)
        reading.writesFailed = cell(8)
        reading.compactions = cell(9)
        reading.damages = cell(10)
        reading.notices = cell(11)
        reading.loads = UserLoad.allCases.map { cells.read(smallAt &+ Layout.sharingLoads &+ Int($0.rawValue)) }
        return reading
    }
}
