import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A redis-server of a test's own, on a free port of this machine, without files that outlive it.
package final class RedisServer: @unchecked Sendable {
    // Started, stopped and killed by one test at a time.
    package let port: Int
    private let folder: URL
    private let options: [String]
    private var process: Process?

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Starts it and waits until it answers.
    ///
    /// - Parameter options: As on the command line: `["--maxmemory", "2mb"]`.
    package init(_ options: [String] = []) throws {
        port = try Self.freePort()
        self.options = options
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try start()
    }

    deinit {
        kill()
        try? FileManager.default.removeItem(at: folder)
    }

    /// A TCP port that nobody has just now.
    package static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Glibc.close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard result == 0 else { throw Failure(description: "no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Starts it again on the same port, empty.
    package func start() throws {
        guard let path = ExternalTool.redis.path else { throw ExternalTool.Missing(name: "redis-server") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        let listens = options.contains("--tls-port") ? [] : ["--port", String(port)]
        process.arguments =
            listens + [
                "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder.path, "--loglevel",
                "warning",
            ]
            + options.map { $0.replacingOccurrences(of: "{port}", with: String(port)) }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        let end = Date().addingTimeInterval(60)
        while Date() < end {
            guard process.isRunning else {
                throw Failure(description: "redis-server ended with \(process.terminationStatus)")
            }
            if (try? BlockingSocket(port: port, timeoutSeconds: 30)) != nil { return }
            usleep(10_000)
        }
        throw Failure(description: "redis-server took no connection in 60 s")
    }

    /// SIGKILL; waits for its end.
    package func kill() {
        guard let process else { return }
        Glibc.kill(process.processIdentifier, SIGCONT)
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
    }

    /// It keeps its connections and answers nothing.
    package func freeze() { if let process { Glibc.kill(process.processIdentifier, SIGSTOP) } }
    package func thaw() { if let process { Glibc.kill(process.processIdentifier, SIGCONT) } }

    /// One command by the inline protocol, on a connection of its own; the raw reply, as far as it comes in one piece.
    @discardableResult
    package func command(_ text: String) throws -> String {
        let socket = try BlockingSocket(port: port)
        try socket.send(Array((text + "\r\n").utf8))
        return String(decoding: try socket.receive(), as: UTF8.self)
    }
}
