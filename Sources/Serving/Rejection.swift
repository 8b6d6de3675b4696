import Vocabulary

/// Why a call was not served: whose fault it is, what to do, and whether trying again is safe.
package struct Rejection: Error, Sendable, Equatable {
    /// Fixed words for metrics; each maps to one status code.
    package enum Reason: String, Sendable, CaseIterable {
        case invalidArgument = "invalid_argument"
        case unknownTenant = "unknown_tenant"
        case unknownScenario = "unknown_scenario"
        case unknownItem = "unknown_item"
        case notReady = "not_ready"
        case draining
        case queueFull = "queue_full"
        /// It would wait too long, or did while others could still be served in time.
        case overloaded
        case tooManyInFlight = "too_many_in_flight"
        case deadlineExceeded = "deadline_exceeded"
        case cancelled
        case unimplemented
        case permissionDenied = "permission_denied"
        case failedPrecondition = "failed_precondition"
        case logFull = "log_full"
        case logBroken = "log_broken"
        case internalFault = "internal"

        /// The one table from reason to status.
        package var code: StatusCode {
            switch self {
            case .invalidArgument: .invalidArgument
            case .unknownTenant, .unknownScenario, .unknownItem: .notFound
            case .notReady, .draining, .logBroken: .unavailable
            case .queueFull, .overloaded, .tooManyInFlight, .logFull: .resourceExhausted
            case .deadlineExceeded: .deadlineExceeded
            case .cancelled: .cancelled
            case .unimplemented: .unimplemented
            case .permissionDenied: .permissionDenied
            case .failedPrecondition: .failedPrecondition
            case .internalFault: .internal
            }
        }
    }

    package var reason: Reason
    package var message: String
    /// No work was begun: the same call may be sent again, here or elsewhere.
    package var retryIsSafe: Bool
    /// 0: no advice.
    package var retryAfterMilliseconds: Int

    package init(_ reason: Reason, _ message: String, retryIsSafe: Bool = false, retryAfterMilliseconds: Int = 0) {
        self.reason = reason
        self.message = message
        self.retryIsSafe = retryIsSafe
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }
}
