/// How a run ended, as the exit code says it.
package enum RunEnding: Int32, Sendable {
    case fine = 0
    /// Not one call was answered well.
    case nothingAnswered = 1
    case objectiveMissed = 2
    /// The node was lost during the run and calls failed for it, and no objective says how many may.
    case nodeLost = 3
    /// Ctrl-C, or another signal that asks for the end.
    case stopped = 130
}

extension LoadReport {
    /// Calls failed, and connections to the node broke or it said that it is going.
    package var hasLostNode: Bool {
        failed > 0
            && (lostConnections > 0 || errors.contains { $0.name == "CONNECTION_LOST" || $0.name == "UNAVAILABLE" })
    }

    /// At the end there was no connection left, or not one call was answered as connections broke: going on is no use.
    package var isNodeGone: Bool {
        (connections > 0 && lostConnections >= connections) || (succeeded == 0 && hasLostNode)
    }

    /// - Parameter verdicts: Of `objective` on this run; none without one.
    package func ending(_ objective: ServiceObjective?, _ verdicts: [ServiceObjective.Verdict]) -> RunEnding {
        if wasStopped { return .stopped }
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
