import EventLog
import Vocabulary

/// What events make of slates.
package struct SlateJoinOptions: Sendable {
    package var weights = EventWeights.standard
    /// Slates shown before are left out, milliseconds since 1970; nil: none.
    package var since: UInt64?
    /// Slates shown from then on are left out; nil: none.
    package var until: UInt64?
    /// How long after a slate its items may be answered, in milliseconds.
    package var window: UInt64 = 3_600_000
    /// How far a producer's clock may be behind the node's.
    package var clockSkew: UInt64 = 300_000

    package init() {}
}

/// A slate with what the user made of it.
package struct JoinedSlate: Sendable {
    /// With the features of the slate that it repeats, where that one was read before.
    package var slate: LoggedSlate
    /// For each shown item the weights of its events together; 0: none came.
    package var answers: [Float]
    /// Events may still come: what has none is no negative yet.
    package var isOpen: Bool

    /// - Parameter answers: None: nobody asked for them.
    package init(slate: LoggedSlate, answers: [Float] = [], isOpen: Bool = false) {
        self.slate = slate
        self.answers = answers
        self.isOpen = isOpen
    }

    package var hasAnswer: Bool { answers.contains { $0 > 0 } }
}

package struct SlateJoinReport: Sendable {
    package var slates = ArchiveReport()
    package var events = ArchiveReport()
    /// In the window of time.
    package var joined = 0
    package var outsideWindow = 0
    package var open = 0
    package var answered = 0
    /// Repeated slates, and those of them whose features could be found.
    package var cached = 0
    package var cachedWithFeatures = 0
    /// Events that name a request ID and carry a weight.
    package var namedEvents = 0
    /// Those that were let go because there were too many.
    package var letGo = 0
}

/// Joins slates to the events that name their request IDs.
///
/// An event belongs to a shown item when request ID, user and item agree and it came within the window. The events' sums
/// are kept, 32 bytes each, at most `countMax`; slates pass by one after the other.
package struct SlateJoin {
    static let countMax = 1 << 23
    /// Slates whose features wait for repetitions, the newest.
    private static let originalsMax = 2048

    private struct Answer {
        var request: UInt64
        var item: UInt64
        var time: UInt64
        var weight: Float
    }

    private let options: SlateJoinOptions
    private var answers: [Answer] = []
    /// The last event of the log.
    private var end: UInt64 = 0
    private var report = SlateJoinReport()

    /// Reads the events.
    ///
    /// - Throws: `LogError`, what `onProgress` throws.
    package init(
        events: LogArchive, _ options: SlateJoinOptions = SlateJoinOptions(),
        onProgress: (Int) throws -> Void = { _ in }
    ) throws {
        self.options = options
        var (answers, oldest, seen) = ([Answer](), 0, 0)
        var (named, letGo, end) = (0, 0, UInt64(0))
        let found = try events.read { event in
            seen += 1
            if seen & 0xFFF == 0 { try onProgress(seen) }
            end = max(end, event.timeMilliseconds)
            guard !event.requestID.isEmpty, let weight = options.weights[event.type], weight != 0 else { return }
            named += 1
            let answer = Answer(
                request: XXH64.hash(event.requestID), item: Self.key(event.item, event.user),
                time: event.timeMilliseconds, weight: Float(weight))
            if answers.count < Self.countMax {
                answers.append(answer)
            } else {
                answers[oldest] = answer
                oldest = (oldest + 1) % Self.countMax
                letGo += 1
            }
        }
        report.events = found
        report.namedEvents = named
        report.letGo = letGo
        self.end = min(end, options.until ?? .max)
        self.answers = answers.sorted { ($0.request, $0.item, $0.time) < ($1.request, $1.item, $1.time) }
    }

    private static func key(_ item: String, _ user: String) -> UInt64 {
        XXH64.hash(item, seed: XXH64.hash(user))
    }

    /// Gives every slate of the window of time to `body`, in the order of the log.
    ///
    /// - Throws: `LogError`, and whatever `body` throws.
    package func forEach(_ slates: LogArchive, _ body: (JoinedSlate) throws -> Void) throws -> SlateJoinReport {
        var report = report
        var originals: [String: LoggedFeatures] = [:]
        var order: [String] = []
        var oldest = 0
        report.slates = try slates.readSlates { slate in
            guard slate.timeMilliseconds >= options.since ?? 0, slate.timeMilliseconds < options.until ?? .max else {
                report.outsideWindow += 1
                return
            }
            var slate = slate
            if slate.marks.contains(.cached) {
                report.cached += 1
                if let features = originals[slate.original] {
                    slate.features = features.ofFirst(slate.shownCount)
                    report.cachedWithFeatures += 1
                }
            } else if let features = slate.features, !slate.marks.contains(.many) {
                if order.count < Self.originalsMax {
                    order.append(slate.requestID)
                } else {
                    originals[order[oldest]] = nil
                    order[oldest] = slate.requestID
                    oldest = (oldest + 1) % Self.originalsMax
                }
                originals[slate.requestID] = features
            }
            let joined = join(slate)
            report.joined += 1
            if joined.isOpen { report.open += 1 }
            if joined.hasAnswer { report.answered += 1 }
            try body(joined)
        }
        return report
    }

    private func join(_ slate: LoggedSlate) -> JoinedSlate {
        let request = XXH64.hash(slate.requestID)
        var values = [Float](repeating: 0, count: slate.shownCount)
        var (low, high) = (0, answers.count)
        while low < high {
            let middle = (low + high) / 2
            if answers[middle].request < request { low = middle + 1 } else { high = middle }
        }
        while low < answers.count, answers[low].request == request {
            let answer = answers[low]
            low += 1
            guard answer.time &+ options.clockSkew >= slate.timeMilliseconds,
                answer.time <= slate.timeMilliseconds &+ options.window
            else { continue }
            for place in values.indices where Self.key(slate.items[place], slate.user) == answer.item {
                values[place] += answer.weight
            }
        }
        return JoinedSlate(
            slate: slate, answers: values, isOpen: slate.timeMilliseconds &+ options.window > end)
    }
}

extension LoggedFeatures {
    /// The rows of the first items alone.
    func ofFirst(_ count: Int) -> LoggedFeatures {
        let rows = items.prefix { $0 < count }.count
        var part = LoggedFeatures(schema: schema)
        part.items = Array(items.prefix(rows))
        part.numbers = numbers.map { Array($0.prefix(rows)) }
        part.categories = categories.map { Array($0.prefix(rows)) }
        part.lists = lists.map { Array($0.prefix(rows)) }
        return part
    }
}
