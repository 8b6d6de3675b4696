import DequeModule
import EventLog
import LiveState
import Vocabulary

/// Events of users of one shard, out of one call.
package struct EventBatch: Sendable {
    /// The events, and for each its place in the whole call. Checked: their texts, types, values and times are good.
    package var events: [(position: Int, event: UserEvent)]

    package init(events: [(position: Int, event: UserEvent)]) { self.events = events }
}

/// What became of a batch.
package struct RecordedEvents: Sendable {
    package var stored = 0
    package var duplicates = 0
    /// Of those stored: for items that the model does not know.
    package var unknownItems = 0
    /// Events that the log refused, by their places in the call.
    package var refused: [Int] = []
    package var refusal: LogError?
    /// Those stored, as they count; empty where nobody else is to hear of them.
    package var counted: [UserEvent] = []
    /// Of those stored: other nodes do not know of them yet.
    package var unshared = 0
}

/// Brings a shard's events into the log, and from there into its state: an event counts when it is stored, never before.
///
/// ```
///  take    new to this shard? -> append to the log -> waits
///  settle  stored -> applied, answered      refused -> forgotten, answered
/// ```
/// Without a log, an event is applied and answered at once.
final class EventIntake {
    private struct Waiting {
        var call: ShardCall
        var batch: EventBatch
        /// Events whose IDs waited for the log already, by their places in the call.
        var repeats: [(position: Int, id: RecentEvents.Key)]
        var result: RecordedEvents
        /// Of the record that decides.
        var sequence: UInt64
        /// `refusals` when the call came.
        var refusals: Int
    }

    private let log: LogWriter?
    private var waiting: Deque<Waiting> = []
    /// IDs of events that wait for the log.
    private var pendingIDs: Set<RecentEvents.Key> = []
    private var lastSequence: UInt64 = 0
    /// How often the log has refused records, and why it did last.
    private var refusals = 0
    private var lastRefusal: LogError?
    /// The last record whose events were applied, as far as they are this shard's.
    var appliedThrough: UInt64 = 0
    private let live: LiveUsers
    /// Whether the events that count are given back.
    var tellsCounted = false

    /// The time, and which items there are.
    struct Moment {
        /// Since 1970.
        var seconds: Int64
        /// By an item's number its row; `UInt32.max` for none.
        var rows: [UInt32]
        /// The same of items beside the model's.
        var added: [UInt32: UInt32] = [:]
    }

    /// - Parameter log: Nil: events are kept in memory alone.
    init(log: LogWriter?, live: LiveUsers) {
        self.log = log
        self.live = live
    }

    /// Takes the events of a call.
    ///
    /// - Returns: The answer, where it is known at once.
    func take(_ batch: EventBatch, _ call: ShardCall, _ moment: Moment) -> RecordedEvents? {
        var result = RecordedEvents()
        var new: [(position: Int, event: UserEvent)] = []
        var repeats: [(position: Int, id: RecentEvents.Key)] = []
        var taken: [RecentEvents.Key] = []
        for entry in batch.events {
            if let id = live.key(of: entry.event) {
                if live.recent.contains(id) {
                    result.duplicates += 1
                    continue
                }
                if !pendingIDs.insert(id).inserted {
                    // Not known to be stored yet, so nothing can be said of this one either.
                    repeats.append((entry.position, id))
                    continue
                }
                taken.append(id)
            }
            new.append(entry)
        }
        guard let log else {
            for entry in new { count(entry.event, moment, in: &result) }
            result.duplicates += repeats.count
            pendingIDs.removeAll()
            return result
        }
        if !new.isEmpty {
            do throws(LogError) {
                lastSequence = try log.append(
                    kind: RecordKind.events.rawValue, EventRecord.encode(new.map(\.event)))
            } catch {
                for id in taken { pendingIDs.remove(id) }
                result.refused = new.map(\.position) + repeats.map(\.position)
                result.refusal = error
                return result
            }
        } else if repeats.isEmpty {
            return result
        }
        waiting.append(
            Waiting(
                call: call, batch: EventBatch(events: new), repeats: repeats, result: result, sequence: lastSequence,
                refusals: refusals))
        return nil
    }

    /// Learns what became of records, and answers those who waited for that.
    func settle(_ outcome: LogOutcome, _ moment: Moment, answered: (ShardCall, RecordedEvents) -> Void) {
        if case .refused(_, let error) = outcome {
            refusals += 1
            lastRefusal = error
        }
        while let first = waiting.first, first.sequence <= outcome.through {
            waiting.removeFirst()
            var result = first.result
            switch outcome {
            case .stored:
                for entry in first.batch.events { count(entry.event, moment, in: &result) }
            case .refused(_, let error):
                result.refused = first.batch.events.map(\.position)
                result.refusal = error
            }
            for entry in first.batch.events {
                if let id = live.key(of: entry.event) { pendingIDs.remove(id) }
            }
            settle(first, in: &result)
            answered(first.call, result)
        }
        appliedThrough = max(appliedThrough, outcome.through)
    }

    /// Events that came while others of their IDs waited: stored before if those are, else refused as they were.
    private func settle(_ waiting: Waiting, in result: inout RecordedEvents) {
        for (position, id) in waiting.repeats {
            if waiting.refusals == refusals || live.recent.contains(id) {
                result.duplicates += 1
            } else {
                result.refused.append(position)
                result.refusal = result.refusal ?? lastRefusal
            }
        }
    }

    private func count(_ event: UserEvent, _ moment: Moment, in result: inout RecordedEvents) {
        result.stored += 1
        if tellsCounted {
            var counted = event
            // As the history takes it.
            counted.timeMilliseconds = min(
                event.timeMilliseconds, UInt64(clamping: moment.seconds) &* 1000 &+ 999)
            result.counted.append(counted)
        }
        guard let number = live.apply(event, now: moment.seconds) else {
            result.unknownItems += 1
            return
        }
        let item = Int(number)
        let isKnown = item < moment.rows.count && moment.rows[item] != .max
        if !isKnown, moment.added[number] == nil { result.unknownItems += 1 }
    }
}
