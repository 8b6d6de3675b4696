import NIOCore

/// Hears from a server which keys were changed: Redis' client tracking, in broadcasting mode, over RESP2.
///
/// RESP2 has no messages beside replies, so there are two connections: one subscribes to `__redis__:invalidate`, the other asks
/// the server to send there what happens to keys with the prefixes. Whatever was remembered is worth nothing as soon as one of the
/// two is lost, and until both are there again: `flush` says so. Redis 6 or later; an older one never gets to `isTracking`.
///
/// One for each server of a cluster. Belongs to its event loop.
package final class InvalidationListener {
    package enum Message: Sendable, Equatable {
        /// These keys were written, deleted, evicted or ran out.
        case changed([[UInt8]])
        /// Any key may have changed.
        case flush
    }

    /// Whether messages come: only then may anything be remembered.
    package private(set) var isTracking = false
    package private(set) var flushes: UInt64 = 0
    /// Why the server will never send messages: it is too old, or the user may not ask; nil: it does, or may yet.
    package var refusal: RedisFailure? {
        if isTracking { return nil }
        switch tracker?.lastFailure ?? listener.lastFailure {
        case .error(let text): return .error(text)
        case .refused(let text): return .refused(text)
        default: return nil
        }
    }

    private let endpoint: RedisEndpoint
    private let configuration: RedisConfiguration
    private let prefixes: [[UInt8]]
    private let loop: any EventLoop
    private let listener: RedisConnection
    private var tracker: RedisConnection?
    private var clientID: Int64 = 0
    private var receive: ((Message) -> Void)?

    /// - Parameter prefixes: None may begin with another: Redis refuses that.
    package init(
        _ endpoint: RedisEndpoint, _ configuration: RedisConfiguration, prefixes: [[UInt8]], loop: any EventLoop,
        receive: @escaping (Message) -> Void
    ) {
        self.endpoint = endpoint
        self.configuration = configuration
        self.prefixes = prefixes
        self.loop = loop
        self.receive = receive
        listener = RedisConnection(endpoint, configuration, loop: loop)
    }

    package func start() {
        listener.greeting = [
            (
                ["CLIENT", "ID"].map { Array($0.utf8) },
                { [weak self] reply in
                    guard let id = reply.integer else { return false }
                    self?.clientID = id
                    return true
                }
            ),
            (["SUBSCRIBE", "__redis__:invalidate"].map { Array($0.utf8) }, { $0.array?.first?.text == "subscribe" }),
        ]
        listener.pushed = { [weak self] in self?.take($0) ?? false }
        listener.changed = { [weak self] isReady in
            if isReady { self?.track() } else { self?.lost() }
        }
        listener.start()
    }

    package func close() {
        receive = nil
        isTracking = false
        listener.close()
        tracker?.close()
        tracker = nil
    }

    private func track() {
        tracker?.close()
        let tracker = RedisConnection(endpoint, configuration, loop: loop)
        self.tracker = tracker
        var words = ["CLIENT", "TRACKING", "ON", "REDIRECT", String(clientID), "BCAST"].map { Array($0.utf8) }
        for prefix in prefixes { words += [Array("PREFIX".utf8), prefix] }
        tracker.greeting = [(words, { $0 == .status("OK") })]
        tracker.changed = { [weak self] isReady in
            guard let self else { return }
            // What was read between the loss and now may be old, too.
            self.isTracking = isReady
            self.flush()
        }
        tracker.start()
    }

    private func lost() {
        tracker?.close()
        tracker = nil
        isTracking = false
        flush()
    }

    private func flush() {
        flushes += 1
        receive?(.flush)
    }

    /// `message`, channel, keys; null in place of the keys: all of them (FLUSHALL).
    private func take(_ reply: RedisReply) -> Bool {
        guard let parts = reply.array, parts.count == 3, parts[0].text == "message" else { return false }
        guard case .array(let keys) = parts[2] else {
            flush()
            return true
        }
        receive?(.changed(keys.compactMap(\.bytes)))
        return true
    }
}
