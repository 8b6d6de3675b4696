import Telemetry

/// The client's metrics, in the order of a scrape.
enum ClientMetrics {
    static let calls = Metric(
        "martlet_client_calls_total", .counter, labels: ["end"], help: "Calls to the cluster, by how they ended.")
    static let callsUnderWay = Metric(
        "martlet_client_calls_under_way", .gauge, help: "Calls, and copies of calls, without an end.")
    static let callsQueued = Metric("martlet_client_calls_queued", .gauge, help: "Calls that wait to be sent.")
    static let budgetLeft = Metric(
        "martlet_client_budget_left", .gauge, labels: ["budget"], help: "Second sendings that may go now.")
    static let hedgesWon = Metric(
        "martlet_client_hedges_won_total", .counter, help: "Calls whose hedge answered first.")
    static let spilled = Metric(
        "martlet_client_spilled_total", .counter,
        help: "Calls that went past their owner because it had more than its share, or was full.")
    static let listFault = Metric(
        "martlet_client_node_list_fault", .gauge, help: "1 while the list of nodes cannot be read anew.")
    static let nodeState = Metric(
        "martlet_client_node_state", .gauge, labels: ["node", "state"], help: "1 for the state that a node is in.")
    static let connections = Metric(
        "martlet_client_node_connections", .gauge, labels: ["node"], help: "Connections to a node that stand.")
    static let inFlight = Metric(
        "martlet_client_node_in_flight", .gauge, labels: ["node"], help: "Sendings without an answer.")
    static let load = Metric(
        "martlet_client_node_load", .gauge, labels: ["node"],
        help: "What a node said last about itself: 0 idle, 1 full.")
    static let sendings = Metric(
        "martlet_client_node_sendings_total", .counter, labels: ["node", "kind"], help: "Sendings to a node, by why.")
    static let outcomes = Metric(
        "martlet_client_node_outcomes_total", .counter, labels: ["node", "outcome"],
        help: "Sendings to a node, by what became of them.")
    static let hedgesCancelled = Metric(
        "martlet_client_node_hedges_cancelled_total", .counter, labels: ["node"],
        help: "Hedges that lost, and were taken back.")
    static let ejections = Metric(
        "martlet_client_node_ejections_total", .counter, labels: ["node"], help: "Times that a node was left alone.")
    static let connects = Metric(
        "martlet_client_node_connects_total", .counter, labels: ["node", "result"], help: "Attempts to connect.")
    static let latency = Metric(
        "martlet_client_node_latency_seconds", .histogram, unit: .seconds, labels: ["node"],
        help: "Time from a sending to its answer.")
}

extension ClientSnapshot {
    /// The metrics in Prometheus' text format, for a service to add to its own scrape.
    public func prometheusText() -> String {
        var writer = ExpositionWriter(.prometheusText)
        writer.begin(ClientMetrics.calls)
        let ends: [(String, UInt64)] = [
            ("answered", answered), ("failed", failed), ("deadline_exceeded", deadlinesPassed),
            ("cancelled", cancelled), ("refused", refused),
        ]
        for (end, count) in ends { writer.sample([end], count) }
        gauge(&writer, ClientMetrics.callsUnderWay, Double(callsUnderWay))
        gauge(&writer, ClientMetrics.callsQueued, Double(callsQueued))
        writer.begin(ClientMetrics.budgetLeft)
        writer.sample(["retry"], retriesLeft)
        writer.sample(["hedge"], hedgesLeft)
        writer.begin(ClientMetrics.hedgesWon)
        writer.sample([], hedgesWon)
        writer.begin(ClientMetrics.spilled)
        writer.sample([], spilled)
        gauge(&writer, ClientMetrics.listFault, resolutionFault == nil ? 0 : 1)
        writer.begin(ClientMetrics.nodeState)
        for node in nodes {
            for state in State.allCases {
                writer.sample([node.name, state.rawValue], node.state == state ? 1 : 0 as UInt64)
            }
        }
        each(&writer, ClientMetrics.connections) { Double($0.connections) }
        each(&writer, ClientMetrics.inFlight) { Double($0.inFlight) }
        each(&writer, ClientMetrics.load) { $0.load }
        counts(&writer, ClientMetrics.sendings) {
            [("first", $0.picks), ("retry", $0.retries), ("hedge", $0.hedges), ("probe", $0.probes)]
        }
        counts(&writer, ClientMetrics.outcomes) {
            [
                ("answered", $0.answered), ("refused", $0.refused), ("failed", $0.failed), ("rejected", $0.rejected),
                ("lost", $0.lost), ("cancelled", $0.cancelled),
            ]
        }
        writer.begin(ClientMetrics.hedgesCancelled)
        for node in nodes { writer.sample([node.name], node.hedgesCancelled) }
        writer.begin(ClientMetrics.ejections)
        for node in nodes { writer.sample([node.name], node.ejections) }
        counts(&writer, ClientMetrics.connects) {
            [("connected", $0.connects - min($0.connects, $0.connectFailures)), ("failed", $0.connectFailures)]
        }
        writer.begin(ClientMetrics.latency)
        for node in nodes where !node.latencyCounts.isEmpty {
            writer.histogram(
                [node.name], counts: node.latencyCounts, bounds: DurationBuckets.boundsSeconds,
                sum: Double(node.latencyNanoseconds) / 1e9)
        }
        return String(decoding: writer.finished(), as: UTF8.self)
    }

    private func gauge(_ writer: inout ExpositionWriter, _ metric: Metric, _ value: Double) {
        writer.begin(metric)
        writer.sample([], value)
    }

    private func each(_ writer: inout ExpositionWriter, _ metric: Metric, _ value: (Node) -> Double) {
        writer.begin(metric)
        for node in nodes { writer.sample([node.name], value(node)) }
    }

    private func counts(
        _ writer: inout ExpositionWriter, _ metric: Metric, _ values: (Node) -> [(String, UInt64)]
    ) {
        writer.begin(metric)
        for node in nodes { for (label, count) in values(node) { writer.sample([node.name, label], count) } }
    }
}
