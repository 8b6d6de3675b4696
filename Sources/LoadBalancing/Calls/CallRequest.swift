import Vocabulary

/// What the policy needs to know about a call.
package struct CallRequest: Sendable {
    /// The user's; nil: any node will do.
    package var slot: Slot?
    /// Only reads, or changes nothing more when repeated: may be sent twice, at once or one after the other.
    package var isRepeatable: Bool
    /// Goes to the slot's owner however busy it is, as long as it takes calls: what a user did belongs where its state is.
    package var keepsToOwner: Bool
    /// On the clock of the policy; `UInt64.max`: none.
    package var deadline: UInt64

    package init(slot: Slot?, isRepeatable: Bool, keepsToOwner: Bool = false, deadline: UInt64 = .max) {
        self.slot = slot
        self.isRepeatable = isRepeatable
        self.keepsToOwner = keepsToOwner
        self.deadline = deadline
    }
}

/// A call that the policy knows, for as long as it has not ended.
package struct CallID: Hashable, Sendable {
    /// Never 0.
    package let raw: UInt64

    package init(raw: UInt64) { self.raw = raw }

    /// Below the policy's `callsMax`, and of no other call under way: the place in a table of the driver's own.
    package var index: Int { AttemptID(raw: raw).entry }
}

/// One sending of a call to a node.
///
/// ```
///  63             24 23       4 3       0
///  +----------------+----------+---------+
///  |  generation    |  entry   | ordinal |    ordinal: 1, 2 ... in the call; a call's own ID has 0
///  +----------------+----------+---------+
/// ```
package struct AttemptID: Hashable, Sendable {
    /// Never 0, and of no other attempt of the policy.
    package let raw: UInt64

    static let ordinalMax = 15
    static let entriesMax = 1 << 20

    init(generation: UInt64, entry: Int, ordinal: Int) {
        raw = generation << 24 | UInt64(entry) << 4 | UInt64(ordinal)
    }

    var entry: Int { Int(raw >> 4) & (Self.entriesMax - 1) }
    var ordinal: Int { Int(raw & 15) }
    var generation: UInt64 { raw >> 24 }
    package var call: CallID { CallID(raw: raw & ~15) }
}

/// What became of an attempt.
package enum AttemptOutcome: Hashable, Sendable {
    case success
    /// An answer that a healthy node gives to a bad question: not found, invalid argument ...
    case refused(StatusCode)
    /// The node began and failed, or did not say that it had not begun.
    case failed(StatusCode)
    /// No work was begun: sending it again is safe. Nanoseconds after which it may be sent to this node again; 0: not said.
    case rejected(StatusCode, retryAfter: UInt64)
    /// It never left this process.
    case notSent
    /// The connection ended before an answer came.
    case connectionLost

    /// What a node's reply says.
    package init(status: StatusCode, retryIsSafe: Bool, retryAfter: UInt64 = 0) {
        switch status {
        case .ok: self = .success
        case _ where retryIsSafe: self = .rejected(status, retryAfter: retryAfter)
        case .invalidArgument, .notFound, .alreadyExists, .permissionDenied, .failedPrecondition, .outOfRange,
            .unimplemented, .unauthenticated, .cancelled, .resourceExhausted:
            self = .refused(status)
        case .unknown, .deadlineExceeded, .aborted, .internal, .unavailable, .dataLoss: self = .failed(status)
        }
    }
}

/// How a call ended.
package enum CallEnd: Hashable, Sendable {
    /// By the answer to this attempt, whatever it says.
    case answered(AttemptID)
    /// The last attempt's outcome, after which there was no further one.
    case failed(AttemptOutcome)
    case deadlineExceeded
    /// No node takes calls; nothing was sent.
    case noNode
    /// More calls are under way than the policy holds; nothing was sent.
    case tooManyCalls
    case cancelled
}
