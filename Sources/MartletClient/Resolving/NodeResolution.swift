import NIOCore
import NIOPosix
import Synchronization

/// Learns which nodes there are, and tells of changes.
///
/// Files and names are looked up on threads that may block, again and again: names every half minute and soon after a node
/// could not be reached, files whenever their stamp has changed. What cannot be read leaves the list as it was.
final class NodeResolution: Sendable {
    typealias Report = @Sendable (Result<[ClusterNode], MartletClientError>) -> Void

    private struct State {
        var report: Report?
        var isStopped = false
        var isLooking = false
        var next: Scheduled<Void>?
        var lastLook = NIODeadline.uptimeNanoseconds(0)
        var nodes: [ClusterNode]?
        var stamp: NodeFile.Stamp?
        var lastFault: MartletClientError?
    }

    /// A name is not asked for more often than that, however many connections fail.
    private static let pauseMin: TimeAmount = .seconds(1)

    private let source: NodeSource
    private let interval: TimeAmount
    private let eventLoop: any EventLoop
    private let state = Mutex(State())

    init(_ configuration: MartletClientConfiguration, _ source: NodeSource, on eventLoop: any EventLoop) {
        self.source = source
        self.eventLoop = eventLoop
        interval =
            switch source {
            case .file: TimeAmount(configuration.nodesRefresh ?? .seconds(1))
            case .list, .dns: TimeAmount(configuration.nodesRefresh ?? .seconds(30))
            }
    }

    /// - Parameter report: Called on any thread, with each new list, and with each new reason for having none.
    func start(_ report: @escaping Report) {
        if case .list(let nodes) = source { return report(.success(nodes)) }
        state.withLock { $0.report = report }
        look()
    }

    /// A node could not be reached: perhaps it has another address by now.
    func soon() {
        guard case .dns = source else { return }
        let isDue = state.withLock { $0.lastLook + Self.pauseMin <= .now() }
        if isDue { look() }
    }

    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.report = nil
            state.next?.cancel()
        }
    }

    private func look() {
        let mayLook = state.withLock { state in
            guard !state.isStopped, !state.isLooking else { return false }
            state.isLooking = true
            state.lastLook = .now()
            state.next?.cancel()
            return true
        }
        guard mayLook else { return }
        // A pool that is shut down gives nobody an answer any more.
        NIOThreadPool.singleton.submit { [weak self] pool in
            if case .active = pool { self?.lookNow() }
        }
    }

    private func lookNow() {
        let stamp = state.withLock { $0.stamp }
        var found: [ClusterNode]?
        var newStamp: NodeFile.Stamp?
        var fault: MartletClientError?
        do throws(MartletClientError) {
            switch source {
            case .list: break
            case .file(let path):
                let current = try NodeFile.stamp(path)
                newStamp = current
                if current != stamp { found = try NodeFile.read(path) }
            case .dns(let host, let port):
                found = try HostLookup.addresses(of: host).map { ClusterNode(host: $0, port: port) }
            }
        } catch { fault = error }
        take(found, newStamp, fault)
    }

    private func take(_ found: [ClusterNode]?, _ stamp: NodeFile.Stamp?, _ fault: MartletClientError?) {
        let news = state.withLock { state -> (Report, Result<[ClusterNode], MartletClientError>)? in
            state.isLooking = false
            guard !state.isStopped else { return nil }
            // Under the lock: `stop` comes before the end of the event loop.
            state.next = eventLoop.scheduleTask(in: jittered(interval)) { [weak self] in self?.look() }
            // A file that is broken is read again when it changes.
            if let stamp { state.stamp = stamp }
            if let fault {
                guard fault != state.lastFault, let report = state.report else { return nil }
                state.lastFault = fault
                var told = fault
                if let nodes = state.nodes { told.message += "; the \(nodes.count) nodes known before are kept" }
                return (report, .failure(told))
            }
            guard let found, let report = state.report else { return nil }
            let hadFault = state.lastFault != nil
            state.lastFault = nil
            guard hadFault || found != state.nodes else { return nil }
            state.nodes = found
            return (report, .success(found))
        }
        if let (report, result) = news { report(result) }
    }

    /// Clients that began together do not ask together: a tenth more or less.
    private func jittered(_ interval: TimeAmount) -> TimeAmount {
        .nanoseconds(Int64(Double(interval.nanoseconds) * Double.random(in: 0.9...1.1)))
    }
}

extension NodeSource {
    /// Reads `a:7400,b:7400`, `dns:HOST:PORT` or `file:PATH`.
    public init(parsing text: String) throws(MartletClientError) {
        if text.hasPrefix("file:") {
            self = .file(String(text.dropFirst(5)))
        } else if text.hasPrefix("dns:") {
            let node = try ClusterNode(parsing: String(text.dropFirst(4)))
            self = .dns(host: node.host, port: node.port)
        } else {
            self = .list(try ClusterNode.list(parsing: text))
        }
    }
}
