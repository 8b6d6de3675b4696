import Glibc
import LoadBalancing
import TestSupport
import Testing

@Suite("LatencyHistogram")
struct LatencyHistogramTests {
    @Test("quantiles are within 6.3 % of the exact ones")
    func accuracy() {
        for seed: UInt64 in 1...50 {
            var random = SeededGenerator(seed: seed)
            var histogram = LatencyHistogram(samplesMax: 10_000)
            var exact: [UInt64] = []
            for _ in 0..<500 {
                let value = UInt64(exp(Double.random(in: log(2e3)...log(5e10), using: &random)))
                histogram.record(value)
                exact.append(value)
            }
            exact.sort()
            for share in [0.01, 0.5, 0.95, 0.99, 1.0] {
                let wanted = Double(exact[max(1, Int((share * 500).rounded(.up))) - 1])
                let got = Double(histogram.quantile(share) ?? 0)
                #expect(abs(got / wanted - 1) < 0.063, "seed \(seed), \(share): \(got), exactly \(wanted)")
            }
        }
    }

    @Test("new samples outweigh old ones; any value is taken")
    func forgetting() {
        var histogram = LatencyHistogram(samplesMax: 256)
        for _ in 0..<256 { histogram.record(1_000_000) }
        for _ in 0..<512 { histogram.record(9_000_000) }
        #expect((histogram.quantile(0.5) ?? 0) > 8_000_000)
        #expect(histogram.count < 256)
        for extreme: UInt64 in [0, 1, .max] { histogram.record(extreme) }
        #expect((histogram.quantile(1) ?? 0) > 60_000_000_000)
        histogram.removeAll()
        #expect(histogram.quantile(0.5) == nil)
    }
}

@Suite("RecentMean")
struct RecentMeanTests {
    @Test("equals the mean of the values of the last four spans")
    func oracle() {
        for seed: UInt64 in 1...100 {
            var random = SeededGenerator(seed: seed)
            var mean = RecentMean(window: 400)
            var seen: [(at: UInt64, value: Double)] = []
            var now: UInt64 = UInt64.random(in: 0...1000, using: &random)
            for _ in 0..<100 {
                now +=
                    UInt64.random(in: 0...60, using: &random) * (Int.random(in: 0..<10, using: &random) == 0 ? 20 : 1)
                let current = now / 100
                let kept = seen.filter { current - $0.at / 100 < 4 }
                #expect(mean.count(at: now) == Double(kept.count), "seed \(seed)")
                if !kept.isEmpty {
                    let exact = kept.reduce(0) { $0 + $1.value } / Double(kept.count)
                    #expect(abs(mean.mean(at: now) - exact) < 1e-9, "seed \(seed)")
                }
                #expect(mean.newest(at: now).count == Double(seen.count { current - $0.at / 100 < 2 }))
                let value = Double.random(in: -5...5, using: &random)
                mean.observe(value, at: now)
                seen.append((now, value))
            }
        }
    }
}
