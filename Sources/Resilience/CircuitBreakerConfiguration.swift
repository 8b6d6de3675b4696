/// When a circuit breaker opens, and for how long.
package struct CircuitBreakerConfiguration: Sendable {
    /// Failures in a row that open it. 0: only the rate counts.
    package var consecutiveFailures = 5
    /// Share of failures in the window that opens it, above 0 and at most 1.
    package var failureRate = 0.5
    /// Outcomes that the window must hold before its rate means anything.
    package var minimumVolume = 20
    package var window: Duration = .seconds(10)
    /// How long it is open the first time; doubles each time it opens again soon.
    package var openFirst: Duration = .milliseconds(250)
    package var openMaximum: Duration = .seconds(30)
    /// Share of that time which is drawn.
    package var jitter = 0.5
    /// Probes in a row that must succeed before it closes.
    package var probesToClose = 1
    /// A probe whose outcome nobody told by then is lost, and the next caller is the probe.
    package var probeTimeout: Duration = .seconds(5)
    /// Closed for so long, it forgets how often it opened before: a dependency that comes and goes keeps its long waits.
    package var steadyAfter: Duration = .seconds(30)

    package init() {}

    /// What is wrong with it; nil: nothing.
    package func problem() -> String? {
        if consecutiveFailures < 0 { return "consecutiveFailures is \(consecutiveFailures); 0 or more" }
        if !(failureRate > 0 && failureRate <= 1) { return "failureRate is \(failureRate); above 0, at most 1" }
        if minimumVolume < 1 { return "minimumVolume is \(minimumVolume); 1 or more" }
        if window < .milliseconds(1) { return "window is \(window); 1 ms or more" }
        if openFirst <= .zero || openMaximum < openFirst { return "open from \(openFirst) to \(openMaximum)" }
        if !(0...1).contains(jitter) { return "jitter is \(jitter); 0...1" }
        if probesToClose < 1 { return "probesToClose is \(probesToClose); 1 or more" }
        if probeTimeout <= .zero { return "probeTimeout is \(probeTimeout); above 0" }
        if steadyAfter < .zero { return "steadyAfter is \(steadyAfter); 0 or more" }
        return nil
    }
}
