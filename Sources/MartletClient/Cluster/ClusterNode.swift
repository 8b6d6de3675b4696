/// A node of a cluster as a client is told of it.
public struct ClusterNode: Sendable, Hashable {
    /// Decides which users the node owns: all clients must have the same name for it. Host and port unless given.
    public var name: String
    public var host: String
    public var port: Int
    /// Above 0; twice the weight, twice the users.
    public var weight: Double

    public init(host: String, port: Int, weight: Double = 1, name: String? = nil) {
        self.host = host
        self.port = port
        self.weight = weight
        self.name = name ?? (host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
    }

    /// Reads `HOST:PORT`, `[IPv6]:PORT` or `HOST`, which has port 7400.
    ///
    /// - Throws: `MartletClientError` with INVALID_ARGUMENT that says what is wrong.
    public init(parsing text: String, weight: Double = 1) throws(MartletClientError) {
        func fault(_ why: String) -> MartletClientError {
            MartletClientError(.invalidArgument, "'\(text)' is no node: \(why); write HOST:PORT, as in 10.0.0.7:7400")
        }
        var host = text
        var port = 7400
        let isBareIPv6 = !text.hasPrefix("[") && text.count { $0 == ":" } > 1
        if isBareIPv6 { throw fault("an IPv6 address stands in brackets, as in [::1]:7400") }
        if let colon = text.lastIndex(of: ":"), text[colon...].allSatisfy({ $0 != "]" }) {
            guard let number = Int(text[text.index(after: colon)...]) else { throw fault("the port is no number") }
            host = String(text[..<colon])
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { throw fault("it has no host") }
        guard (1...65535).contains(port) else { throw fault("ports are 1 to 65535") }
        guard weight > 0, weight.isFinite else { throw fault("its weight is \(weight); above 0") }
        self.init(host: host, port: port, weight: weight)
    }

    /// Reads a list with commas between the nodes.
    public static func list(parsing text: String) throws(MartletClientError) -> [ClusterNode] {
        var nodes: [ClusterNode] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let node = try ClusterNode(parsing: String(part.drop { $0 == " " }))
            if !nodes.contains(where: { $0.name == node.name }) { nodes.append(node) }
        }
        return nodes
    }
}

/// Where a client learns which nodes there are.
public enum NodeSource: Sendable, Hashable {
    /// These, until `MartletClient.setNodes` says otherwise.
    case list([ClusterNode])
    /// The addresses of a name, all with this port; asked again and again.
    case dns(host: String, port: Int)
    /// A file with one node a line, `HOST:PORT [WEIGHT]`, and comments after `#`; read again when it changes.
    case file(String)
}
