import MicroBatching
import TestSupport
import Testing

@Suite struct ServiceTimeCurveTests {
    private func isNear(_ a: UInt64, _ b: Double, _ share: Double) -> Bool { abs(Double(a) - b) <= b * share }

    @Test("learns what batches cost, whatever a third of them was delayed by", arguments: [1, 2, 3, 4])
    func learns(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var curve = ServiceTimeCurve()
        for _ in 0..<600 {
            let rows = Int.random(in: 1...128, using: &random)
            var cost = (20_000 + 3_000 * Double(rows)) * Double.random(in: 0.97...1.03, using: &random)
            if Int.random(in: 0..<3, using: &random) == 0 { cost *= Double.random(in: 2...200, using: &random) }
            curve.record(rows: rows, nanoseconds: UInt64(cost))
        }
        for rows in [4, 10, 64, 128] {
            #expect(
                isNear(curve.cost(rows: rows), 20_000 + 3_000 * Double(rows), 0.25),
                "\(rows) rows: \(curve.cost(rows: rows)), seed \(seed)")
        }
        let fitting = curve.rows(within: 250_000) ?? 0
        #expect((60...92).contains(fitting), "\(fitting) rows in 250 us, seed \(seed)")
    }

    @Test("follows when batches become dearer")
    func follows() {
        var curve = ServiceTimeCurve()
        for factor in [1.0, 5.0] {
            for number in 0..<200 {
                let rows = [8, 20, 64][number % 3]
                curve.record(rows: rows, nanoseconds: UInt64(factor * (10_000 + 1_000 * Double(rows))))
            }
            #expect(isNear(curve.cost(rows: 40), factor * 50_000, 0.1))
        }
        // A size that never comes again is forgotten.
        for _ in 0..<10_000 { curve.record(rows: 20, nanoseconds: 20_000) }
        #expect(isNear(curve.cost(rows: 20), 20_000, 0.05))
    }

    @Test("one size alone says nothing of a fixed part")
    func oneSize() {
        var curve = ServiceTimeCurve()
        #expect(curve.cost(rows: 10) == 0 && curve.rows(within: 1000) == nil)
        for _ in 0..<5 { curve.record(rows: 10, nanoseconds: 1000) }
        #expect(isNear(curve.cost(rows: 20), 2000, 0.01) && curve.rows(within: 10_000) == 100)
    }

    @Test("no figure is negative, and none too large, whatever was measured", arguments: [1, 2, 3])
    func anything(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var curve = ServiceTimeCurve()
        for _ in 0..<2000 {
            let rows = Int.random(in: -1...(1 << Int.random(in: 0...40, using: &random)), using: &random)
            curve.record(
                rows: rows,
                nanoseconds: UInt64.random(
                    in: 0...UInt64.max >> UInt64.random(in: 0...63, using: &random), using: &random))
            #expect(curve.fixed >= 0 && curve.perRow >= 0 && curve.fixed.isFinite && curve.perRow.isFinite)
            let rowsAtMost = curve.rows(within: 250_000) ?? 0
            #expect(rowsAtMost >= 0 && curve.cost(rows: .max) <= UInt64(1e18))
        }
    }
}
