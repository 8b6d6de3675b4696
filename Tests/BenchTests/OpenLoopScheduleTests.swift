import LoadGenerator
import Testing

@Suite struct OpenLoopScheduleTests {
    @Test(arguments: [1.0, 3, 1000, 12_345.6, 1_000_000])
    func `As many calls fall into the time as the rate says`(rate: Double) {
        var schedule = OpenLoopSchedule(start: 5_000_000_000, end: 7_000_000_000, rate: rate)
        var count = 0
        while schedule.take(at: .max) != nil { count += 1 }
        #expect(abs(Double(count) - 2 * rate) <= 1)
        #expect(schedule.nextTime == nil)
    }

    @Test func `A call is not taken before its time`() {
        var schedule = OpenLoopSchedule(start: 1000, end: 10_000, rate: 1e6)
        #expect(schedule.take(at: 999) == nil)
        #expect(schedule.take(at: 1000) == 1000)
        #expect(schedule.take(at: 1500) == nil)
        #expect(schedule.take(at: 5000) == 2000)
    }

    @Test func `What was due and not taken is counted exactly`() {
        var schedule = OpenLoopSchedule(start: 0, end: 1_000_000, rate: 1e6)
        for _ in 0..<300 { _ = schedule.take(at: .max) }
        #expect(schedule.untaken(in: 0..<1_000_000) == 700)
        #expect(schedule.untaken(in: 0..<500_000) == 200)
        #expect(schedule.untaken(in: 400_000..<500_000) == 100)
        #expect(schedule.untaken(in: 0..<300_000) == 0)
    }

    /// A node answers in 100 us, one call at a time fast enough for the rate, but stands still for one second. Calls
    /// meant to be sent then wait until it goes on. Without counting from the intended time, only the calls that were
    /// in flight would show it.
    @Test func `A stall shows in the percentiles as theory says`() {
        let rate = 10_000.0
        let seconds = 10.0
        let second: UInt64 = 1_000_000_000
        let stall = (from: 4 * second, to: 5 * second)
        let service: UInt64 = 100_000
        var schedule = OpenLoopSchedule(start: 0, end: UInt64(seconds) * second, rate: rate)
        var latencies = LatencyFigures.inNanoseconds()
        var now: UInt64 = 0
        // The driver's loop with a clock moved by hand: it sends what is due; during the stall nothing is answered.
        while let next = schedule.nextTime {
            now = max(now, next)
            while let intended = schedule.take(at: now) {
                let stalled = now >= stall.from && now < stall.to
                latencies.record((stalled ? stall.to : now) + service - intended)
                // One call in flight: the sender itself stands still with the node.
                if stalled { now = stall.to }
            }
        }
        #expect(latencies.count == UInt64(rate * seconds))
        // A tenth of the calls waits, evenly spread over 0...1 s: the share above latency t is (1 - t) / 10.
        for (percentile, expected) in [(95.0, 0.5), (99.0, 0.9), (99.9, 0.99)] {
            let measured = (latencies.valueAt(percentile) ?? 0) / 1e9
            #expect(abs(measured - expected) < 0.005, "p\(percentile) is \(measured) s")
        }
        #expect((latencies.valueAt(89) ?? .infinity) < 101_000)
        #expect(abs((latencies.max ?? 0) / 1e9 - 1.0001) < 0.002)
    }
}
