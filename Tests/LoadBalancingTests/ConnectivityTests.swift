import LoadBalancing
import TestSupport
import Testing

@Suite("Connectivity")
struct ConnectivityTests {
    @Test("connects when wanted, again after a failure's delay, at once after a loss, and not after a goodbye")
    func way() {
        var node = Connectivity()
        #expect(node.take(.wanted) == true)
        #expect(node.take(.wanted) == false)
        #expect(node.take(.failed(retryAt: 100)) == false)
        #expect(node.nextTimer == 100 && node.failures == 1)
        #expect(node.timer(99) == false)
        #expect(node.timer(100) == true)
        #expect(node.take(.connected) == false)
        #expect(node.isReady && node.failures == 0)
        #expect(node.take(.lost) == true)
        #expect(node.state == .connecting)
        #expect(node.take(.connected) == false)
        #expect(node.take(.drained) == false)
        #expect(node.state == .idle)
    }

    @Test("is ready only between connected and the next other event, and never after shutdown")
    func walks() {
        for seed: UInt64 in 1...300 {
            var random = SeededGenerator(seed: seed)
            var node = Connectivity()
            var now: UInt64 = 0
            var isOver = false
            for _ in 0..<60 {
                now += 1
                let event: Connectivity.Event =
                    switch Int.random(in: 0..<25, using: &random) {
                    case 0..<5: .wanted
                    case 5..<12: .connected
                    case 12..<16: .failed(retryAt: now + 3)
                    case 16..<20: .lost
                    case 20..<24: .drained
                    default: .shutdown
                    }
                let before = node.state
                let asks = node.take(event)
                if event == .shutdown { isOver = true }
                if isOver { #expect(node.state == .shutdown && !asks, "seed \(seed)") }
                if node.isReady {
                    #expect(event == .connected || before == .ready, "seed \(seed): \(before), \(event)")
                }
                if asks { #expect(node.state == .connecting && before != .connecting, "seed \(seed)") }
                if node.timer(now) { #expect(node.state == .connecting) }
            }
        }
    }
}
