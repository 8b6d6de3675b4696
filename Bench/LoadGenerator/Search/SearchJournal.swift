/// What a search for the highest rate tried, and what came of it.
package struct SearchJournal {
    /// A run is made longer for its percentiles up to this many seconds, or `--duration` if that is more.
    private static let lengthenedMax: Double = 60
    /// More calls than the percentiles need, as some may fail.
    private static let callsMargin = 1.05
    /// Of fewer calls nothing can be said, whatever the objective.
    private static let callsMin = 10

    package private(set) var search: RateSearch
    /// The run at the highest rate that held.
    package private(set) var best: LoadReport?
    /// The last run, held or not.
    package private(set) var last: LoadReport?
    private let objective: ServiceObjective
    private let duration: Double
    private let callsNeeded: Double
    private var rows: [Row] = []

    /// - Parameter duration: Seconds of a run at least.
    package init(_ objective: ServiceObjective, duration: Double, stepsMax: Int) {
        self.objective = objective
        self.duration = duration
        callsNeeded = Self.callsMargin * Double(max(objective.callsNeeded, Self.callsMin))
        // Below this rate, the calls that a percentile needs would take too long.
        let longest = max(duration, Self.lengthenedMax)
        let rateMin = (callsNeeded / longest).rounded(.up)
        let rateMax = Int(LoadConfiguration.rateMax)
        search = RateSearch(rateMin: min(max(Int(rateMin), 1), rateMax), rateMax: rateMax, stepsMax: stepsMax)
    }

    /// Seconds to measure at `rate`: long enough for the calls that the objective's percentiles need.
    package func duration(at rate: Int) -> Double {
        max(duration, callsNeeded / Double(rate))
    }

    /// What to say of the present try while it runs.
    package var progressLabel: String {
        guard let rate = search.next else { return "" }
        let again = search.isConfirming ? ", again" : ""
        return "try \(search.steps.count + 1) of at most \(search.stepsMax), \(grouped(rate)) calls/s\(again): "
    }

    /// Takes in the run at the rate `search.next`.
    package mutating func record(_ report: LoadReport) {
        guard let rate = search.next else { return }
        let verdicts = objective.verdicts(on: report)
        // A rate that was not reached was not held, whatever the latency of what was sent.
        let wanted = Double(rate) * report.duration
        let isReached = report.unsent == 0 && report.throughput * report.duration >= 0.98 * wanted - 2
        let outcome: RateSearch.Outcome =
            report.wasStopped
            ? .stopped : report.isNodeGone ? .nodeLost : isReached && verdicts.allSatisfy(\.held) ? .held : .failed
        last = report
        if outcome == .held, rate >= search.held ?? 0 { best = report }
        if outcome != .stopped { rows.append(Row(rate, report, outcome, verdicts)) }
        search.record(outcome)
    }

    /// Ends the search where it stands, before the next try.
    package mutating func stop() { search.record(.stopped) }

    package var ending: RunEnding {
        switch search.ending {
        case .found, .stepsUsed, .lowerBound: .fine
        case .nothingHeld: .objectiveMissed
        case .nodeLost: .nodeLost
        case .stopped, nil: .stopped
        }
    }

    // MARK: For people

    package var table: String {
        var table = TextTable([
            "calls/s", "seconds", "answers/s", "p50", "p99", "p99.9", "server p99", "errors", "objective",
        ])
        for row in rows { table.add(row.cells) }
        return table.text
    }

    /// What was found, in a sentence or two.
    package var conclusion: String {
        let soFar =
            search.held.map { "The highest rate that held so far: \(grouped($0)) calls/s." } ?? "No rate had held."
        let held = search.held.map { grouped($0) } ?? "-"
        let ceiling = search.ceiling.map { grouped($0) } ?? "-"
        let steps = search.stepsMax
        switch search.ending {
        case .found: return "highest rate that held: \(held) calls/s (\(ceiling) failed each time)"
        case .stepsUsed:
            return
                "highest rate that held: \(held) calls/s; --find-steps \(steps) is used up, so the limit may be anywhere"
                + " below \(ceiling), which failed twice. More steps come closer."
        case .lowerBound:
            let reason =
                search.steps.count < steps
                ? "the tool sends no faster" : "--find-steps \(steps) is used up and no rate failed twice"
            return
                "at least \(held) calls/s: that rate held, \(reason). This is only a lower bound; more steps go on up."
        case .nothingHeld:
            let lowest = rows.map(\.rate).min() ?? search.rateMin
            return
                "no rate held \(objective.text); the lowest that was tried: \(grouped(lowest)) calls/s. The last column"
                + " says what was missed. If it is the latency, loosen --slo, or see with `martlet-bench load --rate"
                + " \(lowest)` how the node does; if it is errors, the node's log or --users-file may say why."
        case .nodeLost:
            let rate = search.steps.last.map { grouped($0.rate) } ?? "-"
            return
                "the node was lost at \(rate) calls/s (try \(search.steps.count)) and the search ended there; the node's"
                + " log says why. \(soFar)"
        case .stopped, nil: return "stopped early; the search was not finished. \(soFar)"
        }
    }

    // MARK: For programs

    /// One rate that was tried.
    struct Row: Encodable {
        var rate: Int
        var seconds: Double
        var throughput: Double
        var failed: UInt64
        var held: Bool
        var objective: String
        private(set) var cells: [String] = []

        private enum CodingKeys: String, CodingKey { case rate, seconds, throughput, failed, held, objective }

        init(
            _ rate: Int, _ report: LoadReport, _ outcome: RateSearch.Outcome, _ verdicts: [ServiceObjective.Verdict]
        ) {
            self.rate = rate
            seconds = report.duration
            throughput = (report.throughput * 10).rounded() / 10
            failed = report.failed
            held = outcome == .held
            let misses = verdicts.filter { !$0.held }.map { "\($0.term): \($0.measured)" }
            objective =
                switch outcome {
                case .held: "held"
                case .nodeLost: "node lost"
                case .failed, .stopped: misses.isEmpty ? "rate not reached" : misses.joined(separator: ", ")
                }
            cells = [
                grouped(rate), TimeText.seconds(seconds), grouped(Int(report.throughput.rounded())),
                TimeText.of(report.client.valueAt(50)), TimeText.of(report.client.valueAt(99)),
                TimeText.of(report.client.valueAt(99.9)), report.server.text(report.server.valueAt(99)),
                grouped(report.failed), objective,
            ]
        }
    }

    struct Document: Encodable {
        var ending: String
        /// Calls a second; nil: none.
        var heldRate: Int?
        var failedRate: Int?
        var objective: String
        var conclusion: String
        var tries: [Row]
    }

    var document: Document {
        Document(
            ending: (search.ending ?? .stopped).rawValue, heldRate: search.held, failedRate: search.ceiling,
            objective: objective.text, conclusion: conclusion, tries: rows)
    }
}
