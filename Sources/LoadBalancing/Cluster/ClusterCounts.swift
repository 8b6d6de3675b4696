/// What a policy did since it was made.
package struct ClusterCounts: Sendable, Equatable {
    package var calls: UInt64 = 0
    /// Sendings of all kinds.
    package var attempts: UInt64 = 0
    package var retries: UInt64 = 0
    package var hedges: UInt64 = 0
    /// Calls whose hedge answered first.
    package var hedgesWon: UInt64 = 0
    package var probes: UInt64 = 0
    package var ejections: UInt64 = 0
    package var restored: UInt64 = 0
    /// Ejections that the allowed share, or the last node, forbade.
    package var ejectionsForbidden: UInt64 = 0
    /// Calls that went past their owner because it had more than its share, or was full.
    package var spilled: UInt64 = 0
    /// Calls that were picked although all nodes were ejected.
    package var panicked: UInt64 = 0

    package init() {}

    /// Sendings for each call, 1 or more.
    package var amplification: Double { calls == 0 ? 1 : Double(attempts) / Double(calls) }
}
