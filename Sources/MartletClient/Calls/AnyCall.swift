import NIOCore
import Vocabulary
import Wire

/// A call as a connection sees it: frames to write and outcomes to deliver. Mostly one of each; a batch has many items, each of
/// which is a call of its own to the node.
protocol AnyCall: AnyObject, Sendable {
    var method: Wire.Method { get }
    var deadline: NIODeadline? { get }
    /// Items; each ends by itself.
    var count: Int { get }
    /// Of the user that the item is about; `nil`: any node, and any shard, will do.
    func slot(_ item: Int) -> Slot?
    /// Where a connection finds the item again: the id that it was sent with, or its number in a client of several nodes;
    /// 0: not sent. Touched on the connection's event loop.
    func mark(_ item: Int) -> UInt64
    func setMark(_ item: Int, _ mark: UInt64)
    /// Somebody waits no more: cancelled, answered or failed.
    func isFinished(_ item: Int) -> Bool
    /// Bytes of the frame.
    func frameBytes(_ item: Int) -> Int
    /// - Parameter timeoutMicroseconds: What is left of the call's time; 0: no limit.
    func writeFrame(
        _ item: Int, id: UInt32, timeoutMicroseconds: UInt32, isRouted: Bool, to buffer: inout ByteBuffer)
    func complete(_ item: Int, _ header: FrameHeader, _ body: ByteBuffer, arena: DecodeArena)
    /// False when the item was finished before.
    @discardableResult func fail(_ item: Int, _ error: MartletClientError) -> Bool
}

extension AnyCall {
    /// What the node is told of the time that is left: at least a microsecond, since 0 would mean that there is no limit.
    func timeoutMicroseconds(at now: NIODeadline) -> UInt32 {
        deadline.map { UInt32(clamping: max(1, ($0 - now).nanoseconds / 1000)) } ?? 0
    }

    func failAll(_ error: MartletClientError) {
        for item in 0..<count { fail(item, error) }
    }
}

/// One item of a call.
struct CallItem {
    let call: any AnyCall
    let item: Int

    var isFinished: Bool { call.isFinished(item) }
    func fail(_ error: MartletClientError) { call.fail(item, error) }
}

extension Wire.Method {
    /// Only reads: sending it twice, at once or one after the other, changes nothing. What changes something is not sent again
    /// once it may have begun, though the node would know a repeated event by its ID: a late copy could come after a later change.
    var isRepeatable: Bool {
        switch self {
        case .recommend, .recommendMany, .similarItems, .getItem, .health, .listModels, .rank: true
        case .loadModel, .recordEvents, .upsertItems, .deleteItems, .setAvailability: false
        }
    }

    /// Goes to the owner of its user however busy that is: what a user did belongs where the user's state is.
    var keepsToOwner: Bool { self == .recordEvents }
}
