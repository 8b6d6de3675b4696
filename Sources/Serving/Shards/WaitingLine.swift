import DequeModule
import Overload
import Vocabulary

/// The calls that wait for a shard: the more important ones first, those of one priority in the order in which they came.
///
/// Who would wait too long is turned away at the door (`WaitBound`), and so is who has waited too long all the same while others
/// are still in time: a place in line is worth only what comes out at its end.
struct WaitingLine {
    private var lines: [Deque<ShardCall>] = Array(repeating: [], count: CallPriority.allCases.count)
    /// Nil: the line is bounded by its length alone.
    private var bound: WaitBound?
    private let callsMax: Int
    private(set) var count = 0

    /// - Parameter target: Nanoseconds that a call of normal priority may wait, by estimate; 0: as long as it takes.
    init(callsMax: Int, target: UInt64) {
        self.callsMax = callsMax
        guard target > 0 else { return }
        var configuration = WaitBound.Configuration()
        configuration.target = target
        // Those that are put in front again are counted, and not asked.
        configuration.waitingMax = callsMax
        bound = WaitBound(configuration)
    }

    /// How much of what may wait does, or of the time that it may take: 0 to 1.
    func load(at now: UInt64) -> Double {
        let length = Double(count) / Double(max(1, callsMax))
        guard let bound, count > 0 else { return min(1, length) }
        return min(1, max(length, bound.estimate(.normal, at: now) / Double(bound.configuration.target)))
    }

    /// Why a call may not wait.
    enum Refusal {
        case full
        /// It would wait for so many nanoseconds, which is too long.
        case late(wait: Double)
    }

    /// Takes a call, or says why not.
    mutating func add(_ call: ShardCall, at now: UInt64) -> Refusal? {
        guard count < callsMax else { return .full }
        if bound?.admit(call.priority, patience: call.deadline &- min(call.deadline, now), at: now) == false {
            return .late(wait: bound?.estimate(call.priority, at: now) ?? 0)
        }
        lines[call.priority.rawValue].append(call)
        count += 1
        return nil
    }

    /// Puts a call in front of those of its priority: it waited already, elsewhere.
    mutating func prepend(_ call: ShardCall, at now: UInt64) {
        bound?.rejoin(call.priority, at: now)
        lines[call.priority.rawValue].prepend(call)
        count += 1
    }

    /// Who comes next.
    var first: ShardCall? {
        if count == 0 { return nil }
        for line in lines { if let call = line.first { return call } }
        return nil
    }

    /// What becomes of who comes next.
    enum Turn {
        case begins
        case leaves(Rejection)
    }

    /// Takes out who comes next, which is `first`.
    mutating func takeFirst(at now: UInt64) -> Turn {
        guard let rank = lines.firstIndex(where: { !$0.isEmpty }) else { return .begins }
        let call = lines[rank].removeFirst()
        count -= 1
        if let refusal = Self.refusal(of: call, at: now) {
            bound?.dropped(call.priority)
            return .leaves(refusal)
        }
        let waited = now &- min(now, call.arrived)
        if let late = bound, late.isTooLate(call.priority, waited: waited), hasBetter(than: call, late, at: now) {
            bound?.dropped(call.priority)
            return .leaves(Self.tooLate(waited))
        }
        bound?.began(call.priority, waited: waited, at: now)
        return .begins
    }

    /// Whether somebody waits who is still in time.
    private func hasBetter(than call: ShardCall, _ bound: WaitBound, at now: UInt64) -> Bool {
        lines.contains { line in
            line.last.map { !bound.isTooLate($0.priority, waited: now &- min(now, $0.arrived)) } ?? false
        }
    }

    /// Work that nobody waits for any more is not begun.
    static func refusal(of call: ShardCall, at now: UInt64) -> Rejection? {
        if call.origin.isCancelled { return Rejection(.cancelled, "the call was cancelled before work began") }
        if call.deadline <= now {
            return Rejection(.deadlineExceeded, "the deadline passed while the call waited for its shard")
        }
        return nil
    }

    private static func tooLate(_ waited: UInt64) -> Rejection {
        Rejection(
            .overloaded, "the call waited for \(waited / 1_000_000) ms, and later ones are still in time",
            retryIsSafe: true, retryAfterMilliseconds: retryAfter(Double(waited)))
    }

    /// The rejection of a call that would wait too long.
    static func tooLong(_ wait: Double) -> Rejection {
        let milliseconds = retryAfter(wait)
        return Rejection(
            .overloaded, "the call would wait for about \(milliseconds) ms", retryIsSafe: true,
            retryAfterMilliseconds: milliseconds)
    }

    /// When there should be room: after what the wait would have been.
    private static func retryAfter(_ wait: Double) -> Int { Int(min(1000, max(1, (wait / 1e6).rounded(.up)))) }
}
