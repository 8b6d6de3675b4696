import EventLog
import Logging
import Synchronization

/// Says it once when a log cannot be written, with the reason, and once when it can be again.
final class DiskWatch: Sendable {
    private let what: String
    private let remedy: String
    private let logger: Logger
    private let statistics: @Sendable () -> LogStatistics
    private let wasRefusing = Mutex(false)

    /// - Parameters:
    ///   - what: Is written.
    ///   - remedy: What happens meanwhile, and until when.
    init(
        _ what: String, remedy: String, _ logger: Logger, _ statistics: @escaping @Sendable () -> LogStatistics
    ) {
        self.what = what
        self.remedy = remedy
        self.logger = logger
        self.statistics = statistics
    }

    func look() {
        let now = statistics()
        let hasChanged = wasRefusing.withLock { was in
            defer { was = now.isRefusing }
            return was != now.isRefusing
        }
        guard hasChanged else { return }
        if now.isRefusing {
            logger.error(
                "\(what) cannot be written; \(remedy)",
                metadata: ["error": "\(now.refusal ?? "unknown")", "failures": "\(now.failures)"])
        } else {
            logger.notice("\(what) can be written again")
        }
    }
}
