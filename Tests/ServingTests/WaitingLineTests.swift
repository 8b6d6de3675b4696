import Overload
import TestSupport
import Testing

@testable import Serving

@Suite("The line before a shard")
struct WaitingLineTests {
    private static let millisecond: UInt64 = 1_000_000

    private final class Origin: CallOrigin {
        let number: Int
        let isCancelled: Bool

        init(_ number: Int, isCancelled: Bool = false) {
            self.number = number
            self.isCancelled = isCancelled
        }
    }

    private func call(
        _ number: Int, _ priority: CallPriority = .normal, at arrived: UInt64 = 0, deadline: UInt64 = .max,
        isCancelled: Bool = false
    ) -> ShardCall {
        ShardCall(
            request: .item("i"), arrived: arrived, deadline: deadline, origin: Origin(number, isCancelled: isCancelled),
            priority: priority)
    }

    private func number(_ call: ShardCall?) -> Int? { (call?.origin as? Origin)?.number }

    /// Takes all out: numbers of those that began, and reasons of those that left.
    private func drain(_ line: inout WaitingLine, at now: UInt64) -> (began: [Int], left: [Int: Rejection.Reason]) {
        var (began, left): ([Int], [Int: Rejection.Reason]) = ([], [:])
        while let first = line.first {
            let number = number(first) ?? -1
            switch line.takeFirst(at: now) {
            case .begins: began.append(number)
            case .leaves(let rejection): left[number] = rejection.reason
            }
        }
        #expect(line.count == 0)
        return (began, left)
    }

    @Test("important calls go first, those of one priority in the order in which they came")
    func order() {
        var line = WaitingLine(callsMax: 100, target: 0)
        let priorities: [CallPriority] = [.background, .normal, .sheddable, .critical, .normal, .critical, .background]
        for (number, priority) in priorities.enumerated() { #expect(line.add(call(number, priority), at: 0) == nil) }
        #expect(line.count == 7)
        line.prepend(call(7, .normal), at: 0)
        #expect(drain(&line, at: 1).began == [3, 5, 7, 1, 4, 2, 0, 6])
    }

    @Test("what was cancelled, or is too late for its caller, is not begun")
    func refusals() {
        for target in [0, 20 * Self.millisecond] {
            var line = WaitingLine(callsMax: 100, target: target)
            _ = line.add(call(0, isCancelled: true), at: 0)
            _ = line.add(call(1, deadline: 50), at: 0)
            _ = line.add(call(2), at: 0)
            let (began, left) = drain(&line, at: 100)
            #expect(began == [2])
            #expect(left == [0: .cancelled, 1: .deadlineExceeded])
        }
    }

    @Test("a full line takes no more, whoever asks")
    func full() {
        for target in [0, 20 * Self.millisecond] {
            var line = WaitingLine(callsMax: 3, target: target)
            for number in 0..<3 { #expect(line.add(call(number), at: 0) == nil) }
            guard case .full? = line.add(call(3, .critical), at: 0) else {
                Issue.record("a fourth call was taken")
                return
            }
            #expect(line.load(at: 0) == 1)
            #expect(drain(&line, at: 0).began == [0, 1, 2])
            #expect(line.load(at: 0) == 0)
        }
    }

    @Test("a call that waited too long leaves only where another one is still in time")
    func late() {
        var line = WaitingLine(callsMax: 10, target: 20 * Self.millisecond)
        _ = line.add(call(0, at: 0), at: 0)
        // Nobody gains by dropping the only one, however late.
        #expect(drain(&line, at: 500 * Self.millisecond).began == [0])
        _ = line.add(call(1, at: 500 * Self.millisecond), at: 500 * Self.millisecond)
        _ = line.add(call(2, .critical, at: 500 * Self.millisecond), at: 500 * Self.millisecond)
        line.prepend(call(3, .sheddable, at: 590 * Self.millisecond), at: 595 * Self.millisecond)
        let (began, left) = drain(&line, at: 600 * Self.millisecond)
        #expect(began == [2, 3])
        #expect(left == [1: .overloaded])
    }

    /// A shard that takes a millisecond for each call, and three times as many calls as it can serve.
    @Test(
        "at three times the load waits stay bounded, most of the capacity is used, and nothing critical is turned away",
        arguments: 0..<20)
    func overload(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let target = 20 * Self.millisecond
        var line = WaitingLine(callsMax: 4096, target: target)
        var (now, free, served, number) = (UInt64(0), UInt64(0), 0, 0)
        var shed: [CallPriority: Int] = [:]
        var waits: [UInt64] = []
        let end: UInt64 = 6_000 * Self.millisecond
        while now < end {
            now += UInt64(Double.random(in: 0...0.667, using: &random) * 1e6)
            while free <= now, let first = line.first {
                let at = max(free, first.arrived)
                if case .begins = line.takeFirst(at: at) {
                    served += 1
                    if first.priority == .normal { waits.append(at - first.arrived) }
                    free = at + Self.millisecond
                } else {
                    shed[first.priority, default: 0] += 1
                }
            }
            let share = Double.random(in: 0..<1, using: &random)
            let priority: CallPriority = share < 0.1 ? .critical : share < 0.6 ? .normal : .sheddable
            number += 1
            if line.add(call(number, priority, at: now), at: now) != nil { shed[priority, default: 0] += 1 }
        }
        #expect(shed[.critical] == nil)
        #expect(Double(served) >= 0.95 * 6_000, "\(served) of 6000")
        let sorted = waits.sorted()
        #expect(sorted[sorted.count * 99 / 100] <= 2 * target)
        #expect((shed[.sheddable] ?? 0) > (shed[.normal] ?? 0))
    }
}
