import Artifacts
import Serving
import Telemetry
import Vocabulary
import Wire

/// Answers the calls that are about the node: health at once, models through the loader.
final class ControlDesk: NodeControl {
    private let node: NodeContext
    private let models: ModelControl

    init(node: NodeContext, models: ModelControl) {
        self.node = node
        self.models = models
    }

    func serve(_ call: ControlCall, _ ticket: CallTicket) {
        switch call {
        case .health: ticket.home.reply(health(ticket), to: ticket)
        case .listModels:
            // The listing reads folders and may not hold a loop; the call itself is bounded by the connection's limit.
            Task {
                var reply = ListModelsReply()
                reply.models = await models.list()
                send(.success(reply), ticket)
            }
        case .loadModel(let path):
            Task {
                do {
                    let loaded = try await models.loadUnderRoot(path)
                    var reply = LoadModelReply()
                    reply.generation = loaded.generation.number
                    reply.model = loaded.generation.label
                    reply.loadMilliseconds = loaded.milliseconds
                    node.state.becomeReady()
                    node.metrics.setReady(true)
                    send(.success(reply), ticket)
                } catch {
                    send(Result<LoadModelReply, Rejection>.failure(rejection(error)), ticket)
                }
            }
        }
    }

    private func rejection(_ error: any Error) -> Rejection {
        if let rejection = error as? Rejection { return rejection }
        if let error = error as? ArtifactError { return Rejection(.failedPrecondition, "\(error)") }
        return Rejection(.internalFault, "\(error)")
    }

    private func send<Reply: MessageBody>(_ result: Result<Reply, Rejection>, _ ticket: CallTicket) {
        ticket.home.eventLoop.execute {
            switch result {
            case .success(let reply): ticket.home.reply(reply, to: ticket)
            case .failure(let rejection): ticket.home.refuse(ticket, rejection)
            }
            // No read is under way that would write the answer at its end.
            ticket.home.flushDirty()
        }
    }

    private func health(_ ticket: CallTicket) -> HealthReply {
        var reply = HealthReply()
        reply.state = node.state.isDraining ? .draining : node.state.isReady ? .ready : .loading
        if let generation = ticket.home.shard.assumeIsolated({ $0.generation }) {
            reply.generation = generation.number
            reply.model = generation.label
        }
        reply.shardCount = UInt32(node.shardCount)
        reply.uptimeMilliseconds = (LoopWorker.now &- node.state.startedNanoseconds) / 1_000_000
        reply.softwareVersion = BuildInfo.version
        reply.nodeName = node.nodeName
        return reply
    }
}
