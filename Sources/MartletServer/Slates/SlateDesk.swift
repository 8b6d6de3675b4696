import Serving
import Vocabulary
import Wire

/// Decides for one loop which slates are logged, and hands them over. Belongs to the loop.
final class SlateDesk {
    private let log: SlateLog
    private let shard: Int
    /// By the scenarios' numbers: a request is sampled when 64 evenly spread bits are below; `UInt64.max`: always.
    private let thresholds: [UInt64]
    private var random: SlateRandom
    /// By the hash of a request's bytes, the request ID under which the kept answer to it was logged.
    private var originals: [UInt64: String] = [:]
    private let wallClock: @Sendable () -> UInt64

    private static let originalsMax = 4096

    /// - Parameter shares: By the scenarios' numbers, 0 to 1.
    init(
        _ log: SlateLog, shard: Int, shares: [Double], seed: UInt64, wallClock: @escaping @Sendable () -> UInt64
    ) {
        self.log = log
        self.shard = shard
        self.wallClock = wallClock
        thresholds = shares.map(Self.threshold)
        random = SlateRandom(seed: seed)
    }

    static func threshold(_ share: Double) -> UInt64 {
        share >= 1 ? .max : UInt64(max(0, share) * 0x1p64)
    }

    /// Whether any call that names this request ID is sampled: the same on all nodes.
    static func isSampled(_ requestID: String, threshold: UInt64) -> Bool {
        threshold == .max || XXH64.hash(requestID) < threshold
    }

    /// The request ID under which a call's slate is to be logged; nil: it is not.
    ///
    /// - Parameter own: The caller's; nil: one is made.
    func sample(scenario: Int, own: @autoclosure () -> String?) -> String? {
        let threshold = thresholds[scenario]
        if threshold == 0 { return nil }
        if let own = own() { return Self.isSampled(own, threshold: threshold) ? own : nil }
        guard threshold == .max || random.next() < threshold else { return nil }
        let digits = String(random.next(), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Hands a slate over; whether it was taken.
    func log(_ capture: SlateCapture, isOfMany: Bool = false) -> Bool {
        var capture = capture
        capture.stamp(wallClock(), isOfMany: isOfMany)
        return log.offer(.made(capture), shard: shard)
    }

    /// Hands over what the cache gave out again.
    func log(repeated request: UnsafeRawBufferPointer, _ answer: [UInt8], as requestID: String) -> Bool {
        let slate = RepeatedSlate(
            requestID: requestID, original: originals.isEmpty ? "" : originals[XXH64.hash(request)] ?? "",
            timeMilliseconds: wallClock(), request: Array(request), answer: answer)
        return log.offer(.repeated(slate), shard: shard)
    }

    /// Remembers under which request ID the answer that the cache keeps now was logged; nil: it was not.
    func remember(_ requestID: String?, for request: [UInt8]) {
        guard requestID != nil || !originals.isEmpty else { return }
        if originals.count >= Self.originalsMax { originals.removeAll(keepingCapacity: true) }
        originals[request.withUnsafeBytes { XXH64.hash($0) }] = requestID
    }

    /// What is put behind an encoded `RecommendReply` to name the request ID.
    static func suffix(_ requestID: String) -> [UInt8] {
        // Field 21, length-delimited.
        [0xAA, 0x01, UInt8(requestID.utf8.count)] + Array(requestID.utf8)
    }
}
