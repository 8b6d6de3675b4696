import CWireMessages

/// A request without fields: Health, ListModels.
public struct EmptyRequest: Sendable, Hashable {
    public init() {}
}

extension EmptyRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {}

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        do throws(RequestFault) {
            try EmptyRequestView.check(body, arena: arena)
        } catch {
            throw MessageFault(error.message)
        }
    }
}

/// Whether and with what a node serves.
public struct HealthReply: Sendable, Hashable {
    /// `loading` goes to `ready`, `ready` to `draining`; nothing comes back.
    public enum State: UInt32, CaseIterable, Sendable, Hashable {
        case unknown = 0
        case loading = 1
        case ready = 2
        case draining = 3

        /// A word for tables and logs.
        public var name: String {
            switch self {
            case .unknown: "unknown"
            case .loading: "loading"
            case .ready: "ready"
            case .draining: "draining"
            }
        }
    }

    public var state = State.unknown
    public var generation: UInt64 = 0
    public var model = ""
    public var shardCount: UInt32 = 0
    public var uptimeMilliseconds: UInt64 = 0
    public var softwareVersion = ""
    public var nodeName = ""

    public init() {}
}

extension HealthReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, state.rawValue)
        sink.field(2, generation)
        sink.field(3, model)
        sink.field(4, shardCount)
        sink.field(5, uptimeMilliseconds)
        sink.field(6, softwareVersion)
        sink.field(7, nodeName)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__health_reply__unpack, body) else {
            throw MessageFault("the body is not a HealthReply")
        }
        let message = decoded.pointee
        state = State(rawValue: UInt32(truncatingIfNeeded: message.state.rawValue)) ?? .unknown
        generation = message.generation
        model = message.model.text
        shardCount = message.shard_count
        uptimeMilliseconds = message.uptime_milliseconds
        softwareVersion = message.software_version.text
        nodeName = message.node_name.text
    }
}

/// A bundle under the node's models root.
public struct ModelInfo: Sendable, Hashable {
    /// Relative to the models root.
    public var path = ""
    public var name = ""
    public var version = ""
    /// RFC 3339.
    public var created = ""
    public var users: UInt64 = 0
    public var items: UInt64 = 0
    public var interactions: UInt64 = 0
    public var bytes: UInt64 = 0
    public var serving = false
    /// When serving.
    public var generation: UInt64 = 0
    /// Why the bundle could not be read; empty: it is sound.
    public var fault = ""

    public init() {}
}

extension ModelInfo: ProtoEncodable {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, path)
        sink.field(2, name)
        sink.field(3, version)
        sink.field(4, created)
        sink.field(5, users)
        sink.field(6, items)
        sink.field(7, interactions)
        sink.field(8, bytes)
        sink.field(9, serving)
        sink.field(10, generation)
        sink.field(11, fault)
    }

    init(_ message: Martlet__V1__ModelInfo) {
        path = message.path.text
        name = message.name.text
        version = message.version.text
        created = message.created.text
        users = message.users
        items = message.items
        interactions = message.interactions
        bytes = message.bytes
        serving = message.serving != 0
        generation = message.generation
        fault = message.fault.text
    }
}

/// The bundles under the node's models root.
public struct ListModelsReply: Sendable, Hashable {
    public var models: [ModelInfo] = []
    public init() {}
}

extension ListModelsReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        for model in models { sink.message(1, model) }
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__list_models_reply__unpack, body) else {
            throw MessageFault("the body is not a ListModelsReply")
        }
        models = UnsafeBufferPointer(start: decoded.pointee.models, count: decoded.pointee.n_models).compactMap {
            $0.map { ModelInfo($0.pointee) }
        }
    }
}

/// Asks a node to serve another bundle.
public struct LoadModelRequest: Sendable, Hashable {
    /// Relative to the models root.
    public var path: String
    public init(path: String) { self.path = path }
}

extension LoadModelRequest: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) { sink.field(1, path) }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        do throws(RequestFault) {
            path = String(decoding: try LoadModelRequestView(body, arena: arena).path, as: UTF8.self)
        } catch {
            throw MessageFault(error.message)
        }
    }
}

/// What the node serves since.
public struct LoadModelReply: Sendable, Hashable {
    public var generation: UInt64 = 0
    public var model = ""
    public var loadMilliseconds: UInt64 = 0

    public init() {}
}

extension LoadModelReply: MessageBody {
    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, generation)
        sink.field(2, model)
        sink.field(3, loadMilliseconds)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__load_model_reply__unpack, body) else {
            throw MessageFault("the body is not a LoadModelReply")
        }
        generation = decoded.pointee.generation
        model = decoded.pointee.model.text
        loadMilliseconds = decoded.pointee.load_milliseconds
    }
}
