import LoadBalancing
import TestSupport
import Testing
import Vocabulary

@Suite("Rendezvous", .ownThreads)
struct RendezvousTests {
    private func members(_ keys: [UInt64], weights: [Double]? = nil) -> [Rendezvous.Member] {
        keys.enumerated().map { .init(index: $0, key: $1, weight: weights?[$0] ?? 1) }
    }

    private func order(_ table: Rendezvous, _ slot: Int) -> [Int] {
        (0..<table.depth).map { table.node(of: Slot(UInt16(slot)), at: $0) }
    }

    @Test("a node that joins takes its share, and no slot moves between two others")
    func joining() {
        for seed: UInt64 in 1...12 {
            var random = SeededGenerator(seed: seed)
            let keys = (0..<Int.random(in: 2...8, using: &random)).map { _ in random.next() }
            let weights = keys.map { _ in Double.random(in: 0.5...3, using: &random) }
            let all = Rendezvous(members(keys, weights: weights))
            let without = Rendezvous(Array(members(keys, weights: weights).dropLast()))
            var taken = 0
            var moved = 0
            for slot in 0..<Slot.count {
                let now = order(all, slot)
                if now[0] == keys.count - 1 { taken += 1 }
                if now.filter({ $0 != keys.count - 1 }) != order(without, slot) { moved += 1 }
            }
            #expect(moved == 0, "seed \(seed): \(moved) slots moved between others")
            // Exactly what the node owns has moved; four standard deviations around its share.
            let share = weights[keys.count - 1] / weights.reduce(0, +)
            let deviation = (share * (1 - share) * Double(Slot.count)).squareRoot()
            #expect(abs(Double(taken) - share * Double(Slot.count)) < 4 * deviation, "seed \(seed): \(taken)")
        }
    }

    @Test("the order does not depend on the order or the numbers of the nodes")
    func independence() {
        let keys: [UInt64] = [11, 22, 33, 44, 55]
        let forward = Rendezvous(members(keys))
        let backward = Rendezvous(members(keys.reversed()))
        for slot in stride(from: 0, to: Slot.count, by: 7) {
            #expect(order(forward, slot) == order(backward, slot).map { 4 - $0 })
        }
    }

    @Test("each place of the order is even over the nodes")
    func evenness() {
        let table = Rendezvous(members([1, 2, 3, 4, 5].map { XXH64.hash("node-\($0):7400") }))
        for place in 0..<5 {
            var counts = [Int](repeating: 0, count: 5)
            for slot in 0..<Slot.count { counts[table.node(of: Slot(UInt16(slot)), at: place)] += 1 }
            for count in counts {
                #expect(abs(Double(count) / Double(Slot.count) - 0.2) < 0.0125, "place \(place): \(counts)")
            }
        }
    }

    @Test("only the first nodes of the order are kept when there are many")
    func depth() {
        let keys = (0..<40).map { UInt64($0) &* 0x9E37_79B9 }
        let deep = Rendezvous(members(keys), depthMax: 40)
        let shallow = Rendezvous(members(keys), depthMax: 3)
        #expect(shallow.depth == 3)
        for slot in stride(from: 0, to: Slot.count, by: 31) {
            #expect(order(shallow, slot) == Array(order(deep, slot).prefix(3)))
        }
        #expect(Rendezvous([]).depth == 0)
    }

    @Test("owners of named nodes are those that other clients compute")
    func golden() {
        let names = ["node-0:7400", "node-1:7400", "node-2:7400"]
        let table = Rendezvous(members(names.map { XXH64.hash($0) }))
        #expect(
            ["196", "user-42", "abc", "a", "Zoë"].map { table.node(of: Slot(user: $0), at: 0) } == [2, 1, 0, 2, 0])
    }
}
