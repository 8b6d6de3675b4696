import Glibc
import LiveState
import Vocabulary

/// How much memory do users take, and how long do an event and a reading take?
///
/// Users have IDs of 8 bytes. Their events come interleaved, one of each user in a random order, then the next of each, so
/// that hardly any is in a near cache. Items are drawn evenly (numbers as large as they get), pauses from 10 seconds to 3
/// days (evenly by their logarithm), every tenth event has a rating in half steps. Times are the thread's processor time.
package struct LiveStateBench {
    package struct Figure: Sendable {
        package let name: String
        package let value: Double
        package let unit: String

        package var text: String {
            let rounded = value >= 100 ? "\(Int(value.rounded()))" : "\((value * 100).rounded() / 100)"
            return name + String(repeating: " ", count: max(1, 58 - name.count)) + rounded + " " + unit
        }
    }

    private let users: Int
    private let events: Int
    private let items: UInt32
    private let states: UserStates
    private let types: EventTypes
    private var ids: [UInt8] = []
    private var seconds: [UInt32] = []
    private var order: [UInt32] = []
    private var random: UInt64 = 0x1234_5678
    private static let idBytes = 8

    /// - Throws: `LiveStateError`.
    package init(users: Int, events: Int, items: Int, historyMax: Int) throws {
        self.users = users
        self.events = events
        self.items = UInt32(items)
        types = try EventTypes()
        states = try UserStates(
            UserStatesConfiguration(historyMax: historyMax, bytesMax: 1 << 40), types: types)
        for user in 0..<users {
            let digits = String(user)
            ids += Array(("u" + String(repeating: "0", count: Self.idBytes - 1 - digits.count) + digits).utf8)
        }
        order = (0..<UInt32(users)).map { $0 }
        seconds = [UInt32](repeating: 1_700_000_000, count: users)
    }

    private mutating func next() -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var mixed = random
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Runs everything and gives each figure to `body` as it is known.
    package mutating func run(_ body: (Figure) -> Void) {
        var batch = [HistoryEvent](repeating: HistoryEvent(item: 0, type: 0, seconds: 0), count: users)
        let before = Self.residentBytes()
        var nanoseconds: [Double] = []
        for _ in 0..<events {
            prepare(&batch)
            nanoseconds.append(Self.time(users) { apply(batch) })
        }
        let resident = Self.residentBytes() - before
        body(
            Figure(
                name: "\(users) users x \(events) events: accounted", value: perUser(states.statistics.bytes),
                unit: "bytes/user"))
        body(Figure(name: "resident memory that came with them", value: perUser(resident), unit: "bytes/user"))
        body(Figure(name: "apply, median of rounds", value: Self.median(nanoseconds), unit: "ns/event"))
        body(
            Figure(
                name: "apply, last rounds", value: Self.median(Array(nanoseconds.suffix(max(1, events / 10)))),
                unit: "ns/event"))
        body(
            Figure(
                name: "for comparison: one read that waits for memory",
                value: Self.median((0..<5).map { _ in Self.memoryWait() }), unit: "ns"))
        read(body)
        serialise(body)
        numbers(body)
        recent(body)
    }

    private func perUser(_ bytes: Int) -> Double { Double(bytes) / Double(users) }

    /// One event for each user, in an order of its own.
    private mutating func prepare(_ batch: inout [HistoryEvent]) {
        for place in stride(from: users - 1, to: 0, by: -1) {
            order.swapAt(place, Int(next() % UInt64(place + 1)))
        }
        for place in 0..<users {
            let user = Int(order[place])
            let random = next()
            let power = Double(random & 0xFFFF) / 65_536
            seconds[user] += UInt32(10 * pow(25_920, power))
            batch[place] = HistoryEvent(
                item: UInt32(truncatingIfNeeded: random >> 32) % items, type: UInt8(random >> 16 & 7) % 7,
                seconds: seconds[user],
                value: random >> 20 % 10 == 0 ? Float(random >> 24 & 7) / 2 : nil)
        }
    }

    private func id(_ user: Int, _ all: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: all[(user * Self.idBytes)..<((user + 1) * Self.idBytes)])
    }

    private func apply(_ batch: [HistoryEvent]) {
        ids.withUnsafeBytes { all in
            for place in 0..<users { states.apply(batch[place], user: id(Int(order[place]), all), now: .max) }
        }
    }

    private func read(_ body: (Figure) -> Void) {
        let asked = min(users, 200_000)
        let now = seconds.max() ?? 0
        var history = HistoryBuffer()
        var counts = WindowCounts()
        var sum: UInt64 = 0
        func measure(_ name: String, _ read: (UserView) -> Void) {
            let rounds = (0..<5).map { _ in
                Self.time(asked) {
                    ids.withUnsafeBytes { all in
                        for place in 0..<asked { states.read(id(Int(order[place]), all)) { read($0) } }
                    }
                }
            }
            body(Figure(name: name, value: Self.median(rounds), unit: "ns/user"))
        }
        measure("read: history and seen items") { view in
            view.copyHistory(into: &history)
            view.forEachSeen(now: now) { sum &+= UInt64($0) }
        }
        measure("read: history") { $0.copyHistory(into: &history) }
        measure("read: seen items") { $0.forEachSeen(now: now) { sum &+= UInt64($0) } }
        measure("read: counts of three windows") { $0.count(into: &counts, now: now) }
        measure("read: session") { sum &+= UInt64($0.session(now: now)?.events ?? 0) }
        measure("read: epoch") { sum &+= UInt64($0.epoch) }
        if sum == 1 { body(Figure(name: "", value: 0, unit: "")) }
    }

    private func serialise(_ body: (Figure) -> Void) {
        var bytes: [UInt8] = []
        var slots: [[UInt8]] = []
        var longest = 0.0
        var total = 0.0
        for slot in 0..<Slot.count {
            bytes.removeAll(keepingCapacity: true)
            let time = Self.time(1) { states.serialise(Slot(UInt16(slot)), into: &bytes) }
            total += time
            longest = max(longest, time)
            slots.append(bytes)
        }
        body(Figure(name: "writing all slots", value: total / 1e6, unit: "ms"))
        body(Figure(name: "writing one slot, mean", value: total / 1e3 / Double(Slot.count), unit: "us"))
        body(Figure(name: "writing one slot, longest", value: longest / 1e3, unit: "us"))
        body(Figure(name: "bytes written", value: perUser(slots.reduce(0) { $0 + $1.count }), unit: "bytes/user"))
        guard let copy = try? UserStates(states.configuration, types: types) else { return }
        let load = Self.time(1) { for slot in slots { _ = try? copy.load(slot) } }
        guard copy.statistics.users == users else { return }
        body(Figure(name: "reading all slots", value: load / 1e6, unit: "ms"))
    }

    private func numbers(_ body: (Figure) -> Void) {
        guard let numbers = try? ItemNumbers() else { return }
        ids.withUnsafeBytes { all in
            let add = Self.time(users) { for user in 0..<users { _ = numbers.numberAdding(id(user, all)) } }
            body(Figure(name: "numbers of \(users) items: add", value: add, unit: "ns/item"))
            let find = Self.time(users) { for user in order { _ = numbers.number(of: id(Int(user), all)) } }
            body(Figure(name: "numbers: find", value: find, unit: "ns/item"))
        }
        body(
            Figure(
                name: "numbers: memory, IDs of \(Self.idBytes) bytes", value: perUser(numbers.bytes), unit: "bytes/item"
            ))
    }

    private func recent(_ body: (Figure) -> Void) {
        let capacity = max(1, users / 2)
        guard let recent = try? RecentEvents(capacity: capacity, seed: 1) else { return }
        let time = ids.withUnsafeBytes { all in
            Self.time(users) {
                for user in order { recent.insert(recent.key(user: id(Int(user), all), event: id(Int(user), all))) }
            }
        }
        body(Figure(name: "recent events (\(capacity)): insert", value: time, unit: "ns/event"))
        body(Figure(name: "recent events: memory", value: Double(recent.bytes) / Double(capacity), unit: "bytes/event"))
    }

    // MARK: Measuring

    /// Nanoseconds of this thread for one of `count`.
    private static func time(_ count: Int, _ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
        }
        let start = now()
        body()
        return (now() - start) / Double(count)
    }

    /// Nanoseconds of a read in 256 MiB whose place depends on the one before.
    private static func memoryWait() -> Double {
        let count = 1 << 26
        let places = [UInt32](repeating: 7, count: count)
        var place = 1
        let time = time(500_000) {
            for _ in 0..<500_000 { place = (place &* 0x2545_F491_4F6C_DD1D &+ Int(places[place >> 20 & (count - 1)])) }
        }
        return place == 0 ? 0 : time
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }

    /// Of this process; 0 where the system does not tell.
    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let words = line.prefix { $0 != 0 }.split(separator: CChar(UInt8(ascii: " ")))
        guard words.count > 1 else { return 0 }
        let pages = words[1].reduce(0) { $0 * 10 + Int($1) - 48 }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }
}
