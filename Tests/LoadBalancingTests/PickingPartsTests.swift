import LoadBalancing
import TestSupport
import Testing
import Vocabulary

@Suite("LoadShares")
struct LoadSharesTests {
    @Test("whoever asks first keeps every node below its bound, however uneven the wishes")
    func bound() {
        for seed: UInt64 in 1...100 {
            var random = SeededGenerator(seed: seed)
            var shares = LoadShares(nodesMax: 5, window: 500)
            var counts = [Int](repeating: 0, count: 5)
            let hot = Double.random(in: 0.2...1, using: &random)
            for _ in 0..<2000 {
                let wish = Double.random(in: 0..<1, using: &random) < hot ? 0 : Int.random(in: 0..<5, using: &random)
                let node = (0..<5).map { (wish + $0) % 5 }.first {
                    shares.hasRoom($0, share: 0.2, bound: 1.1, slack: 2)
                }
                if node == nil { Issue.record("seed \(seed): nobody has room") }
                counts[node ?? 0] += 1
                shares.take(node ?? 0)
            }
            // The slack is new with each of the four windows.
            #expect((counts.max() ?? 0) <= Int(1.1 * 400) + 5 * 2, "seed \(seed), \(hot): \(counts)")
        }
    }

    @Test("old calls fade with new ones, and weights stay finite over millions of calls")
    func fading() {
        var shares = LoadShares(nodesMax: 2, window: 10)
        for _ in 0..<100_000 { shares.take(0) }
        #expect(abs(shares.load(0) - 10) < 1.2)
        for _ in 0..<50 { shares.take(1) }
        #expect(shares.load(0) < 0.2)
        shares.forget(1)
        #expect(shares.load(1) == 0)
    }
}

@Suite("PeakEWMA")
struct PeakEWMATests {
    @Test("jumps up with a slow answer, comes down slowly")
    func peaks() {
        var cost = PeakEWMA()
        cost.observe(1e6, decay: 1e9, at: 0)
        cost.observe(3e6, decay: 1e9, at: 1)
        #expect(cost.cost == 3e6)
        cost.observe(1e6, decay: 1e9, at: 1_000_000)
        #expect(cost.cost > 2.9e6)
        for second: UInt64 in 1...10 { cost.observe(1e6, decay: 1e9, at: second * 1_000_000_000) }
        #expect(cost.cost < 1.01e6)
        cost.observe(1e12, decay: 1e9, at: 10_000_000_001)
        #expect(cost.cost < 4.1e6, "one outlier counts four times at most")
    }

    @Test("a node of which nothing is known gets one call at a time")
    func unknown() {
        let cost = PeakEWMA()
        #expect(cost.load(inFlight: 0, hint: 0, decay: 1e9, at: 0) == 0)
        #expect(cost.load(inFlight: 1, hint: 0, decay: 1e9, at: 0) > 1e11)
    }

    @Test("calls in flight and the node's own word make it dearer")
    func load() {
        var cost = PeakEWMA()
        cost.observe(1e6, decay: 1e9, at: 0)
        let idle = cost.load(inFlight: 0, hint: 0, decay: 1e9, at: 0)
        #expect(cost.load(inFlight: 3, hint: 0, decay: 1e9, at: 0) == 4 * idle)
        #expect(abs(cost.load(inFlight: 0, hint: 1, decay: 1e9, at: 0) / idle - 10) < 1e-6)
        #expect(cost.load(inFlight: 0, hint: 0, decay: 1e9, at: 20_000_000_000) < idle / 100, "tried again in the end")
    }
}

@Suite("SlowStart")
struct SlowStartTests {
    @Test("climbs from the floor to one and never falls")
    func ramp() {
        let start = SlowStart(duration: 1000, floor: 0.1)
        var last = 0.0
        for now: UInt64 in 490...1600 {
            let weight = start.weight(since: 500, at: now)
            #expect(weight >= last && weight >= 0.1 && weight <= 1)
            last = weight
        }
        #expect(start.weight(since: 500, at: 1500) == 1)
        #expect(SlowStart(duration: 0).weight(since: 500, at: 500) == 1)
    }
}
