import Vocabulary
import Wire

/// Why a call has no answer: from the node, or from this side when the node could not be asked.
public struct MartletClientError: Error, Sendable, Hashable, CustomStringConvertible {
    public var code: StatusCode
    /// For people: what was wrong, where, and what to do.
    public var message: String
    /// No work was begun: sending the call again cannot do anything twice.
    public var retryIsSafe: Bool
    /// When to try again at the earliest; `nil`: nothing is known.
    public var retryAfter: Duration?
    /// Of a client of several nodes: the sendings that failed, in their order.
    public var attempts: [Attempt] = []

    /// A sending of a call that failed.
    public struct Attempt: Sendable, Hashable {
        public var node: String
        /// `first`, `retry` or `hedge`.
        public var kind: String
        public var outcome: String
    }

    public init(_ code: StatusCode, _ message: String, retryIsSafe: Bool = false, retryAfter: Duration? = nil) {
        self.code = code
        self.message = message
        self.retryIsSafe = retryIsSafe
        self.retryAfter = retryAfter
    }

    public var description: String { "\(code.name): \(message)" }
}

extension MartletClientError {
    /// What the node said.
    init(_ status: StatusCode, _ flags: ReplyFlags, _ body: ErrorBody?) {
        self.init(
            status, body.map(\.message) ?? "the node gave no reason",
            retryIsSafe: flags.contains(.retryIsSafe) || body?.retryIsSafe == true,
            retryAfter: body.flatMap {
                $0.retryAfterMilliseconds == 0 ? nil : .milliseconds(Int($0.retryAfterMilliseconds))
            })
    }

    /// Names what was tried, in the message too where it was more than one sending.
    func tried(_ attempts: [Attempt]) -> MartletClientError {
        guard !attempts.isEmpty else { return self }
        var error = self
        error.attempts = attempts
        if attempts.count > 1 {
            let told = attempts.map { "\($0.node) (\($0.kind)) \($0.outcome)" }.joined(separator: "; then ")
            error.message += "; tried \(told)"
        } else if !message.contains(attempts[0].node) {
            error.message += " (\(attempts[0].node))"
        }
        return error
    }

    static let cancelled = MartletClientError(.cancelled, "the task that asked was cancelled")

    static func deadlineExceeded(_ where: String, retryIsSafe: Bool) -> MartletClientError {
        MartletClientError(.deadlineExceeded, "no answer within the timeout: \(`where`)", retryIsSafe: retryIsSafe)
    }

    static let shutDown = MartletClientError(.unavailable, "the client is shut down", retryIsSafe: true)
}
