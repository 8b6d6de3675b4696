import NIOCore
import Synchronization
import Vocabulary
import Wire

/// One call, from the task that asks to the answer that resumes it.
///
/// ```
///  new -> waiting -> finished
///  new -> failedEarly -> finished      (cancelled before the task was suspended)
/// ```
/// Whoever takes the continuation out of `waiting` resumes it; there is only one.
final class Call<Request: MessageBody, Reply: MessageBody>: AnyCall {
    typealias Outcome = Result<(reply: Reply, info: ReplyInfo), MartletClientError>
    typealias Continuation = UnsafeContinuation<Outcome, Never>

    private enum State {
        case new
        case waiting(Continuation)
        case failedEarly(MartletClientError)
        case finished
    }

    let method: Wire.Method
    let deadline: NIODeadline?
    private let request: Request
    private let slot: Slot?
    private let options: CallOptions
    private let state = Mutex<State>(.new)
    private let sentMark = Atomic<UInt64>(0)

    init(_ method: Wire.Method, _ request: Request, slot: Slot?, deadline: NIODeadline?, options: CallOptions) {
        self.method = method
        self.request = request
        self.slot = slot
        self.deadline = deadline
        self.options = options
    }

    deinit {
        state.withLock { state in
            guard case .waiting = state else { return }
            preconditionFailure("a \(method.name) call was dropped and its task would wait for ever")
        }
    }

    var count: Int { 1 }
    func slot(_: Int) -> Slot? { slot }
    func mark(_: Int) -> UInt64 { sentMark.load(ordering: .relaxed) }
    func setMark(_: Int, _ mark: UInt64) { sentMark.store(mark, ordering: .relaxed) }

    func isFinished(_: Int) -> Bool {
        state.withLock { state in
            switch state {
            case .new, .waiting: false
            case .failedEarly, .finished: true
            }
        }
    }

    // MARK: The asking side

    /// Suspends until the outcome is there. `submit` is called once, unless the task was cancelled before.
    func outcome(submit: () -> Void) async -> Outcome {
        await withUnsafeContinuation { continuation in
            let early = state.withLock { state -> MartletClientError? in
                if case .failedEarly(let error) = state {
                    state = .finished
                    return error
                }
                state = .waiting(continuation)
                return nil
            }
            if let early {
                continuation.resume(returning: .failure(early))
            } else {
                submit()
            }
        }
    }

    // MARK: The connection's side

    func frameBytes(_: Int) -> Int { options.frameBytes(of: request) }

    func writeFrame(
        _: Int, id: UInt32, timeoutMicroseconds: UInt32, isRouted: Bool, to buffer: inout ByteBuffer
    ) {
        let header = FrameHeader.call(
            method, id: id, timeoutMicroseconds: timeoutMicroseconds, slot: isRouted ? slot : nil,
            flags: options.flags, bodyBytes: 0)
        request.writeFrame(header, trace: options.trace, requestID: options.requestID, to: &buffer)
    }

    func complete(_ item: Int, _ header: FrameHeader, _ body: ByteBuffer, arena: DecodeArena) {
        let outcome = Self.read(header, body, arena)
        guard let continuation = takeContinuation(orFail: .cancelled) else { return }
        if case .success((_, let info)) = outcome { options.onReply?(info) }
        continuation.resume(returning: outcome)
    }

    /// What a reply says.
    static func read(_ header: FrameHeader, _ body: ByteBuffer, _ arena: DecodeArena) -> Outcome {
        let status = header.status
        guard status == .ok else {
            return .failure(
                MartletClientError(status, header.replyFlags, try? ErrorBody(decoding: body, arena: arena)))
        }
        do throws(MessageFault) {
            return .success((try Reply(decoding: body, arena: arena), ReplyInfo(header)))
        } catch {
            return .failure(MartletClientError(.internal, "the node's answer cannot be read: \(error)"))
        }
    }

    @discardableResult
    func fail(_ item: Int, _ error: MartletClientError) -> Bool {
        let wasFinished = isFinished(item)
        guard let continuation = takeContinuation(orFail: error) else { return !wasFinished }
        continuation.resume(returning: .failure(error))
        return true
    }

    /// The continuation, once; a call that nobody waits for yet will fail with `error` as soon as somebody does.
    private func takeContinuation(orFail error: MartletClientError) -> Continuation? {
        state.withLock { state in
            switch state {
            case .new:
                state = .failedEarly(error)
                return nil
            case .waiting(let continuation):
                state = .finished
                return continuation
            case .failedEarly, .finished: return nil
            }
        }
    }
}

extension CallOptions {
    /// Of a frame.
    var flags: CallFlags { CallFlags(priority).union(bypassesCache ? .bypassCache : []) }

    /// Bytes of a frame with this request.
    func frameBytes(of request: some MessageBody) -> Int {
        FrameHeader.byteCount + (trace == nil ? 0 : TraceContext.byteCount)
            + (requestID.isEmpty ? 0 : RequestIDExtension.bytes(requestID).count) + request.encodedByteCount
    }
}

extension ReplyInfo {
    init(_ header: FrameHeader) {
        self.init(
            serverMicroseconds: header.microseconds, loadHint: header.slotOrLoad,
            isCached: header.replyFlags.contains(.cached), isStale: header.replyFlags.contains(.stale))
    }
}
