import NIOCore
import Vocabulary

/// The methods of the service. The raw value is the method byte of a call.
package enum Method: UInt8, CaseIterable, Sendable {
    case recommend = 1
    case recommendMany = 2
    case similarItems = 3
    case getItem = 4
    case health = 5
    case listModels = 6
    case loadModel = 7
    case rank = 8
    case recordEvents = 9
    case upsertItems = 10
    case deleteItems = 11
    case setAvailability = 12

    /// The rpc's name in the schema.
    package var name: String {
        switch self {
        case .recommend: "Recommend"
        case .recommendMany: "RecommendMany"
        case .similarItems: "SimilarItems"
        case .getItem: "GetItem"
        case .health: "Health"
        case .listModels: "ListModels"
        case .loadModel: "LoadModel"
        case .rank: "Rank"
        case .recordEvents: "RecordEvents"
        case .upsertItems: "UpsertItems"
        case .deleteItems: "DeleteItems"
        case .setAvailability: "SetAvailability"
        }
    }
}

/// The header by the role of its frame.
extension FrameHeader {
    /// - Parameter timeoutMicroseconds: What is left of the caller's time; 0: no limit.
    package static func call(
        _ method: Method, id: UInt32, timeoutMicroseconds: UInt32 = 0, slot: Slot? = nil, flags: CallFlags = [],
        extensionBytes: UInt16 = 0, bodyBytes: Int
    ) -> FrameHeader {
        FrameHeader(
            kind: .call, code: method.rawValue, flags: flags.rawValue, callID: id, microseconds: timeoutMicroseconds,
            slotOrLoad: slot?.value ?? noSlot, extensionBytes: extensionBytes, bodyBytes: bodyBytes)
    }

    /// - Parameters:
    ///   - serverMicroseconds: Time between the call's arrival and its answer.
    ///   - loadHint: 0 is idle, 65535 is full.
    package static func reply(
        _ status: StatusCode, id: UInt32, flags: ReplyFlags = [], serverMicroseconds: UInt32 = 0, loadHint: UInt16 = 0,
        bodyBytes: Int
    ) -> FrameHeader {
        FrameHeader(
            kind: .reply, code: status.rawValue, flags: flags.rawValue, callID: id, microseconds: serverMicroseconds,
            slotOrLoad: loadHint, bodyBytes: bodyBytes)
    }

    /// A frame without a body: cancel, ping, pong.
    package static func bare(_ kind: FrameKind, id: UInt32) -> FrameHeader {
        FrameHeader(kind: kind, callID: id, bodyBytes: 0)
    }

    /// Of a call; `nil`: a method this side does not know.
    package var method: Method? { Method(rawValue: code) }

    /// Of a reply; a code this side does not know counts as `.unknown`.
    package var status: StatusCode { StatusCode(rawValue: code) ?? .unknown }

    package var callFlags: CallFlags { CallFlags(rawValue: flags) }
    package var replyFlags: ReplyFlags { ReplyFlags(rawValue: flags) }

    /// Of a call; `nil` when not given or not a slot.
    package var slot: Slot? { Int(slotOrLoad) < Slot.count ? Slot(slotOrLoad) : nil }
}

extension ByteBuffer {
    /// Appends a frame's header.
    package mutating func writeHeader(_ header: FrameHeader) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: FrameHeader.byteCount) { bytes in
            if let base = bytes.baseAddress { header.write(into: base) }
            return FrameHeader.byteCount
        }
    }
}
