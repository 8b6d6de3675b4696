/// Names of values in a Redis that others may use, too.
///
/// `martlet:{tenant}:kind:version:rest`. The tenant is the hash tag, which keeps apart what belongs to different tenants; where one
/// tenant must spread over a cluster, `spreads` leaves the braces out.
package struct RemoteKeys: Sendable {
    package let prefix: [UInt8]

    /// - Parameters:
    ///   - namespace: First word of all keys.
    ///   - kind: What the values are.
    ///   - version: Of the values' layout: programs of another version do not even find them.
    package init(
        namespace: String = "martlet", tenant: String = "default", kind: String, version: Int, spreads: Bool = true
    ) {
        let name = spreads ? tenant : "{\(tenant)}"
        prefix = Array("\(namespace):\(name):\(kind):\(version):".utf8)
    }

    package func key(_ rest: some Collection<UInt8>) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(prefix.count + rest.count)
        key.append(contentsOf: prefix)
        key.append(contentsOf: rest)
        return key
    }
}
