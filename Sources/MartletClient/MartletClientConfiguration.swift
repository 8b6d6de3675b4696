import NIOCore

/// What a `MartletClient` needs to know. The defaults suit a service beside its node.
public struct MartletClientConfiguration: Sendable {
    /// Name or address of the node.
    public var host: String
    public var port: Int
    /// Several nodes, in place of `host` and `port`; nil: one node.
    public var nodes: NodeSource?
    /// How often a name or a file of nodes is looked at anew, a tenth more or less; nil: names every 30 s, files every second.
    public var nodesRefresh: Duration?
    /// How calls are shared between several nodes.
    public var balancing = BalancingConfiguration()
    /// What the node's logs call this client; at most 255 bytes.
    public var clientName = "martlet-client"
    /// How long a call may take when it does not say so itself; `nil`: as long as it takes.
    public var timeout: Duration? = .seconds(1)
    /// How long connecting may take, the handshake included.
    public var connectTimeout: Duration = .seconds(2)
    /// Opens a connection for each shard of the node and sends a call about a user on its shard's connection.
    /// Off: one connection.
    public var routesByShard = true
    /// The most connections to a node; shards beyond share them.
    public var connectionsMax = 64
    /// The most calls in flight on a connection; the node may allow fewer.
    public var callsInFlightMax = 1024
    /// The most calls that wait, on a connection, for their turn to be sent. Further calls fail at once with
    /// RESOURCE_EXHAUSTED.
    public var callsQueuedMax = 10_000
    /// Whether calls wait, within their timeout, while the node cannot be reached. Off: they fail at once with
    /// UNAVAILABLE until an attempt to reconnect succeeds.
    public var waitsForNode = false
    /// The wait after the first failed attempt to connect; doubles with each further one, a random half taken off.
    public var reconnectDelay: Duration = .milliseconds(50)
    public var reconnectDelayMax: Duration = .seconds(5)
    /// After so long without a word from the node it is asked for one.
    public var pingAfter: Duration = .seconds(15)
    /// A node that does not answer the ping for so long counts as gone.
    public var pingTimeout: Duration = .seconds(5)
    /// Larger answers end the connection.
    public var frameBytesMax = 16 << 20

    public init(host: String = "127.0.0.1", port: Int = 7400) {
        self.host = host
        self.port = port
    }

    /// Of several nodes.
    public init(nodes: NodeSource) {
        self.init()
        self.nodes = nodes
    }

    /// - Throws: `MartletClientError` with INVALID_ARGUMENT, naming the first setting that cannot be.
    public func validate() throws(MartletClientError) {
        func check(_ isSound: Bool, _ message: String) throws(MartletClientError) {
            guard isSound else { throw MartletClientError(.invalidArgument, "client configuration: \(message)") }
        }
        try check(!host.isEmpty, "host is empty")
        try check((1...65535).contains(port), "port is \(port); allowed: 1...65535")
        if nodes != nil, let problem = balancing.problem(of: self) { try check(false, "balancing: \(problem)") }
        try check(nodesRefresh.map { $0 >= .milliseconds(1) } ?? true, "nodesRefresh must be a millisecond or more")
        try check(clientName.utf8.count <= 255, "clientName has more than 255 bytes")
        try check(timeout.map { $0 > .zero } ?? true, "timeout must be above zero")
        try check(connectTimeout > .zero, "connectTimeout must be above zero")
        try check(connectionsMax >= 1, "connectionsMax is \(connectionsMax); at least 1")
        try check(callsInFlightMax >= 1, "callsInFlightMax is \(callsInFlightMax); at least 1")
        try check(callsQueuedMax >= 1, "callsQueuedMax is \(callsQueuedMax); at least 1")
        try check(reconnectDelay > .zero, "reconnectDelay must be above zero")
        try check(reconnectDelayMax >= reconnectDelay, "reconnectDelayMax is below reconnectDelay")
        try check(pingAfter > .zero && pingTimeout > .zero, "pingAfter and pingTimeout must be above zero")
        try check(frameBytesMax >= 4096, "frameBytesMax is \(frameBytesMax); at least 4096")
    }

    var nodeName: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
