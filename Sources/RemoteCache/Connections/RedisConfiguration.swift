import NIOSSL

/// A server by its address.
package struct RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// How a connection to Redis is made and what it may hold.
package struct RedisConfiguration: Sendable {
    package var endpoints: [RedisEndpoint]
    /// Ask the endpoints for the slots of a cluster.
    package var isCluster = false
    /// Empty: the password alone is sent.
    package var user = ""
    /// Empty: no AUTH.
    package var password = ""
    package var database = 0
    package var clientName = "martlet"
    /// nil: no TLS.
    package var tls: NIOSSLContext?

    /// Of one event loop to one server.
    package var connectionsPerNode = 1
    /// For the connection, TLS, AUTH and all that comes before the first command.
    package var connectTimeout: Duration = .seconds(2)
    /// For a reply, where the caller names no time of its own.
    package var commandTimeout: Duration = .milliseconds(50)
    /// No reply for so long, with commands waiting for some: the connection is closed.
    package var stallTimeout: Duration = .seconds(1)
    /// A connection without commands is asked for a sign of life so often.
    package var keepalive: Duration = .seconds(10)
    package var reconnectFirst: Duration = .milliseconds(50)
    package var reconnectMaximum: Duration = .seconds(2)
    /// Commands of one connection that wait for replies.
    package var pipelineMax = 4096
    /// Bytes of those commands.
    package var pipelineBytesMax = 16 << 20
    package var replyLimits = ReplyLimits()
    /// Times that a cluster may send a command on.
    package var redirectsMax = 4
    /// Servers of a cluster that are remembered.
    package var nodesMax = 256

    package init(endpoints: [RedisEndpoint]) { self.endpoints = endpoints }

    /// What is wrong with it; nil: nothing.
    package func problem() -> String? {
        if endpoints.isEmpty { return "no server is named" }
        if isCluster && database != 0 { return "a cluster has no databases; database is \(database)" }
        if !(0...65_535).contains(database) { return "database is \(database); 0...65535" }
        if clientName.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) { return "the client name has spaces" }
        if !(1...16).contains(connectionsPerNode) { return "connections are \(connectionsPerNode); 1...16" }
        if pipelineMax < 1 || pipelineBytesMax < 1024 { return "the pipeline is smaller than one command" }
        if commandTimeout <= .zero || connectTimeout <= .zero || stallTimeout <= .zero || keepalive <= .zero {
            return "a time is not above 0"
        }
        if reconnectFirst <= .zero || reconnectMaximum < reconnectFirst {
            return "reconnection waits from \(reconnectFirst) to \(reconnectMaximum)"
        }
        return nil
    }
}
