import Retrieval
import Vocabulary

/// Items that users were shown and passed over: what a ranker may learn from as surely not chosen.
package struct ShownItems: Sendable {
    private let users: IDTable
    private let items: IDTable
    /// User row in the upper half, item row in the lower; ascending, each once.
    private let pairs: [UInt64]
    /// Impressions that were let go because there were too many.
    package let letGo: Int

    fileprivate init(users: IDTable, items: IDTable, pairs: [UInt64], letGo: Int) {
        self.users = users
        self.items = items
        self.pairs = pairs
        self.letGo = letGo
    }

    package var count: Int { pairs.count }

    package func contains(user: String, item: String) -> Bool {
        guard let user = users.row(of: user), let item = items.row(of: item) else { return false }
        return pairs.contains(ImpressionCollector.key(user, item))
    }

    /// The pairs that a model knows, as its rows: the user's in the upper half, the item's in the lower.
    package func rows(in model: RetrievalModel) -> Set<UInt64> {
        func rows(_ table: IDTable, _ find: (UnsafeRawBufferPointer) -> UInt32?) -> [UInt32?] {
            (0..<UInt32(table.count)).map { row in table.withBytes(of: row) { find(UnsafeRawBufferPointer($0)) } }
        }
        let userRows = rows(users) { model.users.row(of: $0) }
        let itemRows = rows(items) { model.items.row(of: $0) }
        var found: Set<UInt64> = []
        for pair in pairs {
            if let user = userRows[Int(pair >> 32)], let item = itemRows[Int(UInt32(truncatingIfNeeded: pair))] {
                found.insert(ImpressionCollector.key(user, item))
            }
        }
        return found
    }
}

/// Finds out which impressions were passed over.
///
/// An impression is answered when the same user did something with the same item from then on until the window's end, or at
/// any time with the impression's request ID. One whose window was still open at the end of the log is neither.
/// - Complexity: 24 bytes for an impression, 16 for an answer, at most `countMax` of each; beyond, the oldest are let go.
struct ImpressionCollector {
    static let countMax = 1 << 23

    private struct Impression {
        var pair: UInt64
        var time: UInt64
        /// Hash of request ID and item; 0 without one.
        var request: UInt64
    }

    private let window: UInt64
    private let countMax: Int
    private var users = IDTable()
    private var items = IDTable()
    private var impressions: [Impression] = []
    /// Where the next impression goes once the list is full.
    private var oldest = 0
    private var letGo = 0
    private var answers: [(pair: UInt64, time: UInt64)] = []
    private var nextAnswer = 0
    private var answeredRequests: Set<UInt64> = []
    private var unwantedPairs: Set<UInt64> = []
    private var end: UInt64 = 0

    init(window: UInt64, countMax: Int = Self.countMax) {
        self.window = window
        self.countMax = countMax
    }

    static func key(_ user: UInt32, _ item: UInt32) -> UInt64 { UInt64(user) << 32 | UInt64(item) }

    mutating func notice(_ time: UInt64) { end = max(end, time) }

    mutating func shown(_ event: UserEvent) {
        let impression = Impression(
            pair: Self.key(users.intern(event.user), items.intern(event.item)), time: event.timeMilliseconds,
            request: Self.request(event))
        guard impressions.count == countMax else { return impressions.append(impression) }
        impressions[oldest] = impression
        oldest = (oldest + 1) % countMax
        letGo += 1
    }

    mutating func answered(_ event: UserEvent) {
        // Answers may reach the log before what they answer, so that all are kept, not only those of known pairs.
        let answer = (Self.key(users.intern(event.user), items.intern(event.item)), event.timeMilliseconds)
        if answers.count < countMax {
            answers.append(answer)
        } else {
            answers[nextAnswer] = answer
            nextAnswer = (nextAnswer + 1) % countMax
        }
        let request = Self.request(event)
        if request != 0, answeredRequests.count < countMax { answeredRequests.insert(request) }
    }

    mutating func unwanted(_ event: UserEvent) {
        if unwantedPairs.count < countMax {
            unwantedPairs.insert(Self.key(users.intern(event.user), items.intern(event.item)))
        }
    }

    private static func request(_ event: UserEvent) -> UInt64 {
        guard !event.requestID.isEmpty else { return 0 }
        return XXH64.hash(event.item, seed: XXH64.hash(event.requestID) | 1) | 1
    }

    /// - Parameter until: Where the log was cut off; nil: its last event is its end.
    consuming func finish(until: UInt64?) -> ShownItems {
        let end = until ?? end
        let sorted = answers.sorted { $0 < $1 }
        var pairs = unwantedPairs
        for impression in impressions where impression.time <= end && window <= end - impression.time {
            if impression.request != 0, answeredRequests.contains(impression.request) { continue }
            // The first answer of the pair that is not before the impression.
            var (low, high) = (0, sorted.count)
            while low < high {
                let middle = (low + high) / 2
                if sorted[middle] < (impression.pair, impression.time) { low = middle + 1 } else { high = middle }
            }
            let isAnswered =
                low < sorted.count && sorted[low].pair == impression.pair
                && sorted[low].time - impression.time <= window
            if !isAnswered { pairs.insert(impression.pair) }
        }
        return ShownItems(users: users, items: items, pairs: pairs.sorted(), letGo: letGo)
    }
}
