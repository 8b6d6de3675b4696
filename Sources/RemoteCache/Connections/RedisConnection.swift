import NIOCore
import NIOPosix
import NIOSSL
import Resilience

/// A connection to one server that makes itself anew when it is lost.
///
/// ```
///   idle ──start──> connecting ──TCP, TLS──> greeting ──AUTH, SELECT, name──> ready
///                      ^  │                     │                              │
///                      │  └────────> waiting <──┴────────── lost ──────────────┘
///                      └── backoff ────┘                        closed: by `close`, from any state
/// ```
///
/// While it is being made, commands wait for it, as many as a pipeline holds and as long as their own time; while it waits for its
/// next try they fail at once. Belongs to its event loop: every call must be made there.
final class RedisConnection {
    enum State: Sendable {
        case idle, connecting, greeting, ready, waiting, closed
    }

    struct Counts: Sendable {
        var connected: UInt64 = 0
        var failed: UInt64 = 0
        var lateReplies: UInt64 = 0
    }

    let endpoint: RedisEndpoint
    private let configuration: RedisConfiguration
    private let loop: any EventLoop
    private(set) var state = State.idle
    private(set) var counts = Counts()
    /// Why the last connection was lost or not made.
    private(set) var lastFailure: RedisFailure?
    private var handler: RedisChannelHandler?
    private var backoff: Backoff
    private var generator = SystemRandomNumberGenerator()
    /// Commands that wait for the connection to be made.
    private var early: Pipeline
    private var earlyBytes: [[UInt8]] = []
    private var timer: Scheduled<Void>?
    private var timerAt = UInt64.max
    /// Grows with each try, so that what belongs to an earlier one is known.
    private var attempt: UInt64 = 0
    private var greetingEnds: UInt64 = 0

    /// Commands that must succeed before the connection is ready; what they answer is looked at by the closure, false: it is not.
    var greeting: [(command: [[UInt8]], accepts: (RedisReply) -> Bool)] = []
    /// Messages of a subscription; true: it was one.
    var pushed: ((RedisReply) -> Bool)?
    /// Told after each change to and from `ready`.
    var changed: ((Bool) -> Void)?

    init(_ endpoint: RedisEndpoint, _ configuration: RedisConfiguration, loop: any EventLoop) {
        self.endpoint = endpoint
        self.configuration = configuration
        self.loop = loop
        backoff = Backoff(first: configuration.reconnectFirst, maximum: configuration.reconnectMaximum)
        early = Pipeline(countMax: configuration.pipelineMax, bytesMax: configuration.pipelineBytesMax)
    }

    private var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    /// Commands that wait for replies, those included whose callers do not wait any more.
    var inFlight: Int { early.count + (state == .ready ? handler?.pipeline.count ?? 0 : 0) }

    var isReady: Bool { state == .ready }

    func send(_ command: [UInt8], deadline: UInt64, now: UInt64, completion: @escaping Pipeline.Completion) {
        switch state {
        case .ready:
            guard let handler else { return completion(.failure(.unavailable)) }
            handler.send(command, deadline: deadline, now: now, completion: completion)
            schedule(deadline, now: now)
        case .idle, .connecting, .greeting:
            if state == .idle { connect() }
            guard early.hasRoom(for: command.count) else { return completion(.failure(.overloaded)) }
            early.add(bytes: command.count, deadline: deadline, completion: completion)
            earlyBytes.append(command)
            schedule(deadline, now: now)
        case .waiting, .closed:
            completion(.failure(.unavailable))
        }
    }

    func start() { if state == .idle { connect() } }

    /// Closes for good. Commands that wait fail with `closed`.
    func close() {
        guard state != .closed else { return }
        let wasReady = state == .ready
        state = .closed
        attempt += 1
        timer?.cancel()
        timer = nil
        failEarly(.closed)
        let handler = self.handler
        self.handler = nil
        handler?.close(.closed)
        if wasReady { changed?(false) }
        changed = nil
        pushed = nil
        greeting = []
    }

    /// Loses the connection and makes it anew.
    func restart(_ failure: RedisFailure = .closed) {
        handler?.close(failure)
    }

    // MARK: Making

    private func connect() {
        state = .connecting
        attempt += 1
        let attempt = self.attempt
        greetingEnds = now &+ configuration.connectTimeout.nanoseconds
        schedule(greetingEnds, now: now)
        let handler = RedisChannelHandler(configuration)
        self.handler = handler
        handler.pushed = { [unowned self] in self.pushed?($0) ?? false }
        handler.lost = { [weak self] failure in self?.lost(failure, attempt: attempt) }
        let bound = NIOLoopBound(handler, eventLoop: loop)
        let tls = configuration.tls
        let name = endpoint.host
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(Int64(clamping: configuration.connectTimeout.nanoseconds)))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        // A host that is an address has no name for SNI.
                        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name))
                    }
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
            .connect(host: endpoint.host, port: endpoint.port)
            .assumeIsolated()
            .whenComplete { [weak self] result in
                guard let self, self.attempt == attempt, self.state == .connecting else {
                    // Closed, or out of time, while it was being made.
                    if case .success(let channel) = result { channel.close(promise: nil) }
                    return
                }
                switch result {
                case .success: self.greet()
                case .failure: self.lost(.unavailable, attempt: attempt)
                }
            }
    }

    private func greet() {
        state = .greeting
        // AUTH alone: a server answers a refused one only where no other reply waits (redis issue 15640).
        guard !configuration.password.isEmpty else { return greetAuthenticated() }
        var words = [Array("AUTH".utf8)]
        if !configuration.user.isEmpty { words.append(Array(configuration.user.utf8)) }
        words.append(Array(configuration.password.utf8))
        greet([(words, { $0 == .status("OK") })]) { [weak self] in self?.greetAuthenticated() }
    }

    private func greetAuthenticated() {
        var steps: [(command: [[UInt8]], accepts: (RedisReply) -> Bool)] = []
        if configuration.database != 0 {
            steps.append(([Array("SELECT".utf8), Array(String(configuration.database).utf8)], { $0 == .status("OK") }))
        }
        if !configuration.clientName.isEmpty {
            // A user who may not name itself may still read and write.
            let words = ["CLIENT", "SETNAME", configuration.clientName].map { Array($0.utf8) }
            steps.append((words, { _ in true }))
        }
        steps.append(([Array("PING".utf8)], { $0.text == "PONG" }))
        greet(steps + greeting) { [weak self] in self?.becomeReady() }
    }

    private func greet(
        _ steps: [(command: [[UInt8]], accepts: (RedisReply) -> Bool)], done: @escaping () -> Void
    ) {
        guard let handler else { return }
        let attempt = self.attempt
        var left = steps.count
        for step in steps {
            handler.send(CommandBytes.formatted(step.command), deadline: greetingEnds, now: now) { [weak self] result in
                guard let self, self.attempt == attempt, self.state == .greeting else { return }
                switch result {
                case .success(let reply) where step.accepts(reply):
                    left -= 1
                    if left == 0 { done() }
                case .success(.error(let text)): self.restart(RedisFailure(error: text))
                case .success: self.restart(.unexpectedReply)
                case .failure(let failure): self.restart(failure)
                }
            }
        }
    }

    private func becomeReady() {
        guard let handler else { return }
        state = .ready
        counts.connected += 1
        lastFailure = nil
        backoff.reset()
        let now = self.now
        // Nobody is told here: those whose time is over are told by the timer, and all others take their places.
        let waiting = early.entries
        let commands = earlyBytes
        _ = early.removeAll()
        earlyBytes = []
        for (entry, command) in zip(waiting, commands) {
            guard let completion = entry.completion else { continue }
            handler.send(command, deadline: entry.deadline, now: now, completion: completion)
        }
        changed?(true)
        scheduleNext(now)
    }

    private func lost(_ failure: RedisFailure, attempt: UInt64) {
        guard attempt == self.attempt, state != .closed, state != .waiting else { return }
        let wasReady = state == .ready
        state = .waiting
        lastFailure = failure
        counts.failed += 1
        counts.lateReplies += handler?.pipeline.lateReplies ?? 0
        handler = nil
        self.attempt += 1
        failEarly(failure)
        let again = self.attempt
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(clamping: backoff.next(using: &generator)))) {
            [weak self] in
            guard let self, self.attempt == again, self.state == .waiting else { return }
            self.connect()
        }
        if wasReady { changed?(false) }
    }

    private func failEarly(_ failure: RedisFailure) {
        let completions = early.removeAll()
        earlyBytes = []
        for completion in completions { completion(.failure(failure)) }
    }

    // MARK: Time

    private func schedule(_ deadline: UInt64, now: UInt64) {
        guard deadline < timerAt else { return }
        timer?.cancel()
        timerAt = deadline
        timer = loop.assumeIsolated().scheduleTask(deadline: .uptimeNanoseconds(deadline)) { [weak self] in
            self?.timeHasCome()
        }
    }

    private func timeHasCome() {
        timerAt = .max
        guard state != .closed else { return }
        let now = self.now
        for completion in early.expire(at: now) { completion(.failure(.timeout)) }
        handler?.expire(at: now)
        switch state {
        case .connecting, .greeting:
            if now >= greetingEnds {
                // A channel that comes later finds that its attempt is over.
                let failure = RedisFailure.timeout
                let handler = self.handler
                lost(failure, attempt: attempt)
                handler?.close(failure)
            }
        case .ready:
            if let handler, !handler.pipeline.isEmpty,
                now >= handler.lastSign &+ configuration.stallTimeout.nanoseconds
            {
                handler.close(.timeout)
            } else if let handler, handler.pipeline.isEmpty,
                now >= handler.lastSign &+ configuration.keepalive.nanoseconds
            {
                handler.send(
                    Self.ping, deadline: now &+ configuration.stallTimeout.nanoseconds, now: now, completion: { _ in })
            }
        case .idle, .waiting, .closed: break
        }
        scheduleNext(now)
    }

    private func scheduleNext(_ now: UInt64) {
        var next = early.earliest
        switch state {
        case .connecting, .greeting: next = min(next, greetingEnds, handler?.pipeline.earliest ?? .max)
        case .ready:
            guard let handler else { break }
            let wait = handler.pipeline.isEmpty ? configuration.keepalive : configuration.stallTimeout
            next = min(next, handler.pipeline.earliest, handler.lastSign &+ wait.nanoseconds)
        case .idle, .waiting, .closed: return
        }
        // A sign of life may lie in the past; a timer never runs more often than each millisecond for that.
        if next < .max { schedule(max(next, now &+ 1_000_000), now: now) }
    }

    private static let ping = CommandBytes.formatted([Array("PING".utf8)])
}
