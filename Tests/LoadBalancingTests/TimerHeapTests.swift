import LoadBalancing
import TestSupport
import Testing

@Suite("TimerHeap")
struct TimerHeapTests {
    @Test("gives what a sorted list gives, whatever is set, moved and removed")
    func model() {
        for seed: UInt64 in 1...300 {
            var random = SeededGenerator(seed: seed)
            var heap = TimerHeap(entries: 20)
            var model: [Int: UInt64] = [:]
            for _ in 0..<150 {
                let entry = Int.random(in: 0..<20, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0, 1:
                    let time = UInt64.random(in: 0..<50, using: &random)
                    heap.set(entry, at: time)
                    model[entry] = time
                case 2:
                    heap.remove(entry)
                    model[entry] = nil
                default:
                    let now = UInt64.random(in: 0..<50, using: &random)
                    let first = model.values.min()
                    let popped = heap.popDue(now)
                    if let first, first <= now {
                        #expect(popped.flatMap { model[$0] } == first, "seed \(seed)")
                    } else {
                        #expect(popped == nil, "seed \(seed)")
                    }
                    if let popped { model[popped] = nil }
                }
                #expect(heap.next == model.values.min() && heap.count == model.count, "seed \(seed)")
            }
        }
    }
}
