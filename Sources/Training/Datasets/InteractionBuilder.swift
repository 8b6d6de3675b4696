import Vocabulary

/// Collects pairs in the order of the file and turns them into `Interactions`.
///
/// - Complexity: O(pairs) in time, plus sorting within a user; about 40 bytes per pair at the peak, and the IDs.
package struct InteractionBuilder {
    package private(set) var users = IDTable()
    package private(set) var items = IDTable()
    private var userRows: [UInt32] = []
    private var itemRows: [UInt32] = []
    private var values: [Float] = []
    private var times: [Int64] = []
    private let hasTimes: Bool
    private let hasValues: Bool

    package init(hasValues: Bool, hasTimes: Bool) {
        self.hasTimes = hasTimes
        self.hasValues = hasValues
    }

    package var pairCount: Int { userRows.count }

    /// The row of a user, added when new; `admit` may turn a new one away.
    @inline(__always)
    mutating func user(
        _ id: UnsafeBufferPointer<UInt8>, admit: (UnsafeBufferPointer<UInt8>) -> Bool
    ) -> UInt32? {
        users.intern(id, admit: admit)
    }

    /// The row of an item, added when new; `admit` may turn a new one away.
    @inline(__always)
    mutating func item(
        _ id: UnsafeBufferPointer<UInt8>, admit: (UnsafeBufferPointer<UInt8>) -> Bool
    ) -> UInt32? {
        items.intern(id, admit: admit)
    }

    @inline(__always)
    mutating func add(user: UInt32, item: UInt32, value: Float, time: Int64) {
        userRows.append(user)
        itemRows.append(item)
        if hasValues { values.append(value) }
        if hasTimes { times.append(time) }
    }

    /// Adds a pair by IDs known to be good.
    package mutating func add(user: String, item: String, value: Float = 1, time: Int64 = 0) {
        add(user: users.intern(user), item: items.intern(item), value: value, time: time)
    }

    /// Groups by user, orders by time (then place in the file) and merges what stands there more than once: the last value
    /// and time stay, and the number of times.
    package consuming func finish() -> (interactions: Interactions, duplicates: Int) {
        let (starts, places) = groupedByUser()
        var offsets = [0]
        offsets.reserveCapacity(users.count + 1)
        var merged = Merged(capacity: places.count, hasTimes: hasTimes)
        var seenAt = [Int](repeating: -1, count: items.count)
        for user in 0..<users.count {
            let first = merged.items.count
            for place in places[starts[user]..<starts[user + 1]] {
                let place = Int(place)
                let item = Int(itemRows[place])
                let value = hasValues ? values[place] : 1
                let time = hasTimes ? times[place] : 0
                if seenAt[item] >= first {
                    merged.repeated(at: seenAt[item], value: value, time: time)
                } else {
                    seenAt[item] = merged.items.count
                    merged.append(item: UInt32(item), value: value, time: time)
                }
            }
            merged.sort(from: first)
            offsets.append(merged.items.count)
        }
        let duplicates = places.count - merged.items.count
        let result = Interactions(
            users: users, items: items, offsets: offsets, itemRows: merged.items, values: merged.values,
            times: hasTimes ? merged.times : nil, repeats: duplicates > 0 ? merged.repeats : nil)
        return (result, duplicates)
    }

    /// A stable counting sort of the places of all pairs by user.
    private func groupedByUser() -> (starts: [Int], places: [UInt32]) {
        var starts = [Int](repeating: 0, count: users.count + 1)
        for user in userRows { starts[Int(user) + 1] += 1 }
        for user in 0..<users.count { starts[user + 1] += starts[user] }
        var next = starts
        let places = [UInt32](unsafeUninitializedCapacity: userRows.count) { buffer, count in
            for (place, user) in userRows.enumerated() {
                buffer[next[Int(user)]] = UInt32(place)
                next[Int(user)] += 1
            }
            count = userRows.count
        }
        return (starts, places)
    }
}

/// The merged entries, one column each.
private struct Merged {
    var items: [UInt32] = []
    var values: [Float] = []
    var times: [Int64] = []
    var repeats: [UInt32] = []
    /// The order of the last appearance, within the current user.
    private var order: [UInt32] = []
    private var clock: UInt32 = 0
    private let hasTimes: Bool

    init(capacity: Int, hasTimes: Bool) {
        self.hasTimes = hasTimes
        items.reserveCapacity(capacity)
        values.reserveCapacity(capacity)
        repeats.reserveCapacity(capacity)
        if hasTimes { times.reserveCapacity(capacity) }
    }

    private var first = 0

    @inline(__always)
    mutating func append(item: UInt32, value: Float, time: Int64) {
        items.append(item)
        values.append(value)
        repeats.append(1)
        if hasTimes { times.append(time) }
        order.append(clock)
        clock += 1
    }

    mutating func repeated(at place: Int, value: Float, time: Int64) {
        repeats[place] = repeats[place] == .max ? .max : repeats[place] + 1
        if hasTimes, time < times[place] { return }
        values[place] = value
        if hasTimes { times[place] = time }
        order[place - first] = clock
        clock += 1
    }

    /// Puts the entries from `start` on in the order of time, then of last appearance, and starts the next user.
    mutating func sort(from start: Int) {
        defer {
            order.removeAll(keepingCapacity: true)
            clock = 0
            first = items.count
        }
        let count = items.count - start
        let isSorted = (1..<max(count, 1)).allSatisfy { !precedes($0, $0 - 1, start) }
        if isSorted { return }
        let sorted = (0..<count).sorted { precedes($0, $1, start) }
        items.replaceSubrange(start..., with: sorted.map { items[start + $0] })
        values.replaceSubrange(start..., with: sorted.map { values[start + $0] })
        repeats.replaceSubrange(start..., with: sorted.map { repeats[start + $0] })
        if hasTimes { times.replaceSubrange(start..., with: sorted.map { times[start + $0] }) }
    }

    private func precedes(_ a: Int, _ b: Int, _ start: Int) -> Bool {
        if hasTimes, times[start + a] != times[start + b] { return times[start + a] < times[start + b] }
        return order[a] < order[b]
    }
}
