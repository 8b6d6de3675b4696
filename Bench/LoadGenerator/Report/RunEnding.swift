/// How a run ended, as the exit code says it.
package enum RunEnding: Int32, Sendable {
    case fine = 0
    /// Not one call was answered well.
    case nothingAnswered = 1
    case objectiveMissed = 2
    /// The node was lost during the run and calls failed for it, and no objective says how many may.
    case nodeLost = 3
}

extension LoadReport {
    /// Calls failed, and connections to the node broke or it said that it is going.
    package var hasLostNode: Bool {
        failed > 0
            && (lostConnections > 0 || errors.contains { $0.name == "CONNECTION_LOST" || $0.name == "UNAVAILABLE" })
    }

    /// - Parameter verdicts: Of `objective` on this run; none without one.
    package func ending(_ objective: ServiceObjective?, _ verdicts: [ServiceObjective.Verdict]) -> RunEnding {
        if !verdicts.allSatisfy(\.held) { return .objectiveMissed }
        if succeeded == 0 { return .nothingAnswered }
        return hasLostNode && objective?.boundsErrors != true ? .nodeLost : .fine
    }
}

extension ServiceObjective {
    /// Whether it says how many calls may fail.
    package var boundsErrors: Bool {
        terms.contains { term in
            switch term.bound {
            case .errorCount, .errorShare: true
            default: false
            }
        }
    }
}
