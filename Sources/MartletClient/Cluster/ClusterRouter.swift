import NIOCore
import Synchronization

/// The nodes of a client of several: a cluster for each of its event loops, and who tells them which nodes there are.
final class ClusterRouter: Sendable {
    let loops: [ClusterLoop]
    private let next = Atomic<Int>(0)
    private let isStarted = Atomic<Bool>(false)
    private let resolution: NodeResolution

    init(_ configuration: MartletClientConfiguration, _ source: NodeSource, group: any EventLoopGroup) {
        let resolution = NodeResolution(configuration, source, on: group.next())
        self.resolution = resolution
        var generator = SystemRandomNumberGenerator()
        loops = group.makeIterator().map {
            ClusterLoop(configuration, eventLoop: $0, seed: generator.next()) { resolution.soon() }
        }
    }

    /// The event loop for the next call.
    func loop() -> ClusterLoop {
        start()
        guard loops.count > 1 else { return loops[0] }
        let number = next.add(1, ordering: .relaxed).newValue
        return loops[Int(UInt(bitPattern: number) % UInt(loops.count))]
    }

    /// Begins to connect.
    func start() {
        guard !isStarted.load(ordering: .relaxed), !isStarted.exchange(true, ordering: .relaxed) else { return }
        resolution.start { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let nodes): self.setNodes(nodes)
            case .failure(let fault): for loop in self.loops { loop.run { $0.resolutionFailed(fault) } }
            }
        }
    }

    func setNodes(_ nodes: [ClusterNode]) {
        var known: Set<String> = []
        let nodes = nodes.filter { known.insert($0.name).inserted }
        for loop in loops { loop.run { $0.setNodes(nodes) } }
    }

    /// Nodes come from the caller from now on.
    func takeOver(_ nodes: [ClusterNode]) {
        isStarted.store(true, ordering: .relaxed)
        resolution.stop()
        setNodes(nodes)
    }

    /// All has ended; the event loops may go.
    func close() { for loop in loops { loop.close() } }

    func stop(isAbrupt: Bool) -> [EventLoopFuture<Void>] {
        resolution.stop()
        return loops.map { $0.stop(.shutDown, isAbrupt: isAbrupt) }
    }
}
