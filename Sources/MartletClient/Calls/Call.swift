import NIOCore
import Synchronization
import Vocabulary
import Wire

/// A call as a connection sees it: a frame to write and an outcome to deliver.
protocol AnyCall: AnyObject, Sendable {
    var method: Wire.Method { get }
    var deadline: NIODeadline? { get }
    /// The id it was sent with; 0: not sent. Touched on the connection's event loop.
    var sentID: UInt32 { get set }
    /// Somebody waits no more: cancelled, answered or failed.
    var isFinished: Bool { get }
    /// Bytes of the frame.
    var frameBytes: Int { get }
    func writeFrame(id: UInt32, now: NIODeadline, to buffer: inout ByteBuffer)
    func complete(_ header: FrameHeader, _ body: ByteBuffer, arena: DecodeArena)
    /// False when the call was finished before.
    @discardableResult func fail(_ error: MartletClientError) -> Bool
}

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
    private let id = Atomic<UInt32>(0)

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

    var sentID: UInt32 {
        get { id.load(ordering: .relaxed) }
        set { id.store(newValue, ordering: .relaxed) }
    }

    var isFinished: Bool {
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

    var frameBytes: Int {
        FrameHeader.byteCount + (options.trace == nil ? 0 : TraceContext.byteCount)
            + RequestIDExtension.bytes(options.requestID).count + request.encodedByteCount
    }

    func writeFrame(id: UInt32, now: NIODeadline, to buffer: inout ByteBuffer) {
        var microseconds: UInt32 = 0
        if let deadline {
            // At least one: zero would mean that there is no limit.
            microseconds = UInt32(clamping: max(1, (deadline - now).nanoseconds / 1000))
        }
        let header = FrameHeader.call(
            method, id: id, timeoutMicroseconds: microseconds, slot: slot,
            flags: CallFlags(options.priority).union(options.bypassesCache ? .bypassCache : []), bodyBytes: 0)
        request.writeFrame(header, trace: options.trace, requestID: options.requestID, to: &buffer)
    }

    func complete(_ header: FrameHeader, _ body: ByteBuffer, arena: DecodeArena) {
        let status = header.status
        guard status == .ok else {
            fail(MartletClientError(status, header.replyFlags, try? ErrorBody(decoding: body, arena: arena)))
            return
        }
        let info = ReplyInfo(
            serverMicroseconds: header.microseconds, loadHint: header.slotOrLoad,
            isCached: header.replyFlags.contains(.cached), isStale: header.replyFlags.contains(.stale))
        let outcome: Outcome
        do throws(MessageFault) {
            outcome = .success((try Reply(decoding: body, arena: arena), info))
        } catch {
            outcome = .failure(MartletClientError(.internal, "the node's answer cannot be read: \(error)"))
        }
        guard let continuation = takeContinuation(orFail: .cancelled) else { return }
        options.onReply?(info)
        continuation.resume(returning: outcome)
    }

    @discardableResult
    func fail(_ error: MartletClientError) -> Bool {
        let wasFinished = isFinished
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
