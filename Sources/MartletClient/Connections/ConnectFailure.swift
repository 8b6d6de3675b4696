import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Words for why a connection could not be made, or broke.
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
            case ECONNRESET, EPIPE: return "reset by the other side"
            case ECONNABORTED: return "given up by this machine's network"
            case EMFILE, ENFILE: return "this process has no file descriptor left; raise `ulimit -n`"
            default: return String(cString: strerror(failure.errnoCode))
            }
        case ChannelError.connectTimeout: return "no answer within the connect timeout"
        case is ChannelError: return "closed on this side"
        default: return "\(error)"
        }
    }
}
