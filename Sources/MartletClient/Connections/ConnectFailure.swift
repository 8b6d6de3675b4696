import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Words for why a connection could not be made.
enum ConnectFailure {
    static func text(_ error: any Error) -> String {
        switch error {
        case let failure as NIOConnectionError:
            if let first = failure.connectionErrors.first { return text(first.error) }
            return "the name cannot be resolved"
        case let failure as IOError:
            switch failure.errnoCode {
            case ECONNREFUSED: return "connection refused; nothing listens there"
            case EHOSTUNREACH, ENETUNREACH: return "no route to the host"
            case ETIMEDOUT: return "no answer"
            default: return String(cString: strerror(failure.errnoCode))
            }
        case ChannelError.connectTimeout: return "no answer within the connect timeout"
        default: return "\(error)"
        }
    }
}
