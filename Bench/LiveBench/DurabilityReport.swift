import Foundation
import LoadGenerator

/// The rounds of a `DurabilityRun`, for people.
package struct DurabilityReport: Sendable {
    private var rounds: [DurabilityRun.Round] = []
    private let mayLose: Bool

    /// - Parameter mayLose: Nothing was synced and the power was cut: losses are shown, and are no fault.
    package init(mayLose: Bool) { self.mayLose = mayLose }

    package mutating func add(_ round: DurabilityRun.Round) { rounds.append(round) }

    package var roundCount: Int { rounds.count }
    /// A round lost or doubled something, or showed what it should not.
    package var isBad: Bool { rounds.contains { $0.isBad(mayLose: mayLose) } }

    package static let header =
        "round  acknowledged  lost  doubled  shown  unacknowledged, in log  sent again  cut    ready     restored  snapshots"

    /// A line for a round, under `header`.
    package func line(_ round: DurabilityRun.Round) -> String {
        String(
            format: "%5d  %12d  %4d  %7d  %5d  %22d  %10d  %5.0fk  %6.0f ms  %4d ms  %9d", round.number,
            round.acknowledged, round.finding.lost, round.finding.doubled, round.shown, round.finding.unacknowledged,
            round.resent, Double(round.cutBytes) / 1024, Double(round.nanosecondsToReady) / 1e6,
            round.restoreMilliseconds, round.snapshots)
            + faults(round)
    }

    private func faults(_ round: DurabilityRun.Round) -> String {
        var words: [String] = []
        if round.missing > 0 { words.append("\(round.missing) acknowledged after the restart and not in the log") }
        if round.finding.foreign > 0 { words.append("\(round.finding.foreign) events that nobody sent") }
        if round.damages > 0 { words.append("\(round.damages) damaged places in the log") }
        if round.notStored > 0 { words.append("\(round.notStored) events not stored by a node that ran") }
        return words.isEmpty ? "" : "  " + words.joined(separator: ", ")
    }

    package var total: String {
        func sum(_ value: (DurabilityRun.Round) -> Int) -> Int { rounds.reduce(0) { $0 + value($1) } }
        let ready = rounds.map { Double($0.nanosecondsToReady) / 1e6 }.sorted()
        let lost = sum { $0.finding.lost }
        return "\(rounds.count) kills, \(grouped(sum { $0.acknowledged })) events acknowledged before them: "
            + "\(grouped(lost)) lost\(mayLose && lost > 0 ? " (allowed: nothing was synced)" : ""), "
            + "\(grouped(sum { $0.finding.doubled })) doubled, \(grouped(sum { $0.shown })) shown again; "
            + String(
                format: "restart to ready %.0f ms in the median, %.0f at most",
                ready.isEmpty ? 0 : ready[ready.count / 2],
                ready.last ?? 0)
    }
}
