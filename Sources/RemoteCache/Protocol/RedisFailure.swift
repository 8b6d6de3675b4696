/// Why a command has no reply that its caller can use.
package enum RedisFailure: Error, Sendable, Equatable {
    /// There is no connection, and none is being made just now.
    case unavailable
    /// The breaker is open: Redis is not asked.
    case breakerOpen
    /// As many commands or bytes wait for replies as may.
    case overloaded
    /// No reply in time. The command may have been carried out.
    case timeout
    /// The connection was lost before the reply came. The command may have been carried out.
    case closed
    /// The server sent what is no reply, or a larger one than is allowed.
    case garbage(ReplyFault)
    /// The reply is not of the kind that the command has.
    case unexpectedReply
    /// User or password are wrong, or the user may not do this.
    case refused(String)
    /// The server is a replica, or writes are switched off.
    case readOnly(String)
    /// The server has no memory left for more.
    case full(String)
    /// The server is loading its data, or has no master, or the cluster is down.
    case notReady(String)
    /// A cluster sent the command round in circles.
    case tooManyRedirects
    /// Any other error reply.
    case error(String)

    /// For metrics: one of `reasons`.
    package var reason: String { Self.reasons[index] }

    package static let reasons = [
        "unavailable", "breaker_open", "overloaded", "timeout", "closed", "garbage", "unexpected_reply", "refused",
        "read_only", "full", "not_ready", "redirects", "error",
    ]

    package var index: Int {
        switch self {
        case .unavailable: 0
        case .breakerOpen: 1
        case .overloaded: 2
        case .timeout: 3
        case .closed: 4
        case .garbage: 5
        case .unexpectedReply: 6
        case .refused: 7
        case .readOnly: 8
        case .full: 9
        case .notReady: 10
        case .tooManyRedirects: 11
        case .error: 12
        }
    }

    /// The failure that an error reply means.
    init(error text: String) {
        let code = text.prefix { $0 != " " }
        switch code {
        case "NOAUTH", "WRONGPASS", "NOPERM": self = .refused(text)
        case "READONLY", "NOREPLICAS": self = .readOnly(text)
        case "OOM", "MISCONF": self = .full(text)
        case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY": self = .notReady(text)
        // Redis before 6 tells a wrong password so.
        case "ERR" where text.hasPrefix("ERR invalid password"): self = .refused(text)
        default: self = .error(text)
        }
    }

    /// Whether it says that the server is not well, so that a breaker counts it.
    package var isFault: Bool {
        switch self {
        case .breakerOpen, .overloaded, .error, .tooManyRedirects: false
        default: true
        }
    }
}

package typealias RedisResult = Result<RedisReply, RedisFailure>
