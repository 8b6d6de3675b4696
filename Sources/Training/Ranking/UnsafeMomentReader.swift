import CandidateRanking
import FactorModels
import LiveState
import Retrieval
import Vocabulary

/// What a node knows of a user at the time of a request.
struct UserMoment {
    /// What the model and events say the user likes, oldest first, each once.
    var history: [UInt32]
    /// Empty: the model's own.
    var factor: [Float]
    var live: LiveReadings
}

/// Tells what a node would know of users at a moment, had it been given every event of before, and none of later ones.
///
/// Users' states do not depend on each other, so those of one user at a time are enough: memory does not grow with the
/// events. The code that keeps and reads states is the node's own. One for each thread.
final class MomentReader {
    private let timeline: EventTimeline
    private let rows: TimelineRows
    private let model: RetrievalModel
    private let needs: LiveNeeds
    private let states: UserStates
    private let shown: UserStates
    private var activity = UserActivity()
    private var buffer = HistoryBuffer()
    /// Tells what is known of items; asked at rising moments only. Nil: nobody wants to know.
    private let items: ItemReplay?

    /// Of a user's events the newest are gone through: many times what a state holds.
    static let eventsMax = 8192
    /// Of a longer history the newest items are folded in, as a node does.
    private static let foldedItemsMax = 2000

    init(
        _ timeline: EventTimeline, _ rows: TimelineRows, _ model: RetrievalModel, _ needs: LiveNeeds,
        items: ItemReplay? = nil
    ) throws {
        self.items = items
        self.timeline = timeline
        self.rows = rows
        self.model = model
        self.needs = needs
        states = try UserStates(types: timeline.types)
        shown = try UserStates(UserStatesConfiguration(seenMax: 0), types: timeline.types)
    }

    /// - Parameters:
    ///   - user: A row of the model.
    ///   - moment: Milliseconds since 1970. What happened in this very millisecond is not known yet. Where items are replayed,
    ///     not before the last one; what is told of them holds until the next.
    func read(_ user: UInt32, at moment: Int64) -> UserMoment {
        let known = model.users.history(of: user)
        let now = UInt32(clamping: moment / 1000)
        var name = model.users.name(user)
        var (liked, weights) = ([UInt32](), [Float]())
        name.withUTF8 { bytes in
            let id = UnsafeRawBufferPointer(bytes)
            states.remove(user: id)
            shown.remove(user: id)
            if let row = timeline.users.row(of: bytes) { apply(row, id, before: moment, now) }
            activity.fill(
                id, states, shown: shown, now: now,
                row: needs.pairs ? { [rows] in rows.modelRow($0) } : nil)
            _ = states.read(id) { $0.copyHistory(into: &buffer) }
                .map { buffer.liked(timeline.types, row: rows.modelRow, rows: &liked, weights: &weights) }
        }
        items?.advance(to: moment)
        var moment = UserMoment(
            history: [], factor: [],
            live: LiveReadings(user: needs.user ? activity : nil, items: items.map { LiveItems($0, age: 0) }))
        let newer = Set(liked)
        for row in known where !newer.contains(row) { moment.history.append(row) }
        let isNews = moment.history.count + liked.count > known.count
        moment.history += liked
        if isNews, let foldIn = model.foldIn { moment.factor = factor(moment.history, weights, foldIn) }
        return moment
    }

    private func apply(_ user: UInt32, _ id: UnsafeRawBufferPointer, before moment: Int64, _ now: UInt32) {
        for place in timeline.places(of: user, before: moment).suffix(Self.eventsMax) {
            let type = timeline.type(place)
            let event = HistoryEvent(
                item: timeline.itemRows[place], type: type, seconds: UInt32(clamping: timeline.times[place] / 1000))
            (timeline.types.isOnlyShown(type) ? shown : states).apply(event, user: id, now: now)
        }
    }

    private func factor(_ history: [UInt32], _ weights: [Float], _ foldIn: FoldIn) -> [Float] {
        let newest = Array(history.suffix(Self.foldedItemsMax))
        var all = [Float](repeating: 1, count: newest.count)
        for (place, weight) in weights.suffix(newest.count).reversed().enumerated() {
            all[newest.count - 1 - place] = weight
        }
        return (try? foldIn.factor(rows: newest, weights: all)) ?? []
    }
}

/// The rows of a timeline's items in a model.
struct TimelineRows: Sendable {
    private let rows: [UInt32]

    init(_ timeline: EventTimeline, _ model: RetrievalModel) {
        rows = (0..<UInt32(timeline.items.count)).map { row in
            timeline.items.withBytes(of: row) { model.items.row(of: UnsafeRawBufferPointer($0)) } ?? .max
        }
    }

    func modelRow(_ row: UInt32) -> UInt32? {
        let found = rows[Int(row)]
        return found == .max ? nil : found
    }
}
