/// One sending that the driver is to make.
package struct Sending: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable {
        case first
        case retry
        /// Because an answer is late; one answer is enough.
        case hedge
        /// A copy of another call, to see how an ejected node does. Its answer goes to nobody.
        case probe
    }

    package var attempt: AttemptID
    package var node: Int
    package var kind: Kind
    /// What the node is told: nanoseconds that are left of the call's time; 0: no limit.
    package var timeout: UInt64
}

/// What the driver is to do about a call that came.
package enum Decision: Hashable, Sendable {
    case send(Sending)
    /// Nothing was sent and nothing will be.
    case ended(CallEnd)
}

/// What the driver is to do, or may want to log, after an event.
package enum ClusterAction: Hashable, Sendable {
    /// Send the bytes of `copyOf` (a call of this policy) as `sending` says.
    case send(Sending, copyOf: CallID)
    /// Nobody waits for this attempt any more: tell the node.
    case cancel(AttemptID, node: Int)
    /// The call is over; each call ends once.
    case end(CallID, CallEnd)
    case connect(node: Int)
    /// The node is no more: close its connections when its attempts are over.
    case disconnect(node: Int)
    case ejected(node: Int, OutlierDetector.Reason, until: UInt64)
    case restored(node: Int)
}
