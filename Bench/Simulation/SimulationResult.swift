import LoadBalancing
import Overload

/// What happened to the calls of a simulation.
package struct SimulationResult: Sendable {
    package enum Ending: UInt8, Sendable {
        case open, good, failed, late, noNode
    }

    package struct Call: Sendable {
        /// Nanoseconds.
        package var start: UInt64
        package var end: UInt64 = 0
        package var ending = Ending.open
        package var client: Int32 = 0
        package var priority = CallPriority.normal
    }

    package var calls: [Call] = []
    package var attempts = 0
    package var attemptTimes: [UInt64] = []
    /// First sendings to each node.
    package var firstSendings: [Int] = []
    package var counts: [ClusterCounts] = []
    /// Calls whose first sending went to the user's owner.
    package var toOwner = 0
    // What must never be:
    package var endedTwice = 0
    package var endedLate = 0
    package var ejectedLast = 0
    /// When each node was first ejected by any client, in nanoseconds.
    package var firstEjected: [UInt64?] = []
    /// Second, client, node and reason of each ejection.
    package var ejections: [(at: Double, client: Int, node: Int, reason: OutlierDetector.Reason)] = []
    package var events = 0

    package init(nodes: Int) {
        firstSendings = [Int](repeating: 0, count: nodes)
        firstEjected = [UInt64?](repeating: nil, count: nodes)
    }

    /// Latencies in seconds of the calls that began in a span of seconds and were answered, ascending.
    package func latencies(from: Double = 0, until: Double = .infinity) -> [Double] {
        var latencies: [Double] = []
        for call in calls where call.ending == .good {
            let start = Double(call.start) / 1e9
            if start >= from, start < until { latencies.append(Double(call.end - call.start) / 1e9) }
        }
        latencies.sort()
        return latencies
    }

    package func quantile(_ share: Double, from: Double = 0, until: Double = .infinity) -> Double {
        let all = latencies(from: from, until: until)
        return all.isEmpty ? .nan : all[min(all.count - 1, Int(share * Double(all.count)))]
    }

    package func count(_ ending: Ending, from: Double = 0, until: Double = .infinity) -> Int {
        calls.count { $0.ending == ending && Double($0.start) / 1e9 >= from && Double($0.start) / 1e9 < until }
    }

    /// Calls that began in a span and had no answer.
    package func unanswered(from: Double = 0, until: Double = .infinity) -> Int {
        calls.count { $0.ending != .good && Double($0.start) / 1e9 >= from && Double($0.start) / 1e9 < until }
    }

    /// Sendings above one for each call, as a share of the calls, in a span.
    package func extraLoad(from: Double = 0, until: Double = .infinity) -> Double {
        let begun = calls.count {
            $0.ending != .noNode && Double($0.start) / 1e9 >= from && Double($0.start) / 1e9 < until
        }
        let sent = attemptTimes.count { Double($0) / 1e9 >= from && Double($0) / 1e9 < until }
        return begun == 0 ? 0 : Double(sent - begun) / Double(begun)
    }

    /// Most and least first sendings of a node, as shares of an even one.
    package var fairness: (least: Double, most: Double) {
        let even = Double(firstSendings.reduce(0, +)) / Double(firstSendings.count)
        return (Double(firstSendings.min() ?? 0) / even, Double(firstSendings.max() ?? 0) / even)
    }
}
