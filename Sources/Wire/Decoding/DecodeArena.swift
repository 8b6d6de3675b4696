import CWireMessages

/// Memory for one decoded message at a time: protobuf-c allocates from it by moving an offset, and nothing is freed
/// one by one.
///
/// ```
///  first block (kept)              overflow blocks (returned at the next reset)
///  |used......|free.........|      |used...............|  |used....|free......|
/// ```
///
/// A message may take at most 32 times its encoded size plus 4 KiB, and never more than `bytesMax`; a message that
/// wants more does not decode. protobuf-c notes every element in 32 bytes of a doubling table before it copies it, so
/// a long list of one-letter IDs costs up to 29 times its bytes; what costs more is empty or unknown elements. The
/// 4 KiB are for the fixed part of short messages.
///
/// Belongs to one thread, an event loop's as a rule. Everything decoded with it is valid until the next decode.
package final class DecodeArena {
    package static let requestBytesMax = 1 << 20
    package static let replyBytesMax = 16 << 20
    private static let firstBlockBytes = 64 << 10
    private static let fixedBytes = 4 << 10
    private static let expansionMax = 32

    private struct State {
        var block: UnsafeMutableRawPointer
        var offset: Int
        var blockBytes: Int
        /// What the current message may still take.
        var budget: Int
        /// What the current message was given.
        var budgetGiven: Int
        /// Newest overflow block; its first word points to the one before.
        var overflow: UnsafeMutableRawPointer?
    }

    private let bytesMax: Int
    private let firstBlock: UnsafeMutableRawPointer
    private let state: UnsafeMutablePointer<State>
    private let allocator: UnsafeMutablePointer<ProtobufCAllocator>

    /// - Parameter bytesMax: The most that one message may take.
    package init(bytesMax: Int = DecodeArena.requestBytesMax) {
        self.bytesMax = bytesMax
        firstBlock = .allocate(byteCount: DecodeArena.firstBlockBytes, alignment: 16)
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                block: firstBlock, offset: 0, blockBytes: DecodeArena.firstBlockBytes, budget: 0, budgetGiven: 0,
                overflow: nil))
        allocator = .allocate(capacity: 1)
        allocator.initialize(
            to: ProtobufCAllocator(
                alloc: { data, count in DecodeArena.allocate(data, count) },
                free: { _, _ in },
                allocator_data: UnsafeMutableRawPointer(state)))
    }

    deinit {
        DecodeArena.releaseOverflow(state)
        firstBlock.deallocate()
        state.deallocate()
        allocator.deallocate()
    }

    /// Ends the life of everything decoded before and sets the next message's budget.
    package func reset(forMessageBytes count: Int) {
        if state.pointee.overflow != nil { DecodeArena.releaseOverflow(state) }
        state.pointee.block = firstBlock
        state.pointee.blockBytes = DecodeArena.firstBlockBytes
        state.pointee.offset = 0
        let budget = min(bytesMax, DecodeArena.expansionMax * count + DecodeArena.fixedBytes)
        state.pointee.budget = budget
        state.pointee.budgetGiven = budget
    }

    /// Bytes that it holds between messages.
    package var byteCount: Int { DecodeArena.firstBlockBytes }

    /// What the current message has taken.
    var bytesTaken: Int { state.pointee.budgetGiven - state.pointee.budget }

    /// protobuf-c's generated function that decodes a message.
    typealias Unpack<Message> = (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) ->
        UnsafeMutablePointer<Message>?

    /// Resets, then decodes one message; `nil` when `body` is not one or it would take too much.
    @inline(__always)
    func unpack<Message>(_ function: Unpack<Message>, _ body: UnsafeRawBufferPointer) -> UnsafeMutablePointer<Message>?
    {
        reset(forMessageBytes: body.count)
        // An empty body has no address to give; protobuf-c reads none of its bytes.
        let start = body.baseAddress ?? UnsafeRawPointer(firstBlock)
        return function(allocator, body.count, start.assumingMemoryBound(to: UInt8.self))
    }

    private static func allocate(_ data: UnsafeMutableRawPointer?, _ count: Int) -> UnsafeMutableRawPointer? {
        guard let state = data?.assumingMemoryBound(to: State.self) else { return nil }
        guard count >= 0, count <= state.pointee.budget else { return nil }
        let rounded = (count + 7) & ~7
        state.pointee.budget -= rounded
        if state.pointee.offset + rounded > state.pointee.blockBytes {
            let bytes = max(rounded + 16, firstBlockBytes)
            let block = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
            block.storeBytes(of: state.pointee.overflow, as: UnsafeMutableRawPointer?.self)
            state.pointee.overflow = block
            state.pointee.block = block
            state.pointee.blockBytes = bytes
            state.pointee.offset = 16
        }
        let result = state.pointee.block + state.pointee.offset
        state.pointee.offset += rounded
        return result
    }

    private static func releaseOverflow(_ state: UnsafeMutablePointer<State>) {
        var next = state.pointee.overflow
        while let block = next {
            next = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
        state.pointee.overflow = nil
    }
}
