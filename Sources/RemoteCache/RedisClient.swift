import NIOCore
import Resilience

/// Redis, or a Redis cluster, as one event loop sees it.
///
/// Commands are pipelined over a few connections that make themselves anew. Every command ends: with a reply, or with a
/// `RedisFailure` after at most its time. Nothing that a server does or sends makes a caller wait longer.
///
/// ```
///   command ──> server of the key's slot ──> breaker (of reads or of writes) ──> connection ──> reply
///                   ^                                                                │ MOVED, ASK
///                   └────────────────── at most `redirectsMax` times ───────────────┘
/// ```
///
/// No locks: every call must be made on the event loop, and completions are called there, sometimes before the call returns.
package final class RedisClient {
    package typealias Completion = (RedisResult) -> Void

    package let configuration: RedisConfiguration
    package let loop: any EventLoop
    package private(set) var statistics = RedisStatistics()
    /// Told the nanoseconds of each command that was answered.
    package var observe: ((UInt64) -> Void)?

    private let breaker: CircuitBreakerConfiguration
    private var nodes: [RedisEndpoint: RedisNode] = [:]
    private var slots: SlotMap
    private var generator = SystemRandomNumberGenerator()
    private var isRefreshing = false
    private var refreshedAt: UInt64 = 0
    private var isClosed = false
    private var nextSeed = 0

    /// Of the breakers where nothing else is said: back soon, as a cache that is away only costs time.
    package static var breakerDefaults: CircuitBreakerConfiguration {
        var configuration = CircuitBreakerConfiguration()
        configuration.consecutiveFailures = 10
        configuration.openFirst = .milliseconds(100)
        configuration.openMaximum = .seconds(2)
        configuration.probeTimeout = .seconds(2)
        return configuration
    }

    /// - Precondition: `configuration.problem()` and `breaker.problem()` are nil.
    package init(
        _ configuration: RedisConfiguration, breaker: CircuitBreakerConfiguration = RedisClient.breakerDefaults,
        loop: any EventLoop
    ) {
        if let problem = configuration.problem() { preconditionFailure("redis: \(problem)") }
        self.configuration = configuration
        self.breaker = breaker
        self.loop = loop
        slots = SlotMap(nodesMax: configuration.nodesMax)
    }

    /// Makes the connections ahead of the first command.
    package func start() {
        loop.preconditionInEventLoop()
        for endpoint in configuration.endpoints { node(endpoint)?.start() }
        if configuration.isCluster { refreshSlots() }
    }

    /// Closes all connections; what waits fails with `closed`.
    package func close() {
        loop.preconditionInEventLoop()
        isClosed = true
        for node in nodes.values { node.close() }
        nodes = [:]
    }

    // MARK: Commands

    /// Sends a command.
    ///
    /// - Parameters:
    ///   - timeout: Until the caller is told; nil: the configuration's.
    ///   - completion: Is called once. An error reply is a failure.
    package func send(_ command: RedisCommand, timeout: Duration? = nil, completion: @escaping Completion) {
        loop.assertInEventLoop()
        let now = NIODeadline.now().uptimeNanoseconds
        var life = (timeout ?? configuration.commandTimeout).nanoseconds
        if let wait = command.blocksMilliseconds {
            guard (1...RedisNode.blockMillisecondsMax).contains(wait) else {
                return fail(.error("ERR a command may wait 1...\(RedisNode.blockMillisecondsMax) ms"), completion)
            }
            life += UInt64(wait) * 1_000_000
        }
        statistics.commands += 1
        perform(command, to: nil, asking: false, redirects: 0, sent: now, deadline: now &+ life, completion)
    }

    private func fail(_ failure: RedisFailure, _ completion: Completion) {
        statistics.failures[failure.index] += 1
        completion(.failure(failure))
    }

    private func perform(
        _ command: RedisCommand, to endpoint: RedisEndpoint?, asking: Bool, redirects: Int, sent: UInt64,
        deadline: UInt64, _ completion: @escaping Completion
    ) {
        guard let node = node(endpoint ?? target(of: command)) else { return fail(.unavailable, completion) }
        let now = redirects == 0 ? sent : NIODeadline.now().uptimeNanoseconds
        let isWrite = command.isWrite
        guard let ticket = isWrite ? node.writes.admit(at: now) : node.reads.admit(at: now) else {
            return fail(.breakerOpen, completion)
        }
        node.send(command, asking: asking, deadline: deadline, now: now) { [self] result in
            let end = NIODeadline.now().uptimeNanoseconds
            var result = result
            var redirect: Redirect?
            if case .success(.error(let text)) = result {
                redirect = configuration.isCluster ? Redirect(text, asked: node.endpoint) : nil
                result = .failure(RedisFailure(error: text))
            }
            let outcome = redirect == nil ? Self.outcome(of: result) : .success
            if isWrite {
                node.writes.record(outcome, of: ticket, at: end, using: &generator)
            } else {
                node.reads.record(outcome, of: ticket, at: end, using: &generator)
            }
            if let redirect {
                follow(redirect, command, redirects: redirects, sent: sent, deadline: deadline, completion)
                return
            }
            switch result {
            case .success:
                statistics.answered += 1
                observe?(end &- sent)
                completion(result)
            case .failure(let failure):
                // A server that is gone may have handed its slots to another.
                if configuration.isCluster, failure.isFault { refreshSlots() }
                fail(failure, completion)
            }
        }
    }

    private static func outcome(of result: RedisResult) -> CircuitBreaker.Outcome {
        switch result {
        case .success: .success
        // Our own bound: it tells that replies are slow, which time-outs tell already.
        case .failure(.overloaded): .neutral
        case .failure(let failure): failure.isFault ? .failure : .success
        }
    }

    // MARK: Cluster

    private func follow(
        _ redirect: Redirect, _ command: RedisCommand, redirects: Int, sent: UInt64, deadline: UInt64,
        _ completion: @escaping Completion
    ) {
        statistics.redirects += 1
        if !redirect.isAsk {
            slots.moved(redirect.slot, to: redirect.endpoint)
            refreshSlots()
        }
        guard redirects < configuration.redirectsMax else { return fail(.tooManyRedirects, completion) }
        perform(
            command, to: redirect.endpoint, asking: redirect.isAsk, redirects: redirects + 1, sent: sent,
            deadline: deadline, completion)
    }

    private func target(of command: RedisCommand) -> RedisEndpoint {
        if configuration.isCluster, let slot = command.slot, let owner = slots.owner(of: slot) { return owner }
        // Whoever is asked knows where the slot is.
        return configuration.isCluster ? anyReady : configuration.endpoints[0]
    }

    private var anyReady: RedisEndpoint {
        if let ready = nodes.values.first(where: { $0.isReady }) { return ready.endpoint }
        nextSeed += 1
        return configuration.endpoints[nextSeed % configuration.endpoints.count]
    }

    private func node(_ endpoint: RedisEndpoint) -> RedisNode? {
        if let node = nodes[endpoint] { return node }
        guard !isClosed, nodes.count < configuration.nodesMax else { return nil }
        let node = RedisNode(endpoint, configuration, breaker: breaker, loop: loop)
        nodes[endpoint] = node
        return node
    }

    /// Asks some server for the slots, not more often than every 100 ms.
    private func refreshSlots() {
        let now = NIODeadline.now().uptimeNanoseconds
        guard configuration.isCluster, !isRefreshing, !isClosed, refreshedAt == 0 || now &- refreshedAt > 100_000_000,
            let node = node(anyReady)
        else { return }
        isRefreshing = true
        refreshedAt = now
        let deadline = now &+ configuration.connectTimeout.nanoseconds
        node.send(Self.clusterSlots, asking: false, deadline: deadline, now: now) { [weak self] result in
            guard let self else { return }
            self.isRefreshing = false
            guard case .success(let reply) = result, self.slots.take(reply, asked: node.endpoint) else {
                self.statistics.refreshesFailed += 1
                return
            }
            self.statistics.refreshes += 1
            self.dropForgotten()
        }
    }

    /// Servers that are neither in the cluster any more nor named by the configuration.
    private func dropForgotten() {
        let known = Set(slots.nodes).union(configuration.endpoints)
        for endpoint in nodes.keys.filter({ !known.contains($0) }) {
            if nodes[endpoint]?.inFlight == 0 { nodes.removeValue(forKey: endpoint)?.close() }
        }
    }

    private static let clusterSlots = RedisCommand(["CLUSTER", "SLOTS"])

    // MARK: State

    /// The worst state of any server's breakers.
    package func breakerState(writes: Bool) -> CircuitBreaker.State {
        let states = nodes.values.map { writes ? $0.writes.state : $0.reads.state }
        return states.contains(.open) ? .open : states.contains(.halfOpen) ? .halfOpen : .closed
    }

    package var isReady: Bool { nodes.values.contains { $0.isReady } }

    /// What is true now, for metrics and people.
    package var pool: RedisPoolState {
        var state = RedisPoolState()
        for node in nodes.values {
            state.servers += 1
            state.breakersOpened += node.reads.counts.opened + node.writes.counts.opened
            for connection in node.connections {
                state.connections += 1
                state.inFlight += connection.inFlight
                state.connected += connection.counts.connected
                state.lost += connection.counts.failed
                if connection.isReady { state.ready += 1 }
                if let failure = connection.lastFailure { state.lastFailure = failure }
            }
        }
        return state
    }
}

/// Totals of a client.
package struct RedisStatistics: Sendable, Equatable {
    package var commands: UInt64 = 0
    package var answered: UInt64 = 0
    /// By `RedisFailure.index`.
    package var failures = [UInt64](repeating: 0, count: RedisFailure.reasons.count)
    package var redirects: UInt64 = 0
    package var refreshes: UInt64 = 0
    package var refreshesFailed: UInt64 = 0
}

/// The connections of a client.
package struct RedisPoolState: Sendable, Equatable {
    package var servers = 0
    package var connections = 0
    package var ready = 0
    package var inFlight = 0
    package var connected: UInt64 = 0
    package var lost: UInt64 = 0
    package var breakersOpened: UInt64 = 0
    package var lastFailure: RedisFailure?
}
