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
        // Under nohup the end of the terminal is no reason to stop.
        let numbers = [SIGINT, SIGTERM] + (SignalState.isIgnored(SIGHUP) ? [] : [SIGHUP])
        let signals = numbers.map { number in
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
        defer { for source in signals { source.cancel() } }
        do {
            try work(cancellation)
        } catch let code as ExitCode {
            throw code
        } catch let error as ValidationError {
            throw error
        } catch let error as ConfigurationError {
            // A setting out of its range came from a flag.
            throw ValidationError(error.description)
        } catch {
            if cancellation.isCancelled {
                StandardError.write("stopped before the end; \(unfinished)\n")
                throw ExitCode(128 + received.load())
            }
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
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
