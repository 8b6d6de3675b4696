import MicroBatching
import TestSupport
import Testing
import Vocabulary

/// By a clock that the tests turn by hand.
@Suite struct BatchQueueTests {
    private let curve = ServiceTimeCurve()

    private func queue(_ entries: [(id: Int, rows: Int)], together: Int = 8, turn: Int = 256) -> BatchQueue {
        var queue = BatchQueue(entriesMax: 64, turnRows: turn)
        for entry in entries { add(entry.id, rows: entry.rows, limits: BatchLimits(requests: together), to: &queue) }
        return queue
    }

    private func add(
        _ id: Int, rows: Int, limits: BatchLimits = BatchLimits(), deadline: UInt64 = .max, to queue: inout BatchQueue
    ) {
        let isTaken = queue.add(id, rows: rows, limits: limits, deadline: deadline, at: 0)
        #expect(isTaken)
    }

    private func reason(_ queue: BatchQueue, rowsMax: Int = 64, at now: UInt64 = 0) -> BatchCloseReason? {
        queue.reasonToClose(rowsMax: rowsMax, curve: curve, slack: 100, at: now)
    }

    // MARK: Rules

    @Test("rows of several entries go together, in the order of arrival")
    func order() {
        var queue = queue([(7, 10), (3, 20), (5, 30)])
        let first = queue.takeBatch(rowsMax: 40, at: 9)
        #expect(first.map(\.id) == [7, 3, 5] && first.map(\.rows) == [0..<10, 0..<20, 0..<10])
        #expect(first.map(\.waited) == [9, 9, 9])
        #expect(queue.count == 1 && queue.rows == 20)
        let second = queue.takeBatch(rowsMax: 40, at: 11)
        #expect(second.map(\.id) == [5] && second.map(\.rows) == [10..<30] && second.map(\.waited) == [nil])
        #expect(queue.isEmpty && queue.rows == 0)
        let none = queue.takeBatch(rowsMax: 40, at: 12)
        #expect(none.isEmpty)
    }

    @Test("a small rest goes along rather than by itself")
    func rest() {
        var queue = queue([(1, 80), (2, 5)])
        let batches = (0..<2).map { _ in queue.takeBatch(rowsMax: 64, at: 0) }
        #expect(batches.map { $0.map(\.id) } == [[1], [2]] && batches[0][0].rows == 0..<80)
    }

    @Test("waits while rows are few, and not when they are enough, begun, or many requests")
    func reasons() {
        #expect(reason(queue([])) == nil)
        #expect(reason(queue([(1, 63)])) == nil)
        #expect(reason(queue([(1, 63), (2, 1)])) == .full)
        #expect(reason(queue([(1, 1), (2, 1), (3, 1)], together: 3)) == .full)
        var begun = queue([(1, 100)])
        _ = begun.takeBatch(rowsMax: 64, at: 0)
        #expect(reason(begun) == .rest)
        add(2, rows: 60, to: &begun)
        #expect(reason(begun) == .full)
    }

    @Test("a batch keeps to the narrowest limits of those in it, and one that wants fewer beside it comes by itself")
    func limits() {
        var queue = queue([(1, 10), (2, 10)])
        #expect(reason(queue) == nil)
        add(3, rows: 10, limits: BatchLimits(requests: 1), to: &queue)
        #expect(reason(queue) == .full)
        let pair = queue.takeBatch(rowsMax: 64, at: 0)
        #expect(pair.map(\.id) == [1, 2] && reason(queue) == .full)
        add(4, rows: 10, to: &queue)
        let alone = queue.takeBatch(rowsMax: 64, at: 0)
        #expect(alone.map(\.id) == [3] && reason(queue) == nil)
        add(5, rows: 30, limits: BatchLimits(rows: 16), to: &queue)
        #expect(reason(queue) == .full)
        let narrow = (0..<2).map { _ in queue.takeBatch(rowsMax: 64, at: 0) }
        #expect(narrow.map { $0.map(\.id) } == [[4, 5], [5]])
        #expect(narrow.map { $0.map(\.rows) } == [[0..<10, 0..<6], [6..<22]])
    }

    @Test("does not wait when a deadline would be missed by what the batch and the waiting are expected to cost")
    func deadline() {
        var curve = ServiceTimeCurve()
        for _ in 0..<20 { for rows in [8, 64] { curve.record(rows: rows, nanoseconds: UInt64(1000 + 10 * rows)) } }
        var queue = BatchQueue(entriesMax: 8)
        add(1, rows: 10, to: &queue)
        add(2, rows: 10, deadline: 5_000, to: &queue)
        func reason(_ now: UInt64) -> BatchCloseReason? {
            queue.reasonToClose(rowsMax: 64, curve: curve, slack: 500, at: now)
        }
        // 20 rows cost 1200, asking again may take 500.
        #expect(reason(0) == nil && reason(3_290) == nil)
        #expect(reason(3_310) == .deadline)
    }

    @Test("does not wait for company that would save nothing, once that is known")
    func cheap() {
        var curve = ServiceTimeCurve()
        let queue = queue([(1, 10)])
        func reason() -> BatchCloseReason? {
            queue.reasonToClose(rowsMax: 64, curve: curve, slack: 100, companyPrice: 4_000, at: 0)
        }
        for _ in 0..<50 { curve.record(rows: 10, nanoseconds: 10_000) }
        #expect(reason() == nil && !curve.isSettled)
        for _ in 0..<5 { curve.record(rows: 60, nanoseconds: 58_000) }
        #expect(reason() == .cheap)
        // Nothing but the same for long: a look at what others cost is due.
        for _ in 0..<5_000 { curve.record(rows: 10, nanoseconds: 10_000) }
        #expect(reason() == nil)
        for _ in 0..<16 { curve.record(rows: 60, nanoseconds: 35_000) }
        #expect(reason() == nil && curve.isSettled)
    }

    @Test("an entry whose deadline passed leaves alone")
    func expiry() {
        var queue = BatchQueue(entriesMax: 8)
        for (id, deadline) in [(1, UInt64.max), (2, 100), (3, 50), (4, 101)] {
            add(id, rows: 5, deadline: deadline, to: &queue)
        }
        let early = queue.dropExpired(49)
        let late = queue.dropExpired(100)
        let left = queue.takeBatch(rowsMax: 64, at: 100)
        #expect(early.isEmpty && late == [2, 3] && left.map(\.id) == [1, 4])
    }

    @Test("takes no more than it may, and says so")
    func full() {
        var queue = BatchQueue(entriesMax: 2)
        add(1, rows: 5, to: &queue)
        add(2, rows: 5, to: &queue)
        let third = queue.add(3, rows: 5, deadline: .max, at: 0)
        #expect(!third && queue.rows == 10)
        let removed = (queue.remove(1), queue.remove(1))
        #expect(removed == (true, false))
        let empty = queue.add(3, rows: 0, deadline: .max, at: 0)
        #expect(!empty)
        add(3, rows: 5, to: &queue)
        #expect(queue.rows == 10)
    }

    // MARK: Fairness

    @Test("ten thousand rows of one request cost others no more than a turn, and are not starved by them")
    func longEntries() {
        var queue = queue([(0, 10_000)], turn: 128)
        var taken = [0: 0]
        /// Rows of others that went before an entry was done.
        var before: [Int: Int] = [:]
        var next = 1
        var rounds = 0
        while taken[0, default: 0] < 10_000, rounds < 10_000 {
            rounds += 1
            // Always as many short ones as a batch can hold: the long one's share is what turns give it.
            while queue.count < 8, queue.add(next, rows: 10, deadline: .max, at: 0) {
                before[next] = 0
                next += 1
            }
            let parts = queue.takeBatch(rowsMax: 64, at: 0)
            for part in parts {
                taken[part.id, default: 0] += part.rows.count
                for id in before.keys where id != part.id { before[id, default: 0] += part.rows.count }
                if part.id > 0, taken[part.id] == 10 {
                    #expect(before[part.id, default: 0] <= 128 + 64 + 80)
                    before[part.id] = nil
                }
            }
        }
        #expect(taken[0] == 10_000)
        // Eight short ones have 80 rows, the long one's turn 128.
        #expect(rounds < 10_000 * 208 / 128 / 64 + 50)
    }

    // MARK: Anything may come

    @Test("nothing is lost, nothing goes twice, and every bound holds", arguments: [1, 2, 3, 4, 5, 6])
    func anything(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (entriesMax, turn) = (Int.random(in: 1...40, using: &random), Int.random(in: 1...300, using: &random))
        var queue = BatchQueue(entriesMax: entriesMax, turnRows: turn)
        /// Rows, rows that went, deadline, limits.
        var waiting: [Int: (rows: Int, gone: Int, deadline: UInt64, limits: BatchLimits)] = [:]
        var now: UInt64 = 0
        func took(_ parts: [BatchQueue.Part], _ rowsMax: Int) {
            #expect(Set(parts.map(\.id)).count == parts.count)
            let rows = parts.reduce(0) { $0 + $1.rows.count }
            #expect(rows <= rowsMax + rowsMax / 4)
            for part in parts {
                guard let limits = waiting[part.id]?.limits else { continue }
                #expect(parts.count <= limits.requests && rows <= limits.rows + limits.rows / 4)
            }
            #expect(parts.isEmpty == waiting.isEmpty)
            for part in parts {
                let entry = waiting[part.id]
                #expect(entry?.gone == part.rows.lowerBound && !part.rows.isEmpty)
                #expect((part.waited != nil) == (part.rows.lowerBound == 0))
                waiting[part.id]?.gone = part.rows.upperBound
                if part.rows.upperBound == entry?.rows { waiting[part.id] = nil }
            }
        }
        for id in 0..<3000 {
            now += UInt64.random(in: 0...50, using: &random)
            let rows =
                Bool.random(using: &random)
                ? Int.random(in: 1...20, using: &random) : Int.random(in: 1...2000, using: &random)
            let deadline = Bool.random(using: &random) ? UInt64.max : now + UInt64.random(in: 0...2000, using: &random)
            let fits = waiting.count < entriesMax
            let limits = BatchLimits(
                rows: Int.random(in: 1...150, using: &random), requests: Int.random(in: 1...12, using: &random))
            let isTaken = queue.add(id, rows: rows, limits: limits, deadline: deadline, at: now)
            #expect(isTaken == fits)
            if fits { waiting[id] = (rows, 0, deadline, limits) }
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                if let some = waiting.keys.randomElement(using: &random) {
                    let isRemoved = queue.remove(some)
                    #expect(isRemoved)
                    waiting[some] = nil
                }
            case 1:
                let expired = queue.dropExpired(now)
                #expect(Set(expired) == Set(waiting.filter { $0.value.deadline <= now }.keys))
                for id in expired { waiting[id] = nil }
            case 2...6:
                let rowsMax = Int.random(in: 1...200, using: &random)
                if queue.reasonToClose(rowsMax: rowsMax, curve: curve, slack: 10, at: now) != nil {
                    took(queue.takeBatch(rowsMax: rowsMax, at: now), rowsMax)
                }
            default: took(queue.takeBatch(rowsMax: 64, at: now), 64)
            }
            #expect(queue.count == waiting.count)
            #expect(queue.rows == waiting.values.reduce(0) { $0 + $1.rows - $1.gone })
        }
        var rounds = 0
        while !queue.isEmpty, rounds < 100_000 {
            rounds += 1
            took(queue.takeBatch(rowsMax: 100, at: now), 100)
        }
        #expect(waiting.isEmpty)
    }
}
