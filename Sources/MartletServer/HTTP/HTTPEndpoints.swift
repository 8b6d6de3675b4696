import Telemetry

/// Whether the node wants to be sent calls.
package enum Readiness: Sendable, Equatable {
    case ready
    /// With the reason in a few words, such as "loading the bundle" or "draining".
    case notReady(String)
}

/// What the HTTP port answers. The port knows nothing of the node; these know nothing of HTTP.
///
/// All three run on the port's own event loop: they must return in milliseconds and wait for nothing.
package struct HTTPEndpoints: Sendable {
    package var metrics: @Sendable (ExpositionFormat) -> [UInt8]
    package var readiness: @Sendable () -> Readiness
    /// A JSON text.
    package var status: @Sendable () -> String

    package init(
        metrics: @escaping @Sendable (ExpositionFormat) -> [UInt8], readiness: @escaping @Sendable () -> Readiness,
        status: @escaping @Sendable () -> String
    ) {
        self.metrics = metrics
        self.readiness = readiness
        self.status = status
    }
}

/// The maximum of everything a client of the HTTP port could make grow.
package struct HTTPPortLimits: Sendable {
    /// Further connections are closed at once.
    package var connectionsMax = 128
    /// A larger request, head and body together, is answered 431 or 413 and its connection closed.
    package var requestBytesMax = 16 << 10
    /// From the first byte of a request to its last; then the connection is closed.
    package var requestTimeout: Duration = .seconds(10)
    /// Between requests; then the connection is closed.
    package var idleTimeout: Duration = .seconds(75)
    /// For a client to take its answer; then the connection is closed.
    package var responseTimeout: Duration = .seconds(10)

    package init() {}
}
