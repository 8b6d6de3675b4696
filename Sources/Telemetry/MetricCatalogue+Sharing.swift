extension MetricCatalogue {
    // What nodes tell each other of users.
    static let staleUsers = Metric(
        "martlet_stale_user_state_total", .counter,
        help: "Answers marked as made without what other nodes may know of their user.")
    static let sharedSlots = Metric(
        "martlet_shared_slots", .gauge, labels: ["state"],
        help:
            "Slots of users that this node holds: all their users read, some, and those whose former holder may know more."
    )
    static let sharedClaims = Metric(
        "martlet_shared_slot_claims_total", .counter, help: "Slots of users that this node took over.")
    static let sharedLosses = Metric(
        "martlet_shared_slot_losses_total", .counter, help: "Slots of users that another node took over.")
    static let userLoads = Metric(
        "martlet_shared_user_loads_total", .counter, labels: ["result"], help: "Users that were looked for in Redis.")
    static let userWrites = Metric(
        "martlet_shared_user_writes_total", .counter, labels: ["result"],
        help: "Writes of users' events to Redis, and records that were made short again.")
    static let userDamages = Metric(
        "martlet_shared_user_damages_total", .counter,
        help: "Damaged, foreign or too long bytes among users and notices in Redis.")
    static let userNotices = Metric(
        "martlet_shared_user_notices_total", .counter, help: "Notices of nodes about slots and users that were read.")
    static let unwrittenEvents = Metric(
        "martlet_shared_user_unwritten", .gauge, help: "Events that were answered and wait for Redis.")
    static let sharingAge = Metric(
        "martlet_shared_user_age_seconds", .gauge, unit: .seconds,
        help: "Time since other nodes were heard of; the longest of all shards.")
}

extension NodeMetrics {
    func writeSharing(to writer: inout ExpositionWriter) {
        let readings = shards.map(\.sharingReading)
        func sum(_ value: (SharingReading) -> UInt64) -> UInt64 { readings.reduce(0) { $0 &+ value($1) } }
        func sample(_ metric: Metric, _ value: UInt64) {
            writer.begin(metric)
            writer.sample([], value)
        }
        sample(MetricCatalogue.staleUsers, shards.reduce(0) { $0 &+ $1.staleUsers })
        writer.begin(MetricCatalogue.sharedSlots)
        let (all, whole) = (sum { UInt64($0.slots) }, sum { UInt64($0.wholeSlots) })
        writer.sample(["whole"], whole)
        writer.sample(["part"], all >= whole ? all - whole : 0)
        writer.sample(["suspect"], sum { UInt64($0.suspectSlots) })
        sample(MetricCatalogue.sharedClaims, sum(\.claims))
        sample(MetricCatalogue.sharedLosses, sum(\.losses))
        writer.begin(MetricCatalogue.userLoads)
        for load in UserLoad.allCases { writer.sample([load.label], sum { $0.loads[Int(load.rawValue)] }) }
        writer.begin(MetricCatalogue.userWrites)
        writer.sample(["written"], sum(\.writes))
        writer.sample(["failed"], sum(\.writesFailed))
        writer.sample(["compacted"], sum(\.compactions))
        sample(MetricCatalogue.userDamages, sum(\.damages))
        sample(MetricCatalogue.userNotices, sum(\.notices))
        sample(MetricCatalogue.unwrittenEvents, sum { UInt64($0.unwritten) })
        writer.begin(MetricCatalogue.sharingAge)
        writer.sample([], Double(readings.map(\.ageNanoseconds).max() ?? 0) / 1e9)
    }
}
