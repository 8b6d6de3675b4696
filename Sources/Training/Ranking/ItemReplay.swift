import CandidateRanking
import LiveState
import Synchronization

/// The places of a timeline's events in the order of their times.
///
/// - Complexity: O(events * log events) to make; 4 bytes an event.
struct TimelineOrder: Sendable {
    let places: [UInt32]

    init(_ timeline: EventTimeline) {
        places = (0..<UInt32(timeline.count)).sorted {
            // Those of one moment in the order of users: which of them came first is known for one user only.
            (timeline.times[Int($0)], $0) < (timeline.times[Int($1)], $1)
        }
    }
}

/// The activity of items as a node would know it at one moment after the other, had it counted every event of before.
///
/// The code that counts is the node's own. Goes forward only; one for each thread.
final class ItemReplay: LiveItemReader {
    private let timeline: EventTimeline
    private let order: TimelineOrder
    /// Of each row of the model the item's row in the timeline; of items with which nothing happens a number that none has:
    /// they are as every item is before its first event.
    private let numbers: [UInt32]
    private var activity: ItemActivity
    private var next = 0
    private var now: UInt32 = 0
    /// The moment that was asked for last, in milliseconds since 1970.
    private(set) var moment = Int64.min

    init(_ timeline: EventTimeline, _ order: TimelineOrder, _ rows: TimelineRows, itemCount: Int) throws {
        self.timeline = timeline
        self.order = order
        var numbers = [UInt32](repeating: UInt32(timeline.items.count), count: itemCount)
        for number in 0..<UInt32(timeline.items.count) {
            if let row = rows.modelRow(number) { numbers[Int(row)] = number }
        }
        self.numbers = numbers
        activity = try ItemActivity(ItemActivityConfiguration(), scenarios: [])
    }

    /// Counts what happened before a moment that is not before the last one.
    func advance(to moment: Int64) {
        precondition(moment >= self.moment, "a replay does not go back from \(self.moment) to \(moment)")
        self.moment = moment
        now = UInt32(clamping: moment / 1000)
        while next < order.places.count {
            let place = Int(order.places[next])
            guard timeline.times[place] < moment else { break }
            next += 1
            guard let kind = timeline.types.itemEventKind(timeline.type(place)) else { continue }
            activity.count(
                kind, item: timeline.itemRows[place], scenario: 0,
                seconds: UInt32(clamping: timeline.times[place] / 1000))
        }
    }

    func activity(of row: UInt32) -> ItemActivityValues? {
        activity.values(of: numbers[Int(row)], scenario: 0, now: now)
    }
}

/// The replays of the workers that go through cases in the order of their moments, kept from one run of cases to the next.
final class ItemReplays: Sendable {
    private let timeline: EventTimeline
    private let order: TimelineOrder
    /// Each belongs to its worker while that is at work.
    private struct Kept: @unchecked Sendable { var replays: [Int: ItemReplay] = [:] }
    private let kept = Mutex(Kept())

    init(_ timeline: EventTimeline) {
        self.timeline = timeline
        order = TimelineOrder(timeline)
    }

    /// The worker's replay, or a new one where that has gone past the moment.
    func replay(_ worker: Int, before moment: Int64, _ rows: TimelineRows, itemCount: Int) throws -> ItemReplay {
        let found = kept.withLock { kept in
            UncheckedReplay(replay: kept.replays[worker].flatMap { $0.moment <= moment ? $0 : nil })
        }
        if let replay = found.replay { return replay }
        let new = UncheckedReplay(
            replay: try ItemReplay(timeline, order, rows, itemCount: itemCount))
        kept.withLock { $0.replays[worker] = new.replay }
        return try new.replay ?? ItemReplay(timeline, order, rows, itemCount: itemCount)
    }

    /// `@unchecked Sendable`: handed over between calls of one worker.
    private struct UncheckedReplay: @unchecked Sendable { let replay: ItemReplay? }
}
