import NIOCore
import Synchronization
import Vocabulary
import Wire

/// Many calls of one method that one task waits for once: each goes its own way to its own node and has an outcome of its own.
///
/// What a call costs beside its bytes (an object, a suspension, waking a task) is paid once for all of them.
final class CallBatch<Request: MessageBody, Reply: MessageBody>: AnyCall {
    typealias Outcome = Result<Reply, MartletClientError>
    typealias Continuation = UnsafeContinuation<[Outcome], Never>

    private struct State {
        var outcomes: [Outcome?]
        var open: Int
        var continuation: Continuation?
    }

    let method: Wire.Method
    let deadline: NIODeadline?
    private let requests: [Request]
    private let slots: [Slot?]
    private let options: CallOptions
    private let state: Mutex<State>
    /// One for each item.
    private let marks: ItemMarks

    /// - Parameter slots: One for each request.
    init(
        _ method: Wire.Method, _ requests: [Request], slots: [Slot?], deadline: NIODeadline?, options: CallOptions
    ) {
        precondition(slots.count == requests.count, "\(slots.count) slots of \(requests.count) requests")
        self.method = method
        self.requests = requests
        self.slots = slots
        self.deadline = deadline
        self.options = options
        state = Mutex(State(outcomes: Array(repeating: nil, count: requests.count), open: requests.count))
        marks = ItemMarks(requests.count)
    }

    deinit {
        state.withLock { state in
            guard state.continuation != nil else { return }
            preconditionFailure("a batch of \(method.name) calls was dropped and its task would wait for ever")
        }
    }

    var count: Int { requests.count }
    func slot(_ item: Int) -> Slot? { slots[item] }
    func mark(_ item: Int) -> UInt64 { marks[item] }
    func setMark(_ item: Int, _ mark: UInt64) { marks[item] = mark }
    func isFinished(_ item: Int) -> Bool { state.withLock { $0.outcomes[item] != nil } }

    /// Suspends until all outcomes are there, in the order of the requests.
    func outcomes(submit: () -> Void) async -> [Outcome] {
        await withUnsafeContinuation { continuation in
            let isOver = state.withLock { state -> [Outcome]? in
                guard state.open > 0 else { return state.outcomes.compactMap(\.self) }
                state.continuation = continuation
                return nil
            }
            if let isOver {
                continuation.resume(returning: isOver)
            } else {
                submit()
            }
        }
    }

    func frameBytes(_ item: Int) -> Int { options.frameBytes(of: requests[item]) }

    func writeFrame(
        _ item: Int, id: UInt32, timeoutMicroseconds: UInt32, isRouted: Bool, to buffer: inout ByteBuffer
    ) {
        let header = FrameHeader.call(
            method, id: id, timeoutMicroseconds: timeoutMicroseconds, slot: isRouted ? slots[item] : nil,
            flags: options.flags, bodyBytes: 0)
        requests[item].writeFrame(header, trace: options.trace, requestID: options.requestID, to: &buffer)
    }

    func complete(_ item: Int, _ header: FrameHeader, _ body: ByteBuffer, arena: DecodeArena) {
        switch Call<Request, Reply>.read(header, body, arena) {
        case .success((let reply, let info)):
            if settle(item, .success(reply)) { options.onReply?(info) }
        case .failure(let error): settle(item, .failure(error))
        }
    }

    @discardableResult
    func fail(_ item: Int, _ error: MartletClientError) -> Bool { settle(item, .failure(error)) }

    @discardableResult
    private func settle(_ item: Int, _ outcome: Outcome) -> Bool {
        var isFirst = false
        let finished = state.withLock { state -> (Continuation, [Outcome])? in
            guard state.outcomes[item] == nil else { return nil }
            isFirst = true
            state.outcomes[item] = outcome
            state.open -= 1
            guard state.open == 0, let continuation = state.continuation else { return nil }
            state.continuation = nil
            return (continuation, state.outcomes.compactMap(\.self))
        }
        if let (continuation, outcomes) = finished { continuation.resume(returning: outcomes) }
        return isFirst
    }
}

/// Numbers that one event loop at a time touches; items of a batch may be on several, each its own.
private final class ItemMarks: Sendable {
    private let marks: Mutex<[UInt64]>
    init(_ count: Int) { marks = Mutex(Array(repeating: 0, count: count)) }
    subscript(_ item: Int) -> UInt64 {
        get { marks.withLock { $0[item] } }
        set { marks.withLock { $0[item] = newValue } }
    }
}
