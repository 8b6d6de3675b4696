import LoadBalancing
import TestSupport
import Testing
import Vocabulary

@Suite("ClusterPolicy", .ownThreads)
struct ClusterPolicyTests {
    private let ms = ClusterDriver.ms

    private func configuration(_ change: (inout ClusterConfiguration) -> Void = { _ in }) -> ClusterConfiguration {
        var configuration = ClusterConfiguration()
        configuration.callsMax = 256
        configuration.slowStart.duration = 0
        change(&configuration)
        return configuration
    }

    /// Answers `calls` calls of many users, each after `latency` of its node in milliseconds.
    private func run(_ driver: inout ClusterDriver, calls: Int, latency: (Int) -> UInt64 = { _ in 4 }) {
        for call in 0..<calls {
            guard let sending = driver.pick(user: "user-\(call)") else { continue }
            driver.advance(to: driver.now + latency(sending.node) * ms)
            for out in driver.out { driver.complete(out.sending.attempt, .success, hint: 0) }
        }
    }

    @Test("a user's calls go to one node, and to the next of its order when that one is away")
    func owners() {
        var driver = ClusterDriver(configuration(), nodes: 5)
        let first = driver.pick(user: "196")
        let again = driver.pick(user: "196")
        #expect(first?.node == again?.node)
        driver.disconnect(first?.node ?? 0)
        let next = driver.pick(user: "196")
        #expect(next?.node != first?.node)
        driver.connecting.forEach { driver.connect($0) }
        #expect(driver.pick(user: "196")?.node == first?.node)
    }

    @Test("what was lost with a connection is sent elsewhere if it only reads, and fails if it does not")
    func lostConnection() {
        var driver = ClusterDriver(configuration(), nodes: 3)
        run(&driver, calls: 30)
        let read = driver.pick(user: "196")
        let write = driver.pick(user: "196", repeatable: false)
        let count = driver.ends.count
        driver.disconnect(read?.node ?? 0)
        #expect(driver.ends.count == count + 1)
        #expect(driver.ends.last?.call == write?.attempt.call)
        #expect(driver.ends.last?.end == .failed(.connectionLost))
        #expect(
            driver.out.count == 1 && driver.out[0].sending.kind == .retry && driver.out[0].sending.node != read?.node)
    }

    @Test("a call that was rejected before its work began is sent elsewhere, also if it writes")
    func rejection() {
        var driver = ClusterDriver(configuration(), nodes: 3)
        run(&driver, calls: 30)
        guard let write = driver.pick(user: "196", repeatable: false) else { return }
        driver.complete(write.attempt, .rejected(.resourceExhausted, retryAfter: 0))
        #expect(driver.out.first?.sending.kind == .retry)
        #expect(driver.out.first?.sending.node != write.node)
    }

    @Test("a single node is asked again after its own delay, within the deadline")
    func retryAfter() {
        var driver = ClusterDriver(configuration(), nodes: 1)
        run(&driver, calls: 30)
        guard let call = driver.pick(within: 100 * ms) else { return }
        driver.complete(call.attempt, .rejected(.unavailable, retryAfter: 30 * ms))
        let start = driver.now
        driver.advance(to: start + 29 * ms)
        #expect(driver.out.isEmpty)
        driver.advance(to: start + 30 * ms)
        #expect(driver.out.count == 1)
        #expect(driver.out.first?.sending.timeout == 70 * ms)
        driver.complete(driver.out[0].sending.attempt, .success)
        guard let late = driver.pick(within: 20 * ms) else { return }
        driver.complete(late.attempt, .rejected(.unavailable, retryAfter: 30 * ms))
        #expect(driver.ends.last?.end == .failed(.rejected(.unavailable, retryAfter: 30 * ms)), "no time for that")
    }

    @Test("retries stop at a fifth of the calls")
    func budget() {
        var driver = ClusterDriver(configuration(), nodes: 5)
        for call in 0..<2000 {
            driver.pick(user: "user-\(call)")
            while let out = driver.out.first {
                driver.complete(out.sending.attempt, .rejected(.unavailable, retryAfter: 0))
            }
            driver.advance(to: driver.now + 2 * ms)
            while let out = driver.out.first {
                driver.complete(out.sending.attempt, .rejected(.unavailable, retryAfter: 0))
            }
        }
        #expect(driver.policy.counts.amplification <= 1.2 + 0.002)
        #expect(driver.policy.counts.amplification > 1.15)
    }

    @Test("a late read goes to a second node; the first answer counts and the other is taken back")
    func hedge() {
        var driver = ClusterDriver(configuration(), nodes: 3)
        run(&driver, calls: 200)
        guard let slow = driver.pick(user: "196") else { return }
        driver.advance(to: driver.now + 10 * ms)
        #expect(driver.out.count == 2)
        guard let hedge = driver.out.last?.sending else { return }
        #expect(hedge.kind == .hedge && hedge.node != slow.node)
        driver.complete(hedge.attempt, .success)
        #expect(driver.out.isEmpty && driver.ends.last?.end == .answered(hedge.attempt))
        #expect(driver.policy.counts.hedgesWon == 1)
        driver.complete(slow.attempt, .success)
        driver.pick(user: "196", repeatable: false)
        driver.advance(to: driver.now + 100 * ms)
        #expect(driver.out.count == 1, "writes are not hedged")
    }

    @Test("hedges stop at a fiftieth of the calls, and at nodes that are busy")
    func hedgeBudget() {
        var driver = ClusterDriver(configuration { $0.outliers.isOn = false }, nodes: 3)
        run(&driver, calls: 300)
        run(&driver, calls: 500) { _ in 9 }
        let counts = driver.policy.counts
        #expect(counts.hedges >= 10 && Double(counts.hedges) <= 0.02 * Double(counts.calls))
        for call in 0..<100 {
            guard let sending = driver.pick(user: "busy-\(call)") else { continue }
            driver.advance(to: driver.now + ms)
            driver.complete(sending.attempt, .success, hint: 60_000)
        }
        let before = driver.policy.counts.hedges
        driver.pick(user: "196")
        driver.advance(to: driver.now + 50 * ms)
        #expect(driver.policy.counts.hedges == before)
    }

    @Test("a slow node is ejected, gets copies when its time is over, and comes back when it is well")
    func ejection() {
        var driver = ClusterDriver(configuration { $0.hedging.share = 0.1 }, nodes: 5)
        run(&driver, calls: 300)
        let before = driver.now
        run(&driver, calls: 300) { $0 == 2 ? 40 : 4 }
        #expect(driver.ejections.first?.node == 2 && driver.ejections.first?.reason == .latency)
        #expect(driver.policy.isEjected(2))
        #expect(driver.now - before < 6000 * ms)
        run(&driver, calls: 1500)
        #expect(driver.restored == [2] && !driver.policy.isEjected(2))
        #expect(driver.policy.counts.probes >= 3)
    }

    @Test("the last node that takes calls is never ejected, nor more than the allowed share")
    func lastNode() {
        for nodes in 1...6 {
            var driver = ClusterDriver(configuration { $0.retries.attemptsMax = 1 }, nodes: nodes)
            for call in 0..<600 {
                guard let sending = driver.pick(user: "user-\(call)") else { continue }
                driver.complete(sending.attempt, sending.node > 0 ? .failed(.internal) : .success)
                driver.advance(to: driver.now + 2 * ms)
            }
            #expect(!driver.policy.usable.isEmpty)
            #expect(driver.ready.count { driver.policy.isEjected($0) } <= max(1, Int(0.4 * Double(nodes))))
            if nodes > 1 { #expect(driver.policy.counts.ejections > 0) }
        }
    }

    @Test("calls to a silent node are rescued when it is ejected")
    func rescue() {
        var driver = ClusterDriver(configuration { $0.hedging.isOn = false }, nodes: 3)
        run(&driver, calls: 300)
        guard let lost = driver.pick(user: "196") else { return }
        for call in 0..<100 {
            guard let other = driver.pick(user: "user-\(call)") else { continue }
            driver.advance(to: driver.now + 4 * ms)
            if other.node != lost.node { driver.complete(other.attempt, .success) }
        }
        #expect(driver.ejections.first?.node == lost.node && driver.ejections.first?.reason == .silence)
        #expect(driver.out.contains { $0.call == lost.attempt.call && $0.sending.node != lost.node })
    }

    @Test("a node that comes back takes more of its users step by step, always the same ones first")
    func slowStart() {
        var driver = ClusterDriver(
            configuration { $0.slowStart = SlowStart(duration: 1000 * ClusterDriver.ms, floor: 0.1) }, nodes: 3)
        driver.advance(to: 5000 * ms)
        driver.disconnect(1)
        driver.connect(1)
        var takers: [Set<Int>] = []
        let start = driver.now
        for step: UInt64 in 0...10 {
            driver.advance(to: start + step * 100 * ms)
            var taken: Set<Int> = []
            for user in 0..<200 {
                guard let sending = driver.pick(user: "user-\(user)") else { continue }
                if sending.node == 1 { taken.insert(user) }
                driver.complete(sending.attempt, .success)
            }
            takers.append(taken)
        }
        #expect(takers[0].count < 25 && takers[10].count > 50)
        #expect(takers[5].count > takers[1].count && takers[10].count > takers[5].count)
        #expect(takers[1].subtracting(takers[9]).count <= 3, "but for the load bound")
    }

    @Test("with Zipf users every node gets within a tenth of an even share", arguments: 1...20 as ClosedRange<UInt64>)
    func fairness(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var driver = ClusterDriver(configuration(), nodes: 5, seed: seed)
        var counts = [Double](repeating: 0, count: 5)
        for _ in 0..<6000 {
            // 1/x: the density of Zipf with exponent 1 over 10 000 users.
            let user = Int(pow10000(Double.random(in: 0..<1, using: &random)))
            guard let sending = driver.pick(user: "user-\(seed)-\(user)") else { continue }
            counts[sending.node] += 1
            driver.complete(sending.attempt, .success)
        }
        for count in counts { #expect(abs(count / 1200 - 1) <= 0.1, "seed \(seed): \(counts)") }
    }

    @Test("least latency leaves a slow node to few calls, without ejecting it")
    func leastLatency() {
        var driver = ClusterDriver(
            configuration {
                $0.picker = .leastLatency; $0.outliers.isOn = false
            }, nodes: 5)
        var counts = [Int](repeating: 0, count: 5)
        for call in 0..<1000 {
            guard let sending = driver.pick(user: "user-\(call)") else { continue }
            counts[sending.node] += 1
            driver.advance(to: driver.now + (sending.node == 3 ? 40 : 4) * ms)
            driver.complete(sending.attempt, .success)
        }
        #expect(counts[3] < 60)
        for node in [0, 1, 2, 4] { #expect(counts[node] > 150, "\(counts)") }
    }

    @Test("full tables, no nodes and late calls are said at once")
    func refusals() {
        var driver = ClusterDriver(configuration { $0.callsMax = 2 }, nodes: 1, connects: false)
        let request = CallRequest(slot: nil, isRepeatable: true, deadline: driver.now + ms)
        #expect(driver.pick(request) == .ended(.noNode))
        driver.connect(0)
        driver.pick()
        driver.pick()
        #expect(driver.pick(request) == .ended(.tooManyCalls))
        #expect(
            driver.pick(CallRequest(slot: nil, isRepeatable: true, deadline: driver.now)) == .ended(.deadlineExceeded))
    }

    /// 10000^x.
    private func pow10000(_ x: Double) -> Double {
        var result = 1.0
        var base = 10_000.0
        var rest = x
        for _ in 0..<30 {
            base = base.squareRoot()
            rest *= 2
            if rest >= 1 {
                result *= base
                rest -= 1
            }
        }
        return result
    }
}
