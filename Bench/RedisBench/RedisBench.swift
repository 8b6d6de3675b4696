import Foundation
import NIOCore
import NIOPosix
import RemoteCache

/// How many values a second does the client of Redis fetch, beside redis-benchmark on the same server?
///
/// One event loop, `connections` connections, `inFlight` commands waiting on each: the shape of a shard's client, and of
/// `redis-benchmark -c connections -P inFlight`. The two take turns; the median of the rounds counts. What redis-benchmark does is less:
/// it counts replies and neither copies nor gives out what is in them.
package struct RedisBench: Sendable {
    package struct Options: Sendable {
        package var host = "127.0.0.1"
        package var port = 6379
        package var valueBytes = 256
        package var connections = 1
        package var inFlight = 16
        package var commands = 200_000
        package var rounds = 3
        /// Of an MGET; 1: GET.
        package var keys = 1
        package init() {}
    }

    package struct Figure: Sendable {
        package var commandsPerSecond: Double
        package var rival: Double?
        package var ratio: Double? { rival.map { commandsPerSecond / $0 } }
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private let options: Options

    package init(_ options: Options) { self.options = options }

    /// - Parameter withRival: Whether redis-benchmark takes turns.
    /// - Throws: `Failure` when Redis does not answer.
    package func run(withRival: Bool = true) async throws -> Figure {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let figure = try await measure(group.next(), withRival: withRival)
            try await group.shutdownGracefully()
            return figure
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private func measure(_ loop: any EventLoop, withRival: Bool) async throws -> Figure {
        let options = self.options
        var configuration = RedisConfiguration(endpoints: [RedisEndpoint(host: options.host, port: options.port)])
        configuration.connectionsPerNode = options.connections
        configuration.commandTimeout = .seconds(30)
        configuration.stallTimeout = .seconds(30)
        let made = configuration
        let client = try await loop.submit { NIOLoopBound(RedisClient(made, loop: loop), eventLoop: loop) }.get()
        let keys = (0..<options.keys).map { Array("martlet-bench:\($0)".utf8) }
        for key in keys {
            try await loop.flatSubmit {
                let promise = loop.makePromise(of: Void.self)
                client.value.set(key, [UInt8](repeating: 120, count: options.valueBytes), timeToLive: .seconds(3600)) {
                    $0.map { promise.fail(Failure(description: "SET failed: \($0)")) } ?? promise.succeed()
                }
                return promise.futureResult
            }.get()
        }
        var ours: [Double] = []
        var theirs: [Double] = []
        // The first round warms up.
        for round in 0...options.rounds {
            let seconds = try await time(loop, client, keys)
            if round > 0 { ours.append(Double(options.commands) / seconds) }
            if withRival, round > 0, let rival = try rival(keys) { theirs.append(rival) }
        }
        try await loop.submit { client.value.close() }.get()
        return Figure(commandsPerSecond: Self.median(ours), rival: theirs.isEmpty ? nil : Self.median(theirs))
    }

    /// Seconds for all commands.
    private func time(
        _ loop: any EventLoop, _ client: NIOLoopBound<RedisClient>, _ keys: [[UInt8]]
    ) async throws -> Double {
        let (count, width) = (options.commands, options.inFlight * options.connections)
        return try await loop.flatSubmit {
            let promise = loop.makePromise(of: Double.self)
            let run = Run(client.value, keys, count: count, promise)
            run.begin(width: min(width, count))
            return promise.futureResult
        }.get()
    }

    /// Commands on their way; belongs to the loop.
    private final class Run {
        private let client: RedisClient
        private let keys: [[UInt8]]
        private var left: Int
        private var waiting = 0
        private let started = NIODeadline.now()
        private let promise: EventLoopPromise<Double>
        private var hasFailed = false

        init(_ client: RedisClient, _ keys: [[UInt8]], count: Int, _ promise: EventLoopPromise<Double>) {
            self.client = client
            self.keys = keys
            left = count
            self.promise = promise
        }

        func begin(width: Int) { for _ in 0..<width { send() } }

        private func send() {
            left -= 1
            waiting += 1
            if keys.count == 1 {
                client.get(keys[0]) { [self] result in
                    if case .failure(let failure) = result { fail("\(failure)") } else { next() }
                }
            } else {
                client.get(keys) { [self] lookup in
                    if let failure = lookup.failure { fail("\(failure)") } else { next() }
                }
            }
        }

        private func next() {
            waiting -= 1
            if left > 0, !hasFailed {
                send()
            } else if waiting == 0, !hasFailed {
                promise.succeed(Double((NIODeadline.now() - started).nanoseconds) / 1e9)
            }
        }

        private func fail(_ words: String) {
            if !hasFailed { promise.fail(Failure(description: "a command failed: \(words)")) }
            hasFailed = true
        }
    }

    /// Commands a second of redis-benchmark; nil where it is missing.
    private func rival(_ keys: [[UInt8]]) throws -> Double? {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
        guard let path = folders.map({ "\($0)/redis-benchmark" }).first(where: FileManager.default.isExecutableFile)
        else {
            return nil
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments =
            [
                "-h", options.host, "-p", String(options.port), "-c", String(options.connections), "-P",
                String(options.inFlight), "-n", String(options.commands), "--csv", keys.count == 1 ? "GET" : "MGET",
            ] + keys.map { String(decoding: $0, as: UTF8.self) }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        // "test","rps",... and then "GET ...","123456.78",...
        guard let last = output.split(separator: "\n").last, let rate = last.split(separator: ",").dropFirst().first,
            let value = Double(rate.filter { $0 != "\"" })
        else { throw Failure(description: "redis-benchmark said: \(output)") }
        return value
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
