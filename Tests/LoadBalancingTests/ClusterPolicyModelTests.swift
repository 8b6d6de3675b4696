import LoadBalancing
import TestSupport
import Testing
import Vocabulary

@Suite("ClusterPolicy, driven at random", .ownThreads)
struct ClusterPolicyModelTests {
    /// `MARTLET_SEED=n` replays one.
    static let seeds: [UInt64] = Seeds.chosen(300)

    @Test("every call ends once and in time, whatever nodes, replies, connections and clocks do", arguments: seeds)
    func walk(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var configuration = ClusterConfiguration()
        configuration.callsMax = Int.random(in: 4...64, using: &random)
        configuration.nodesMax = 12
        configuration.picker = ClusterConfiguration.Picker.allCases.randomElement(using: &random) ?? .owner
        configuration.hedging.isOn = Bool.random(using: &random)
        configuration.outliers.isOn = Int.random(in: 0..<4, using: &random) > 0
        configuration.hedging.share = Double.random(in: 0...0.5, using: &random)
        configuration.retries.attemptsMax = Int.random(in: 1...4, using: &random)
        let count = Int.random(in: 1...6, using: &random)
        var driver = ClusterDriver(configuration, nodes: count, seed: seed, connects: Bool.random(using: &random))
        let badNode = Int.random(in: 0..<count, using: &random)
        var began = 0
        for _ in 0..<250 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<35:
                let hasDeadline = Int.random(in: 0..<10, using: &random) > 0
                let request = CallRequest(
                    slot: Bool.random(using: &random) ? Slot(UInt16.random(in: 0..<16384, using: &random)) : nil,
                    isRepeatable: Int.random(in: 0..<4, using: &random) > 0,
                    keepsToOwner: Int.random(in: 0..<5, using: &random) == 0,
                    deadline: hasDeadline
                        ? driver.now + UInt64.random(in: 1...400, using: &random) * ClusterDriver.ms : .max)
                if case .send = driver.pick(request) { began += 1 }
            case 35..<75:
                guard let chosen = driver.out.randomElement(using: &random) else { continue }
                let isBad = chosen.sending.node == badNode && Bool.random(using: &random)
                let outcome: AttemptOutcome =
                    switch isBad ? Int.random(in: 0..<6, using: &random) : Int.random(in: 4..<12, using: &random) {
                    case 0, 1: .failed(.internal)
                    case 2:
                        .rejected(
                            .unavailable, retryAfter: UInt64.random(in: 0...20, using: &random) * ClusterDriver.ms)
                    case 3: .connectionLost
                    case 4: .rejected(.resourceExhausted, retryAfter: 0)
                    case 5: .notSent
                    case 6: .refused(.notFound)
                    default: .success
                    }
                driver.complete(chosen.sending.attempt, outcome, hint: UInt16.random(in: 0...65535, using: &random))
            case 75..<90:
                let step =
                    Int.random(in: 0..<20, using: &random) == 0 ? 3000 : UInt64.random(in: 0...60, using: &random)
                driver.advance(to: driver.now + step * ClusterDriver.ms)
            case 90..<93:
                if let node = driver.connecting.sorted().randomElement(using: &random) {
                    if Bool.random(using: &random) { driver.connect(node) } else { driver.failToConnect(node) }
                }
            case 93..<95:
                if let node = driver.ready.sorted().randomElement(using: &random) { driver.disconnect(node) }
            case 95..<97:
                if let call = driver.open.keys.randomElement(using: &random) { driver.cancel(call) }
            case 97:
                // A reply to what nobody waits for.
                if let end = driver.ends.randomElement(using: &random), case .answered(let attempt) = end.end {
                    driver.complete(attempt, .success, hint: 0)
                }
            default:
                driver.ejectedBefore = 12
                let names = (0..<Int.random(in: 1...8, using: &random)).map { _ in Int.random(in: 0..<9, using: &random)
                }
                driver.setNodes(Set(names).sorted().map { NodeDescription(name: "node-\($0)") })
            }
        }
        // Everything with a deadline ends by itself; the rest when its attempts are over.
        driver.advance(to: driver.now + 20_000 * ClusterDriver.ms)
        var turns = 0
        while let left = driver.out.first, turns < 1000 {
            driver.complete(left.sending.attempt, .success, hint: 0)
            turns += 1
        }
        driver.advance(to: driver.now + 20_000 * ClusterDriver.ms)
        #expect(driver.open.isEmpty, "seed \(seed): \(driver.open.count) calls never ended")
        #expect(driver.ends.count == began, "seed \(seed)")
        #expect(driver.policy.callsUnderWay == 0, "seed \(seed)")
        for node in driver.ready { #expect(driver.policy.inFlight(node) == 0, "seed \(seed)") }
    }
}
