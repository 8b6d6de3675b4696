import Foundation
import LoadGenerator
import Synchronization

/// A node in a process of its own, on a free loopback port, that can be killed, and that ends with this process however
/// that ends. One task uses it.
package final class NodeProcess {
    package struct Options: Sendable {
        /// The program.
        package var martlet: String
        package var bundle: String
        /// As of `--set`.
        package var settings: [String] = []
        package var shards = 2
        /// How long the start may take.
        package var patience: Duration = .seconds(120)

        package init(martlet: String, bundle: String) {
            self.martlet = martlet
            self.bundle = bundle
        }
    }

    package let port: Int
    /// From the launch until the node serves; nanoseconds.
    package let nanosecondsToReady: UInt64
    private let process: Process
    private let childGuard: ChildGuard
    private let records: LogRecords

    /// Starts a node and waits until it serves.
    ///
    /// - Throws: `LoadError` with the node's last words when it does not.
    package init(_ options: Options) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: options.martlet)
        process.arguments =
            [
                "serve", "--bundle", options.bundle, "--listen", "127.0.0.1:0", "--http", "off", "--log-format", "json",
                "--log-level", "info", "--shards", "\(options.shards)",
            ] + options.settings.flatMap { ["--set", $0] }
        let words = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = words
        let records = LogRecords()
        let began = Nanoseconds.now()
        do { try process.run() } catch { throw LoadError("cannot start \(options.martlet): \(error)") }
        let childGuard: ChildGuard
        do { childGuard = try ChildGuard(of: process.processIdentifier) } catch {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            throw LoadError("cannot start /bin/sh: \(error)")
        }
        records.follow(words.fileHandleForReading)
        func giveUp() {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
            childGuard.end()
        }
        let end = ContinuousClock.now + options.patience
        while records.first("node serves") == nil {
            guard process.isRunning, ContinuousClock.now < end else {
                giveUp()
                throw LoadError("the node did not start; its last words:\n\(records.lastLines)")
            }
            do { try await Task.sleep(for: .milliseconds(1)) } catch {
                giveUp()
                throw error
            }
        }
        let serves = records.first("node serves")
        nanosecondsToReady = (serves?.at ?? Nanoseconds.now()) - began
        // "[IPv4]127.0.0.1/127.0.0.1:40123"
        guard let address = serves?.fields["node.listen"], let colon = address.lastIndex(of: ":"),
            let port = Int(address[address.index(after: colon)...])
        else {
            giveUp()
            throw LoadError("the node does not say where it listens: \(records.lastLines)")
        }
        self.port = port
        self.process = process
        self.childGuard = childGuard
        self.records = records
    }

    deinit { if process.isRunning { killNow() } }

    /// What the node says of what it brought back: `events.milliseconds`, `events.replayed`, `events.snapshot`.
    package var restored: [String: String] { records.first("state of users restored")?.fields ?? [:] }

    /// How often the node has said so.
    package func count(_ message: String) -> Int { records.count(message) }

    /// What it said at the level of warnings and above.
    package var complaints: [String] { records.complaints }

    /// Ends the process at once, in the middle of whatever it does.
    package func killNow() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        childGuard.end()
    }

    /// Has it stand still as it is, its connections open, until `resume`.
    package func pause() { kill(process.processIdentifier, SIGSTOP) }

    package func resume() { kill(process.processIdentifier, SIGCONT) }

    /// Asks it to stop, and waits.
    package func stop() {
        kill(process.processIdentifier, SIGTERM)
        process.waitUntilExit()
        childGuard.end()
    }

    package var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/statm", encoding: .utf8)) ?? ""
        let words = text.split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}

/// A node's log, read as it comes. Keeps what is asked for and the last lines.
private final class LogRecords: Sendable {
    struct Record {
        /// When it came; nanoseconds of uptime.
        var at: UInt64
        var fields: [String: String]
    }

    private struct Contents {
        var first: [String: Record] = [:]
        var counts: [String: Int] = [:]
        var complaints: [String] = []
        var last: [String] = []
    }

    private let contents = Mutex(Contents())
    private static let keptMax = 100

    var lastLines: String { contents.withLock { $0.last.joined(separator: "\n") } }
    var complaints: [String] { contents.withLock { $0.complaints } }
    func first(_ message: String) -> Record? { contents.withLock { $0.first[message] } }
    func count(_ message: String) -> Int { contents.withLock { $0.counts[message] ?? 0 } }

    /// On a thread of its own, until the other side is closed.
    func follow(_ file: FileHandle) {
        Thread.detachNewThread {
            var rest = Data()
            while true {
                let data = file.availableData
                if data.isEmpty { return }
                rest += data
                while let end = rest.firstIndex(of: 0x0A) {
                    self.take(rest[rest.startIndex..<end])
                    rest = Data(rest[rest.index(after: end)...])
                }
            }
        }
    }

    private func take(_ line: Data) {
        let now = Nanoseconds.now()
        let text = String(decoding: line, as: UTF8.self)
        let fields = (try? JSONDecoder().decode([String: String].self, from: line)) ?? [:]
        contents.withLock { contents in
            contents.last.append(text)
            if contents.last.count > 20 { contents.last.removeFirst() }
            guard let message = fields["message"] else { return }
            if contents.first.count < Self.keptMax, contents.first[message] == nil {
                contents.first[message] = Record(at: now, fields: fields)
            }
            if contents.counts.count < Self.keptMax { contents.counts[message, default: 0] += 1 }
            if contents.complaints.count < Self.keptMax,
                ["warning", "error", "critical"].contains(fields["level"] ?? "")
            {
                contents.complaints.append(text)
            }
        }
    }
}

/// Uptime.
package enum Nanoseconds {
    package static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
