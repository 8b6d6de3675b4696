import NIOCore
import NIOPosix
import Synchronization

/// Learns which nodes there are and tells of changes.
final class NodeResolution: Sendable {
    typealias Report = @Sendable (Result<[ClusterNode], MartletClientError>) -> Void

    private let source: NodeSource
    private let isStopped = Atomic<Bool>(false)

    init(_ configuration: MartletClientConfiguration, _ source: NodeSource, on eventLoop: any EventLoop) {
        self.source = source
    }

    /// - Parameter report: Called on any thread, with each new list, and with each failure to get one.
    func start(_ report: @escaping Report) {
        switch source {
        case .list(let nodes): report(.success(nodes))
        case .dns, .srv, .file: break
        }
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }
}
