import Overload
import TestSupport
import Testing

@Suite("WaitBound", .ownThreads)
struct WaitBoundTests {
    /// Workers that take 4 ms for each call of a queue, and the bound before it. Times are in microseconds here.
    private struct Plant {
        var bound = WaitBound()
        var queues: [[(arrived: UInt64, id: Int)]] = [[], [], [], []]
        var waits: [[UInt64]] = [[], [], [], []]
        var completed = 0
        /// Calls that waited for nothing.
        var late = 0
    }

    /// Calls at `load` times what four workers can do; shares of the priorities as given.
    private func run(load: Double, shares: [Double], seconds: Double, seed: UInt64) -> (Plant, offered: [Int]) {
        var random = SeededGenerator(seed: seed)
        var plant = Plant()
        var offered = [0, 0, 0, 0]
        var free = 4
        var ends: [UInt64] = []
        var now: UInt64 = 0
        var nextArrival: UInt64 = 0
        let end = UInt64(seconds * 1e9)
        while now < end {
            let nextEnd = ends.min() ?? .max
            now = min(nextArrival, nextEnd)
            if nextArrival <= nextEnd {
                var point = Double.random(in: 0..<1, using: &random)
                let rank = shares.firstIndex { share in
                    point -= share
                    return point < 0
                }
                let priority = CallPriority(rawValue: rank ?? 3) ?? .background
                offered[priority.rawValue] += 1
                if free > 0 {
                    free -= 1
                    ends.append(now + UInt64.random(in: 2_000_000...6_000_000, using: &random))
                    plant.waits[priority.rawValue].append(0)
                } else if plant.bound.admit(priority, at: now) {
                    plant.queues[priority.rawValue].append((now, 0))
                }
                nextArrival = now + 1 + UInt64(Double.random(in: 0...2, using: &random) * 1e6 / load)
            } else {
                ends.remove(at: ends.firstIndex(of: nextEnd) ?? 0)
                plant.completed += 1
                free += 1
                while let rank = plant.queues.firstIndex(where: { !$0.isEmpty }) {
                    let next = plant.queues[rank].removeFirst()
                    let priority = CallPriority(rawValue: rank) ?? .normal
                    if plant.bound.isTooLate(priority, waited: now - next.arrived) {
                        plant.bound.dropped(priority)
                        plant.late += 1
                        continue
                    }
                    plant.bound.began(priority, waited: now - next.arrived, at: now)
                    plant.waits[rank].append(now - next.arrived)
                    free -= 1
                    ends.append(now + UInt64.random(in: 2_000_000...6_000_000, using: &random))
                    break
                }
            }
        }
        return (plant, offered)
    }

    @Test(
        "at three times the load work goes on, waits stay bounded and critical calls are not touched",
        arguments: Seeds.chosen(50))
    func step(seed: UInt64) {
        let (plant, offered) = run(load: 3, shares: [0.15, 0.4, 0.3, 0.15], seconds: 3, seed: seed)
        #expect(Double(plant.completed) >= 0.95 * 3000, "seed \(seed): goodput \(plant.completed) of 3000")
        #expect(plant.bound.rejected[0] == 0, "seed \(seed)")
        let waits = plant.waits[1].sorted()
        let p99 = waits.isEmpty ? 0 : waits[waits.count * 99 / 100]
        #expect(p99 <= 2 * 20_000_000, "seed \(seed): \(p99)")
        #expect(plant.late <= 100, "seed \(seed): \(plant.late) of 3000 were let in and dropped")
        let normal = Double(plant.waits[1].count) / Double(offered[1])
        let sheddable = Double(plant.waits[2].count) / Double(offered[2])
        // 45 % of the work is critical calls; normal ones are 120 %.
        #expect(sheddable < 0.1 && normal > 0.4, "seed \(seed): \(normal), \(sheddable)")
    }

    @Test("a node with room turns nobody away", arguments: Seeds.chosen(20))
    func room(seed: UInt64) {
        let (plant, _) = run(load: 0.7, shares: [0.1, 0.6, 0.2, 0.1], seconds: 2, seed: seed)
        let refused = plant.bound.rejected.reduce(0, +)
        #expect(refused <= 14, "seed \(seed): \(refused) of 1400")
    }

    @Test("counts never go below nothing, and what cannot wait until its deadline is refused")
    func edges() {
        var bound = WaitBound()
        bound.dropped(.normal)
        #expect(bound.waitingCalls == 0)
        for call in 0..<10 { #expect(bound.admit(.normal, at: 0) == true, "\(call)") }
        for call: UInt64 in 1...5 { bound.began(.normal, waited: 0, at: call * 4_000_000) }
        let now: UInt64 = 20_000_000
        #expect(abs(bound.estimate(.normal, at: now) - 20_000_000) < 1)
        #expect(abs(bound.estimate(.normal, at: now + 8_000_000) - 40_000_000) < 1, "nothing has begun for long")
        #expect(bound.admit(.normal, patience: 10_000_000, at: now) == false)
        #expect(bound.admit(.sheddable, at: now) == false)
        #expect(bound.admit(.critical, at: now) == true)
    }
}

@Suite("AdaptiveLimit")
struct AdaptiveLimitTests {
    @Test("finds what its work can do, whatever that is, and again when it changes", arguments: Seeds.chosen(40))
    func convergence(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var limit = AdaptiveLimit(at: 0)
        var now: UInt64 = 0
        for _ in 0..<2 {
            let workers = Int.random(in: 2...64, using: &random)
            let service: UInt64 = 4_000_000
            // Always as many as may: each waits behind those that no worker has.
            for _ in 0..<400 {
                let inFlight = Int(limit.limit)
                let ahead = max(0, inFlight - workers)
                now += 10_000_000
                limit.observe(wait: UInt64(ahead) * service / UInt64(workers), inFlight: inFlight, at: now)
            }
            // 5 ms of waiting are as many calls as are served in that time.
            let most = Double(workers) * (1 + 5.0 / 4) + 3
            #expect(
                limit.limit >= Double(workers) * 0.9 && limit.limit <= most,
                "seed \(seed): \(limit.limit) for \(workers)")
        }
    }

    @Test("does not grow when nobody uses it")
    func idle() {
        var limit = AdaptiveLimit(initial: 10, at: 0)
        for step: UInt64 in 1...1000 { limit.observe(wait: 0, inFlight: 3, at: step * 60_000_000) }
        #expect(limit.limit == 10)
        #expect(limit.admits(inFlight: 9) && !limit.admits(inFlight: 10))
    }
}

@Suite("Brownout")
struct BrownoutTests {
    @Test("holds a percentile that grows with quality, without swinging", arguments: Seeds.chosen(40))
    func lock(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var control = Brownout(objective: 10)
        let load = Double.random(in: 1.1...3, using: &random)
        var last: [Double] = []
        for step in 0..<200 {
            let percentile = 10 * load * control.quality * Double.random(in: 0.97...1.03, using: &random)
            let quality = control.update(percentile: percentile)
            if step >= 150 { last.append(quality) }
            if step >= 40 { #expect(percentile <= 10 * 1.1, "seed \(seed), step \(step): \(percentile)") }
        }
        #expect((last.max() ?? 1) - (last.min() ?? 0) < 0.1, "seed \(seed): \(last.min() ?? 0) to \(last.max() ?? 0)")
    }

    @Test("is all there again when the load has gone, step by step")
    func recovery() {
        var control = Brownout(objective: 10)
        for _ in 0..<20 { _ = control.update(percentile: 40) }
        #expect(control.quality == 0.2)
        var before = control.quality
        for _ in 0..<40 {
            let now = control.update(percentile: 2)
            #expect(now >= before && now - before <= 0.05 + 1e-9)
            before = now
        }
        #expect(control.quality == 1)
        #expect(control.update(percentile: .nan) == 1)
    }
}

@Suite("TenantQuotas")
struct TenantQuotasTests {
    @Test("one tenant's calls cost another none")
    func isolation() {
        var quotas = TenantQuotas(perSecond: 10, burst: 5, at: 0)
        for _ in 0..<5 { #expect(quotas.take("a", at: 0) == nil) }
        #expect(quotas.take("a", at: 0) == 100_000_000)
        #expect(quotas.take("b", at: 0) == nil)
        #expect(quotas.take("a", at: 100_000_000) == nil)
    }

    @Test("tenants are bounded; idle ones make room, newcomers beyond share")
    func bound() {
        var quotas = TenantQuotas(perSecond: 1, burst: 2, tenantsMax: 3, at: 0)
        for tenant in ["a", "b", "c"] { #expect(quotas.take(tenant, at: 0) == nil) }
        for tenant in ["d", "e"] { #expect(quotas.take(tenant, at: 1) == nil) }
        #expect(quotas.take("f", at: 1) != nil, "the shared bucket is empty")
        #expect(quotas.tenants == 3)
        #expect(quotas.take("g", at: 10_000_000_000) == nil)
        #expect(quotas.tenants == 1)
    }
}
