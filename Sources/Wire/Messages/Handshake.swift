import CWireMessages

/// The version of messages and frames that this side speaks.
package enum WireProtocol {
    package static let version: UInt32 = 1
}

/// The client's first frame.
package struct Hello: MessageBody, Hashable {
    package var protocolVersion: UInt32 = WireProtocol.version
    /// 0: the client does not route.
    package var partitionMapVersion: UInt32 = 0
    /// Where the client would like to land; `nil`: anywhere.
    package var shard: Int?
    package var clientName = ""
    package var token = ""

    package init(
        protocolVersion: UInt32 = WireProtocol.version, partitionMapVersion: UInt32 = 0, shard: Int? = nil,
        clientName: String = "", token: String = ""
    ) {
        self.protocolVersion = protocolVersion
        self.partitionMapVersion = partitionMapVersion
        self.shard = shard
        self.clientName = clientName
        self.token = token
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, protocolVersion)
        sink.field(2, partitionMapVersion)
        sink.field(3, UInt32(truncatingIfNeeded: shard.map { $0 + 1 } ?? 0))
        sink.field(4, clientName)
        sink.field(5, token)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__hello__unpack, body) else {
            throw MessageFault("the body is not a Hello")
        }
        let message = decoded.pointee
        protocolVersion = message.protocol_version
        partitionMapVersion = message.partition_map_version
        shard = message.shard_plus_one == 0 ? nil : Int(message.shard_plus_one) - 1
        clientName = message.client_name.text
        token = message.token.text
    }
}

/// The node's answer to a hello it accepts.
package struct Welcome: MessageBody, Hashable {
    package var protocolVersion: UInt32 = WireProtocol.version
    package var partitionMapVersion: UInt32 = 0
    package var shardCount = 1
    /// Where the connection landed.
    package var shard = 0
    package var frameBytesMax = FrameHeader.frameBytesMaxDefault
    package var callsInFlightMax = 0
    package var nodeName = ""
    package var softwareVersion = ""

    package init(
        protocolVersion: UInt32 = WireProtocol.version, partitionMapVersion: UInt32 = 0, shardCount: Int = 1,
        shard: Int = 0, frameBytesMax: Int = FrameHeader.frameBytesMaxDefault, callsInFlightMax: Int = 0,
        nodeName: String = "", softwareVersion: String = ""
    ) {
        self.protocolVersion = protocolVersion
        self.partitionMapVersion = partitionMapVersion
        self.shardCount = shardCount
        self.shard = shard
        self.frameBytesMax = frameBytesMax
        self.callsInFlightMax = callsInFlightMax
        self.nodeName = nodeName
        self.softwareVersion = softwareVersion
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, protocolVersion)
        sink.field(2, partitionMapVersion)
        sink.field(3, UInt32(truncatingIfNeeded: shardCount))
        sink.field(4, UInt32(truncatingIfNeeded: shard))
        sink.field(5, UInt32(truncatingIfNeeded: frameBytesMax))
        sink.field(6, UInt32(truncatingIfNeeded: callsInFlightMax))
        sink.field(7, nodeName)
        sink.field(8, softwareVersion)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__welcome__unpack, body) else {
            throw MessageFault("the body is not a Welcome")
        }
        let message = decoded.pointee
        protocolVersion = message.protocol_version
        partitionMapVersion = message.partition_map_version
        shardCount = Int(message.shard_count)
        shard = Int(message.shard)
        frameBytesMax = Int(message.frame_bytes_max)
        callsInFlightMax = Int(message.calls_in_flight_max)
        nodeName = message.node_name.text
        softwareVersion = message.software_version.text
    }
}

/// Says that the sender will take no new calls on this connection.
package struct Goaway: MessageBody, Hashable {
    package var reason: String

    package init(reason: String) { self.reason = reason }

    package func write<Sink: ProtoSink>(to sink: inout Sink) { sink.field(1, reason) }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__goaway__unpack, body) else {
            throw MessageFault("the body is not a Goaway")
        }
        reason = decoded.pointee.reason.text
    }
}

/// The body of a reply whose status is not OK.
package struct ErrorBody: MessageBody, Hashable {
    package var message: String
    /// No work was begun.
    package var retryIsSafe: Bool
    /// 0: nothing is known about when.
    package var retryAfterMilliseconds: UInt32

    package init(message: String, retryIsSafe: Bool = false, retryAfterMilliseconds: UInt32 = 0) {
        self.message = message
        self.retryIsSafe = retryIsSafe
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }

    package func write<Sink: ProtoSink>(to sink: inout Sink) {
        sink.field(1, message)
        sink.field(2, retryIsSafe)
        sink.field(3, retryAfterMilliseconds)
    }

    package init(decoding body: UnsafeRawBufferPointer, arena: DecodeArena) throws(MessageFault) {
        guard let decoded = arena.unpack(martlet__v1__error__unpack, body) else {
            throw MessageFault("the body is not an Error")
        }
        message = decoded.pointee.message.text
        retryIsSafe = decoded.pointee.retry_is_safe != 0
        retryAfterMilliseconds = decoded.pointee.retry_after_milliseconds
    }
}
