import MicroBatching
import TestSupport
import Testing

/// The rule against simpler ones, simulated: one loop that prepares requests and scores batches.
@Suite struct BatchPolicyTests {
    private enum Policy {
        /// `BatchQueue`, with nothing else to do as a reason.
        case queue
        /// Each request alone.
        case alone
        /// Until the batch is full or the oldest has waited so long, in nanoseconds.
        case delay(UInt64)
    }

    private struct Outcome {
        var latencies: [UInt64] = []
        var batches = 0
        var p50: UInt64 { latencies.sorted()[latencies.count / 2] }
        var p99: UInt64 { latencies.sorted()[latencies.count * 99 / 100] }
    }

    private static let rowsMax = 64
    private static let preparation: UInt64 = 20_000
    private static func cost(_ rows: Int) -> UInt64 { UInt64(30_000 + 2_000 * rows) }

    /// Requests of ten rows arrive at random, `rate` a second.
    private func simulate(_ policy: Policy, rate: Double, seed: UInt64) -> Outcome {
        var random = SeededGenerator(seed: seed)
        var arrivals: [UInt64] = []
        var at = 0.0
        for _ in 0..<4000 {
            at += 1e9 / rate * -Double.random(in: 1e-9...1, using: &random).logarithm
            arrivals.append(UInt64(at))
        }
        var (now, next) = (UInt64(0), 0)
        var queue = BatchQueue(entriesMax: 16)
        var curve = ServiceTimeCurve()
        var outcome = Outcome()
        func score() {
            let parts = queue.takeBatch(rowsMax: Self.rowsMax, at: now)
            let rows = parts.reduce(0) { $0 + $1.rows.count }
            now += Self.cost(rows)
            curve.record(rows: rows, nanoseconds: Self.cost(rows))
            outcome.batches += 1
            for part in parts where part.rows.upperBound == 10 { outcome.latencies.append(now - arrivals[part.id]) }
        }
        var oldest: UInt64 = 0
        while outcome.latencies.count < arrivals.count {
            let closes: Bool =
                switch policy {
                case .queue:
                    queue.reasonToClose(rowsMax: Self.rowsMax, curve: curve, slack: 250_000, at: now) != nil
                case .alone: !queue.isEmpty
                case .delay(let delay): queue.rows >= Self.rowsMax || (!queue.isEmpty && now >= oldest + delay)
                }
            if closes {
                score()
                oldest = now
            } else if next < arrivals.count, arrivals[next] <= now, queue.count < 16 {
                if queue.isEmpty { oldest = now }
                now += Self.preparation
                _ = queue.add(next, rows: 10, deadline: .max, at: now)
                next += 1
            } else if case .queue = policy, !queue.isEmpty {
                score()
            } else {
                let due: UInt64 = if case .delay(let delay) = policy, !queue.isEmpty { oldest + delay } else { .max }
                now = max(now, min(due, next < arrivals.count ? arrivals[next] : .max))
            }
        }
        return outcome
    }

    @Test("an idle node answers as if there were no batches, and a fixed delay does not", arguments: [1, 2, 3])
    func idle(seed: UInt64) {
        let (batched, alone, delayed) = (
            simulate(.queue, rate: 500, seed: seed), simulate(.alone, rate: 500, seed: seed),
            simulate(.delay(1_000_000), rate: 500, seed: seed)
        )
        #expect(batched.p50 == alone.p50 && batched.p50 == Self.preparation + Self.cost(10))
        #expect(batched.p99 <= alone.p99 + Self.preparation)
        #expect(delayed.p50 > batched.p50 + 500_000)
    }

    @Test("a loaded node holds a rate that it could not hold one by one", arguments: [1, 2, 3])
    func loaded(seed: UInt64) {
        // One by one, a request costs 70 us; six together 20 + 150 / 6 = 45.
        let (batched, alone) = (
            simulate(.queue, rate: 18_000, seed: seed), simulate(.alone, rate: 18_000, seed: seed)
        )
        #expect(batched.p99 < 2_000_000, "\(batched.p99) ns, seed \(seed)")
        #expect(alone.p99 > 10_000_000)
        #expect(batched.batches < alone.batches / 2)
    }
}

extension Double {
    /// The natural logarithm, for 0 < x <= 1: enough for exponential pauses.
    fileprivate var logarithm: Double {
        // ln(m * 2^e) = ln(m) + e ln 2, and ln(m) by the series of artanh.
        let t = (significand - 1) / (significand + 1)
        var (sum, power) = (0.0, t)
        for n in stride(from: 1.0, to: 40, by: 2) {
            sum += power / n
            power *= t * t
        }
        return 2 * sum + Double(Int(exponent)) * 0.6931471805599453
    }
}
