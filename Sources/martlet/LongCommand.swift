import ArgumentParser
import Dispatch
import FactorModels
import Synchronization
import Training

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Runs work that may take long: Ctrl-C, SIGTERM or the end of the terminal asks it to stop, and every failure becomes one
/// sentence.
enum LongCommand {
    /// - Parameter unfinished: What a stop leaves undone, for people.
    /// - Throws: `ExitCode`: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 1 after an error, which is printed.
    static func run(unfinished: String, _ work: (Cancellation) throws -> Void) throws {
        let cancellation = Cancellation()
        let signals = watchSignals(cancellation)
        defer { for source in signals { source.cancel() } }
        do {
            try work(cancellation)
        } catch {
            throw ending(error, cancellation, unfinished)
        }
    }

    /// The same for work that waits for others.
    static func wait(unfinished: String, _ work: (Cancellation) async throws -> Void) async throws {
        let cancellation = Cancellation()
        let signals = watchSignals(cancellation)
        defer { for source in signals { source.cancel() } }
        do {
            try await work(cancellation)
        } catch {
            throw ending(error, cancellation, unfinished)
        }
    }

    private static func watchSignals(_ cancellation: Cancellation) -> [any DispatchSourceSignal] {
        // Under nohup the end of the terminal is no reason to stop.
        let numbers = [SIGINT, SIGTERM] + (SignalState.isIgnored(SIGHUP) ? [] : [SIGHUP])
        return numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                // Asked twice: whoever asks does not want to wait for the clean end.
                if cancellation.isCancelled { _exit(128 + number) }
                received.store(number)
                cancellation.cancel()
                StandardError.write("\nstopping; nothing half-made will be left (once more to stop at once)\n")
            }
            source.resume()
            return source
        }
    }

    /// What a failure ends the program with, once it is printed.
    private static func ending(_ error: any Error, _ cancellation: Cancellation, _ unfinished: String) -> any Error {
        switch error {
        case is ExitCode, is ValidationError: return error
        case let error as ConfigurationError:
            // A setting out of its range came from a flag.
            return ValidationError(error.description)
        default:
            if cancellation.isCancelled {
                StandardError.write("stopped before the end; \(unfinished)\n")
                return ExitCode(128 + received.load())
            }
            StandardError.write("Error: \(error)\n")
            return ExitCode(1)
        }
    }

    private static let received = LastSignal()
}

/// The signal that asked for the end.
private final class LastSignal: Sendable {
    private let number = Atomic<Int32>(SIGINT)
    func store(_ value: Int32) { number.store(value, ordering: .relaxed) }
    func load() -> Int32 { number.load(ordering: .relaxed) }
}
