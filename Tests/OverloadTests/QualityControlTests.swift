import Overload
import TestSupport
import Testing

@Suite("QualityControl")
struct QualityControlTests {
    private static let millisecond: UInt64 = 1_000_000

    /// Calls with a latency that depends on the quality, every millisecond for so many seconds; the qualities at each tenth.
    private func run(
        _ control: inout QualityControl, seconds: Double, from start: UInt64, latency: (Double) -> Double
    ) -> [Double] {
        var qualities: [Double] = []
        for step in 0..<UInt64(seconds * 1000) {
            let now = start + step * Self.millisecond
            control.observe(UInt64(latency(control.quality) * 1e6), at: now)
            if step % 100 == 99 { qualities.append(control.quality) }
        }
        return qualities
    }

    @Test("quality falls while calls are slower than the objective, and is whole again when they are not")
    func fallsAndRises() {
        var control = QualityControl(objective: 20 * Self.millisecond)
        #expect(run(&control, seconds: 2, from: 0) { _ in 5 }.allSatisfy { $0 == 1 })
        let bad = run(&control, seconds: 2, from: 2_000 * Self.millisecond) { _ in 60 }
        #expect(bad.last == 0.2)
        #expect(bad[3] < 0.8, "within half a second: \(bad)")
        let good = run(&control, seconds: 4, from: 4_000 * Self.millisecond) { _ in 5 }
        #expect(good.last == 1)
        #expect(zip(good, good.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test(
        "where less work is faster, quality settles at what holds the objective and does not swing",
        arguments: [25.0, 40, 80])
    func settles(latencyOfAll: Double) {
        var control = QualityControl(objective: 20 * Self.millisecond)
        let qualities = run(&control, seconds: 20, from: 0) { latencyOfAll * $0 }.suffix(50)
        let latencies = qualities.map { latencyOfAll * $0 }
        #expect(latencies.allSatisfy { $0 < 23 && $0 > 13 }, "\(latencies)")
        #expect((qualities.max() ?? 1) - (qualities.min() ?? 0) < 0.1)
    }

    @Test("a time without calls makes quality whole again, however long ago the last interval ended")
    func idle() {
        var control = QualityControl(objective: 20 * Self.millisecond)
        _ = run(&control, seconds: 2, from: 0) { _ in 500 }
        #expect(control.quality < 0.3)
        control.advance(to: 3_600_000 * Self.millisecond)
        #expect(control.quality == 1)
        // Clocks do not go back, and what is no number of nanoseconds does no harm.
        control.observe(.max, at: 3_600_000 * Self.millisecond)
        control.observe(0, at: 1)
        control.advance(to: .max)
        #expect((0.2...1).contains(control.quality))
    }

    @Test("a few slow calls among many fast ones change nothing")
    func percentile() {
        var control = QualityControl(objective: 20 * Self.millisecond)
        var count = 0
        let qualities = run(&control, seconds: 3, from: 0) { _ in
            count += 1
            return count.isMultiple(of: 20) ? 400 : 4
        }
        #expect(qualities.allSatisfy { $0 == 1 })
    }
}
