import Dispatch
import Foundation
import LoadGenerator
import Synchronization

/// What this program says beside its report.
enum Terminal {
    static func complain(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

    /// Writes to standard output, at once; where that cannot be written to, says so and ends the program with 1.
    static func say(_ text: String) { put(Data("\(text)\n".utf8)) }

    /// The same for bytes.
    static func put(_ bytes: Data) {
        do {
            try FileHandle.standardOutput.write(contentsOf: bytes)
        } catch {
            complain("martlet-bench: the output could not be written: \(String(cString: strerror(errno)))")
            exit(1)
        }
    }

    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    /// Many connections need many descriptors; the soft limit may be below what is allowed.
    static func raiseDescriptorLimit(wanted: Int) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < wanted else {
            return
        }
        limit.rlim_cur = min(rlim_t(wanted), limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// A line that renews itself on a terminal; a line for each interval otherwise.
final class ProgressPrinter {
    private let total: Double
    private let isQuiet: Bool
    private let label: String
    private var isLineOpen = false

    /// - Parameter label: Stands before each line.
    init(total: Double, isQuiet: Bool, label: String = "") {
        self.label = label
        self.total = total
        self.isQuiet = isQuiet
    }

    func show(_ point: TimePoint) {
        guard !isQuiet else { return }
        let line = label + LoadReport.progressLine(point, total: total)
        if Terminal.isInteractive {
            FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
            isLineOpen = true
        } else {
            Terminal.complain(line)
        }
    }

    func end() {
        if isLineOpen { Terminal.complain("") }
        isLineOpen = false
    }
}

/// The first Ctrl-C (or SIGTERM) ends the measurement and reports what there is; the second ends the program.
final class Interrupts {
    private var sources: [any DispatchSourceSignal] = []
    private let received = LastSignal()

    /// 130 after Ctrl-C, 143 after SIGTERM.
    var exitCode: Int32 { 128 + received.number.load(ordering: .relaxed) }

    init(_ stop: StopSignal) {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [received] in
                if stop.wasSet { _exit(128 + number) }
                received.number.store(number, ordering: .relaxed)
                stop.set()
                Terminal.complain("\nstopping; once more to quit at once")
            }
            source.resume()
            sources.append(source)
        }
    }

    func end() {
        for source in sources { source.cancel() }
        for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    }
}

/// The signal that asked for the end.
private final class LastSignal: Sendable {
    let number = Atomic<Int32>(SIGINT)
}
