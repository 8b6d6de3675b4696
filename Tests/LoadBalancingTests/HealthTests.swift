import LoadBalancing
import Resilience
import Testing

@Suite("OutlierDetector")
struct OutlierDetectorTests {
    private let detector = OutlierDetector(OutlierConfiguration())
    private let peers: [UInt16] = [0, 1, 2, 3, 4]

    private func vitals(_ latencies: [UInt64], failing: [Double] = [0, 0, 0, 0, 0]) -> [NodeVitals] {
        latencies.indices.map { node in
            var vitals = NodeVitals(at: 0)
            for call in 0..<40 {
                vitals.sent(at: UInt64(call))
                vitals.ended(at: UInt64(call), answered: true)
                if Double(call % 10) < failing[node] * 10 {
                    vitals.failed(at: 1)
                } else {
                    vitals.worked(latency: latencies[node], at: 1)
                }
            }
            return vitals
        }
    }

    @Test("a node ten times slower than the others is one, a cluster that is slow has none")
    func latency() {
        let ms: UInt64 = 1_000_000
        var one = vitals([4 * ms, 40 * ms, 5 * ms, 4 * ms, 6 * ms])
        #expect(detector.verdict(on: 1, among: &one, peers: peers, late: nil, at: 2) == .latency)
        for node in [0, 2, 3, 4] {
            #expect(detector.verdict(on: node, among: &one, peers: peers, late: nil, at: 2) == nil)
        }
        var all = vitals([40 * ms, 40 * ms, 50 * ms, 40 * ms, 60 * ms])
        for node in 0..<5 { #expect(detector.verdict(on: node, among: &all, peers: peers, late: nil, at: 2) == nil) }
        var tiny = vitals([10_000, 100_000, 10_000, 10_000, 10_000])
        #expect(
            detector.verdict(on: 1, among: &tiny, peers: peers, late: nil, at: 2) == nil, "a tenth of a millisecond")
    }

    @Test("what a node did long ago is not held against it")
    func freshness() {
        var slow = vitals([4_000_000, 400_000_000, 4_000_000, 4_000_000, 4_000_000])
        let later: UInt64 = 1_500_000_000
        for node in [0, 2, 3, 4] { for _ in 0..<20 { slow[node].worked(latency: 4_000_000, at: later) } }
        #expect(detector.verdict(on: 1, among: &slow, peers: peers, late: nil, at: later) == nil)
    }

    @Test("a node that fails more often than the others is one, however much the others differ")
    func failures() {
        let same = [UInt64](repeating: 4_000_000, count: 5)
        var one = vitals(same, failing: [0, 1, 0.2, 0, 0.1])
        #expect(detector.verdict(on: 1, among: &one, peers: peers, late: nil, at: 2) == .failureShare)
        #expect(detector.verdict(on: 2, among: &one, peers: peers, late: nil, at: 2) == nil)
        var all = vitals(same, failing: [0.6, 0.7, 0.6, 0.7, 0.6])
        for node in 0..<5 { #expect(detector.verdict(on: node, among: &all, peers: peers, late: nil, at: 2) == nil) }
        #expect(detector.othersFail(0, among: &all, peers: peers, at: 2))
        #expect(!detector.othersFail(1, among: &one, peers: peers, at: 2))
    }

    @Test("a node that owes answers while others give theirs is one; when all are silent, none is")
    func silence() {
        var nodes = vitals([UInt64](repeating: 4_000_000, count: 5))
        nodes[1].sent(at: 1_000_000_000)
        let now: UInt64 = 1_300_000_000
        #expect(
            detector.verdict(on: 1, among: &nodes, peers: peers, late: 5_000_000, at: now) == nil,
            "the others are silent, too")
        nodes[0].sent(at: now - 1)
        nodes[0].ended(at: now, answered: true)
        #expect(detector.verdict(on: 1, among: &nodes, peers: peers, late: 5_000_000, at: now) == .silence)
        #expect(
            detector.verdict(on: 1, among: &nodes, peers: peers, late: 50_000_000, at: now) == nil,
            "slow calls are usual")
        #expect(detector.verdict(on: 0, among: &nodes, peers: peers, late: 5_000_000, at: now) == nil)
    }
}

@Suite("Ejection")
struct EjectionTests {
    private let second: UInt64 = 1_000_000_000
    private let configuration = OutlierConfiguration()

    @Test("is twice as long each time, up to a maximum, and shorter again after quiet")
    func lengths() {
        var ejection = Ejection()
        var now: UInt64 = 0
        var lengths: [UInt64] = []
        for _ in 0..<7 {
            let until = ejection.eject(.latency, configuration, at: now)
            lengths.append((until - now) / second)
            now = until
            _ = ejection.timer(configuration, at: now)
            ejection.probeSent(configuration, at: now)
            #expect(ejection.probeEnded(latency: nil, usual: nil, configuration, at: now) == false)
        }
        #expect(lengths == [2, 4, 8, 16, 32, 60, 60])
        now += 40 * second
        #expect((ejection.eject(.latency, configuration, at: now) - now) / second == 60)
        var other = Ejection()
        for _ in 0..<3 { _ = other.eject(.latency, configuration, at: 0) }
        // Ends at 8; two steps down by 38.
        #expect((other.eject(.latency, configuration, at: 38 * second) - 38 * second) / second == 4)
    }

    @Test("ends with three good copies; one failure or slow copies begin it anew")
    func trial() {
        var ejection = Ejection()
        let until = ejection.eject(.latency, configuration, at: 0)
        #expect(!ejection.wantsProbe(at: until - 1))
        #expect(ejection.timer(configuration, at: until) == false)
        var now = until
        for copy in 1...3 {
            #expect(ejection.wantsProbe(at: now))
            ejection.probeSent(configuration, at: now)
            #expect(!ejection.wantsProbe(at: now + second), "one at a time")
            let verdict = ejection.probeEnded(latency: 5_000_000, usual: 4e6, configuration, at: now + 1)
            #expect(verdict == (copy == 3 ? true : nil))
            now += second
        }
        #expect(ejection.isIn)

        let again = ejection.eject(.latency, configuration, at: now)
        _ = ejection.timer(configuration, at: again)
        var verdict: Bool?
        for copy: UInt64 in 0..<3 {
            ejection.probeSent(configuration, at: again + copy * second)
            verdict = ejection.probeEnded(latency: 40_000_000, usual: 4e6, configuration, at: again + copy * second)
        }
        #expect(verdict == false)
    }

    @Test("ends without copies when there is nothing to copy for long")
    func patience() {
        var ejection = Ejection()
        let until = ejection.eject(.silence, configuration, at: 0)
        #expect(ejection.timer(configuration, at: until) == false)
        #expect(ejection.timer(configuration, at: until + 4 * second) == false)
        #expect(ejection.timer(configuration, at: until + 5 * second) == true)
        #expect(ejection.isIn)
    }
}
