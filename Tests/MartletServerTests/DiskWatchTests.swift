import Logging
import Synchronization
import Testing

@testable import EventLog
@testable import MartletServer

@Suite struct DiskWatchTests {
    /// Keeps what is said.
    private final class Words: LogHandler, Sendable {
        private let said = Mutex<[String]>([])
        var lines: [String] { said.withLock { $0 } }
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { .trace }
            set {}
        }
        subscript(metadataKey _: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }

        func log(event: LogEvent) {
            let error = event.metadata?["error"].map { ": \($0)" } ?? ""
            said.withLock { $0.append("\(event.level) \(event.message)\(error)") }
        }
    }

    @Test("what cannot be written is told once, with the reason, and once when it can be again")
    func transitions() {
        let words = Words()
        let statistics = Mutex(LogStatistics())
        let watch = DiskWatch("the log", remedy: "events wait", Logger(label: "test") { _ in words }) {
            statistics.withLock { $0 }
        }
        for _ in 0..<3 { watch.look() }
        #expect(words.lines.isEmpty)
        for _ in 0..<2 {
            statistics.withLock { ($0.isRefusing, $0.refusal) = (true, "no space left") }
            for _ in 0..<3 { watch.look() }
            statistics.withLock { $0 = LogStatistics() }
            for _ in 0..<3 { watch.look() }
        }
        let pair = [
            "error the log cannot be written; events wait: no space left", "notice the log can be written again",
        ]
        #expect(words.lines == pair + pair)
    }
}
