import Resilience

/// When a node counts as an outlier, and what then.
package struct OutlierConfiguration: Sendable {
    package var isOn = true
    /// How often the nodes are compared.
    package var interval: Duration = .milliseconds(100)
    /// Times the others' latency that make an outlier; above 1.
    package var latencyFactor = 3.0
    /// And so much longer at least: twice nothing is nothing.
    package var latencyDifference: Duration = .milliseconds(1)
    /// Failing calls above the others' share that make an outlier.
    package var failureShareDifference = 0.2
    /// A node that owes answers and gives none for so long, and ten times what is late, while others answer.
    package var silence: Duration = .milliseconds(200)
    /// Share of the nodes that may be ejected at once. One always may, unless it is the last that takes calls.
    package var ejectedShareMax = 0.4
    /// The first ejection; doubles each time.
    package var ejection: Duration = .seconds(2)
    package var ejectionMax: Duration = .seconds(60)
    /// Without an ejection for so long, the next one is half as long again.
    package var forgiveAfter: Duration = .seconds(15)
    /// Good answers to copies of calls that bring an ejected node back.
    package var probes = 3
    /// Between two copies to a node.
    package var probeInterval: Duration = .milliseconds(200)
    /// Without calls that can be copied for so long, the node comes back unprobed, slowly.
    package var probePatience: Duration = .seconds(5)

    package init() {}

    /// What is wrong with it; nil: nothing.
    package func problem() -> String? {
        if interval < .milliseconds(1) { return "interval is \(interval); 1 ms or more" }
        if !(latencyFactor > 1) { return "latencyFactor is \(latencyFactor); above 1" }
        if !(0...1).contains(failureShareDifference) {
            return "failureShareDifference is \(failureShareDifference); 0...1"
        }
        if !(0...1).contains(ejectedShareMax) { return "ejectedShareMax is \(ejectedShareMax); 0...1" }
        if ejection <= .zero || ejectionMax < ejection { return "ejections from \(ejection) to \(ejectionMax)" }
        if probes < 1 { return "probes is \(probes); 1 or more" }
        return nil
    }
}
