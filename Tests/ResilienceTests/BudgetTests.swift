import Resilience
import TestSupport
import Testing

@Suite struct TokenBucketTests {
    @Test("gives exactly what dripped in, however the calls fall", arguments: 0..<10)
    func exact(block: Int) {
        for seed in UInt64(block * 200)..<UInt64(block * 200 + 200) {
            var generator = SeededGenerator(seed: seed)
            let rate = UInt64.random(in: 0...5000, using: &generator)
            let burst = UInt64.random(in: 1...50, using: &generator)
            var now = UInt64.random(in: 0...1_000_000, using: &generator)
            var bucket = TokenBucket(perSecond: rate, burst: burst, at: now)
            // In billionths of a token, in numbers that cannot overflow here.
            var level = Int(burst) * 1_000_000_000
            var last = now
            for _ in 0..<200 {
                // Sometimes the clock steps back.
                now =
                    Int.random(in: 0..<20, using: &generator) == 0
                    ? now - min(now, 1000) : now + UInt64.random(in: 0...20_000_000, using: &generator)
                if now > last {
                    level = min(Int(burst) * 1_000_000_000, level + Int(now - last) * Int(rate))
                    last = now
                }
                let count = UInt64.random(in: 0...(burst + 1), using: &generator)
                let wait = bucket.wait(for: count, at: now)
                let expected = count <= burst && level >= Int(count) * 1_000_000_000
                check((wait == 0) == expected, "seed \(seed)")
                if let wait, wait > 0 {
                    var later = bucket
                    var early = bucket
                    let isThere = later.take(count, at: last + wait)
                    let wasThere = early.take(count, at: last + wait - 1)
                    check(isThere && !wasThere, "seed \(seed)")
                } else if wait == nil {
                    check(count > burst || rate == 0, "seed \(seed)")
                }
                let taken = bucket.take(count, at: now)
                check(taken == expected, "seed \(seed)")
                if expected { level -= Int(count) * 1_000_000_000 }
                let available = bucket.available(at: now)
                check(available == UInt64(level / 1_000_000_000), "seed \(seed)")
            }
        }
    }

    @Test("is full after an eternity and does not overflow")
    func eternity() {
        var bucket = TokenBucket(perSecond: .max, burst: 1_000_000_000, at: 0)
        let all = bucket.take(1_000_000_000, at: 0)
        let later = bucket.available(at: .max)
        #expect(all && later == 1_000_000_000)
    }
}

@Suite struct RetryBudgetTests {
    @Test("never lets more retries through than its share and minimum of the last window", arguments: 0..<10)
    func bounded(block: Int) {
        for seed in UInt64(block * 100)..<UInt64(block * 100 + 100) {
            var generator = SeededGenerator(seed: seed)
            let share = Double.random(in: 0...1, using: &generator)
            let minimum = Double(Int.random(in: 0...3, using: &generator))
            var budget = RetryBudget(share: share, minimumPerSecond: minimum, window: .seconds(10), at: 0)
            var calls: [UInt64] = []
            var retries: [UInt64] = []
            var now: UInt64 = 0
            for _ in 0..<400 {
                now += UInt64.random(in: 0...500_000_000, using: &generator)
                let oldest = now / 1_000_000_000
                let kept = { (time: UInt64) in time / 1_000_000_000 + 10 > oldest }
                calls.removeAll { !kept($0) }
                retries.removeAll { !kept($0) }
                if Bool.random(using: &generator) {
                    budget.recordCall(at: now)
                    calls.append(now)
                } else {
                    let remaining = share * Double(calls.count) + minimum * 10 - Double(retries.count)
                    let may = budget.takeRetry(at: now)
                    check(may == (remaining >= 1), "seed \(seed)")
                    if may { retries.append(now) }
                }
            }
        }
    }
}

@Suite struct BackoffTests {
    @Test("waits double up to the maximum and lie in the drawn part", arguments: 0..<10)
    func lengths(block: Int) {
        for seed in UInt64(block * 200)..<UInt64(block * 200 + 200) {
            var generator = SeededGenerator(seed: seed)
            let first = Duration.microseconds(Int.random(in: 1...1_000_000, using: &generator))
            let jitter = Double.random(in: 0...1, using: &generator)
            let maximum = first * Int.random(in: 1...1000, using: &generator)
            var backoff = Backoff(first: first, maximum: maximum, jitter: jitter)
            var whole = first.nanoseconds
            for _ in 0..<30 {
                let wait = backoff.next(using: &generator)
                check(wait >= 1 && wait <= whole, "seed \(seed)")
                check(Double(wait) >= Double(whole) * (1 - jitter) - 1, "seed \(seed)")
                whole = min(whole * 2, maximum.nanoseconds)
            }
            backoff.reset()
            let again = backoff.next(using: &generator)
            check(again <= first.nanoseconds, "seed \(seed)")
        }
    }

    @Test("a duration that no number holds is the longest there is")
    func durations() {
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(-1).nanoseconds == 0)
        #expect(Duration.nanoseconds(17).nanoseconds == 17)
    }
}
