import LiveState
import Retrieval
import Vocabulary

/// Everything that users did and were shown, when: what a node would have been told, in the order in which it would have been.
///
/// ```
/// offsets  [0, 3, 5, ...]   the events of user row u are offsets[u]..<offsets[u + 1], oldest first
/// ```
/// 13 bytes an event, and the IDs.
package struct EventTimeline: Sendable {
    package let users: IDTable
    package let items: IDTable
    private let offsets: [Int]
    package let itemRows: [UInt32]
    /// Milliseconds since 1970-01-01 UTC.
    package let times: [Int64]
    /// By `types`; empty: all are of `code`.
    private let codes: [UInt8]
    private let code: UInt8
    package let types: EventTypes
    /// Whether there are events by which users were only shown something.
    package let hasShown: Bool
    /// Events that were let go because there were too many, the oldest.
    package let letGo: Int

    /// As what the interactions of a file count: they say no more than that the user wanted the item.
    package static let fileType = "click"
    /// Events that are held at most.
    package static let countMax = 1 << 26

    /// The interactions of a file; each pair once, when it last stood there. Nil where they have no times.
    package init?(_ interactions: Interactions) throws {
        guard let times = interactions.times else { return nil }
        let types = try EventTypes()
        users = interactions.users
        items = interactions.items
        offsets = interactions.offsets
        itemRows = interactions.itemRows
        self.times = times
        codes = []
        code = types.code(named: Self.fileType) ?? 0
        self.types = types
        hasShown = false
        letGo = 0
    }

    fileprivate init(
        users: IDTable, items: IDTable, types: EventTypes, offsets: [Int], itemRows: [UInt32], times: [Int64],
        codes: [UInt8], letGo: Int
    ) {
        self.users = users
        self.items = items
        self.types = types
        self.offsets = offsets
        self.itemRows = itemRows
        self.times = times
        self.codes = codes
        code = 0
        self.letGo = letGo
        hasShown = codes.contains { types.isOnlyShown($0) }
    }

    /// What a model was made of, and what came after. Nil where one of both has no times.
    package init?(_ model: RetrievalModel, followedBy later: Interactions) throws {
        guard later.times != nil, model.users.hasTimes else { return nil }
        var builder = EventTimelineBuilder(try EventTypes())
        for row in 0..<UInt32(model.users.count) {
            guard let times = model.users.historyTimes(of: row) else { continue }
            let name = model.users.name(row)
            for (item, time) in zip(model.users.history(of: row), times) {
                builder.add(user: name, item: model.items.name(item), type: Self.fileType, time: time)
            }
        }
        builder.add(later)
        self = builder.finish()
    }

    package var count: Int { itemRows.count }

    /// The code of the type of the event at a place.
    package func type(_ place: Int) -> UInt8 { codes.isEmpty ? code : codes[place] }

    /// The places of a user's events, oldest first, that were before a moment.
    ///
    /// - Complexity: O(log events of the user).
    package func places(of user: UInt32, before moment: Int64) -> Range<Int> {
        let first = offsets[Int(user)]
        var (low, high) = (first, offsets[Int(user) + 1])
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < moment { low = middle + 1 } else { high = middle }
        }
        return first..<low
    }
}

/// Collects events in any order and makes a timeline of them.
package struct EventTimelineBuilder {
    private var users = IDTable()
    private var items = IDTable()
    private var userRows: [UInt32] = []
    private var itemRows: [UInt32] = []
    private var times: [Int64] = []
    private var codes: [UInt8] = []
    /// Where the next event goes once there are too many.
    private var oldest = 0
    private var letGo = 0
    private let types: EventTypes
    private let countMax: Int

    package init(_ types: EventTypes, countMax: Int = EventTimeline.countMax) {
        self.types = types
        self.countMax = countMax
    }

    /// Adds an event; one of a type that is not known is none.
    ///
    /// - Parameter time: Milliseconds since 1970.
    package mutating func add(user: String, item: String, type: String, time: Int64) {
        guard let code = types.code(named: type) else { return }
        let (user, item) = (users.intern(user), items.intern(item))
        guard userRows.count == countMax else {
            userRows.append(user)
            itemRows.append(item)
            times.append(time)
            codes.append(code)
            return
        }
        (userRows[oldest], itemRows[oldest], times[oldest], codes[oldest]) = (user, item, time, code)
        oldest = (oldest + 1) % countMax
        letGo += 1
    }

    /// Adds interactions that have times.
    package mutating func add(_ interactions: Interactions) {
        guard let times = interactions.times else { return }
        for user in 0..<interactions.userCount {
            let name = interactions.users.string(UInt32(user))
            for place in interactions.range(of: user) {
                add(
                    user: name, item: interactions.items.string(interactions.itemRows[place]),
                    type: EventTimeline.fileType, time: times[place])
            }
        }
    }

    /// - Complexity: O(events), and sorting within users.
    package consuming func finish() -> EventTimeline {
        var offsets = [Int](repeating: 0, count: users.count + 1)
        for user in userRows { offsets[Int(user) + 1] += 1 }
        for user in 0..<users.count { offsets[user + 1] += offsets[user] }
        var next = offsets
        var places = [UInt32](repeating: 0, count: userRows.count)
        // From the oldest one on, where the list has gone around.
        for step in userRows.indices {
            let place = (oldest + step) % userRows.count
            let user = Int(userRows[place])
            places[next[user]] = UInt32(place)
            next[user] += 1
        }
        for user in 0..<users.count {
            let range = offsets[user]..<offsets[user + 1]
            let isSorted = zip(range, range.dropFirst()).allSatisfy {
                times[Int(places[$0])] <= times[Int(places[$1])]
            }
            if isSorted { continue }
            // Events of one moment stay as they came.
            let sorted = range.sorted {
                (times[Int(places[$0])], $0) < (times[Int(places[$1])], $1)
            }
            places.replaceSubrange(range, with: sorted.map { places[$0] })
        }
        return EventTimeline(
            users: users, items: items, types: types, offsets: offsets, itemRows: places.map { itemRows[Int($0)] },
            times: places.map { times[Int($0)] }, codes: places.map { codes[Int($0)] }, letGo: letGo)
    }
}

extension EventWeights {
    /// The types that these weights name, as a node would know them: of the standard ones their own flags, of others seen and
    /// a success where they weigh. A node knows 32 types; further ones are left out, the last by name.
    package func types() throws -> EventTypes {
        var types = EventTypes.standardTypes
        for (name, weight) in sorted where !types.contains(where: { $0.name == name }) {
            guard types.count < EventTypes.countMax else { break }
            let type = EventType(
                name, weight: Float(max(-1000, min(1000, weight))), weight > 0 ? [.seen, .success, .changesSlate] : [])
            if (try? type.validate()) != nil { types.append(type) }
        }
        return try EventTypes(types)
    }
}
