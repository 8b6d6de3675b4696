import NearestNeighbors
import Retrieval
import TestSupport
import Testing

/// Lists of what is popular among the items of a filter, against a walk over all items.
@Suite struct HotListsTests {
    @Test("give what a walk over the whole order gives, however far each asked before", arguments: 0..<40)
    func sameAsAWalk(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        let count = Int.random(in: 1...20_000, using: &random)
        let scarcity = [1, 3, 50, 5_000].randomElement(using: &random) ?? 1
        let passes = (0..<count).map { _ in Int.random(in: 0..<scarcity, using: &random) == 0 }
        let filter = RowBitmap(rowCount: count) { words in
            for row in 0..<count where passes[row] { words[row / 64] |= 1 << UInt64(row % 64) }
        }
        let orders = (0..<2).map { _ in (0..<UInt32(count)).shuffled(using: &random) }
        let lists = HotLists(filter)
        for _ in 0..<30 {
            let kind = HotLists.Kind.allCases.randomElement(using: &random) ?? .popular
            let order = orders[kind.rawValue]
            // What this request may not show.
            let blocked = Set((0..<Int.random(in: 0...50, using: &random)).map { _ in order.randomElement() ?? 0 })
            let limit = Int.random(in: 1...3_000, using: &random)
            var found: [UInt32] = []
            order.withUnsafeBufferPointer { order in
                lists.walk(kind, order) { row in
                    if !blocked.contains(row) { found.append(row) }
                    return found.count < limit
                }
            }
            let expected = order.filter { passes[Int($0)] && !blocked.contains($0) }.prefix(limit)
            #expect(found == Array(expected), "seed \(seed)")
        }
    }

    @Test("are kept with their filter, within its bytes, where few items pass")
    func kept() throws {
        var compiled = 0
        func cache(_ bytesMax: Int, share: Int) -> FilterCache {
            FilterCache(bytesMax: bytesMax) { _ in
                compiled += 1
                return RowBitmap(rowCount: 8192) { words in
                    for row in stride(from: 0, to: 8192, by: share) { words[row / 64] |= 1 << UInt64(row % 64) }
                }
            }
        }
        let filter = { (tag: Int) in ItemFilter(anyTag: ["t\(tag)"]) }
        let scarce = cache(64 << 10, share: 100)
        #expect(scarce.hotLists(of: filter(0)) == nil)
        for tag in 0..<40 {
            _ = try scarce.rows(of: filter(tag))
            let lists = scarce.hotLists(of: filter(tag))
            #expect(lists != nil && lists === scarce.hotLists(of: filter(tag)))
            #expect(scarce.bytes <= 64 << 10)
        }
        #expect(scarce.count >= 4 && scarce.count < 8)
        let common = cache(64 << 10, share: 2)
        _ = try common.rows(of: filter(0))
        #expect(common.hotLists(of: filter(0)) == nil)
        let small = cache(2 << 10, share: 100)
        _ = try small.rows(of: filter(0))
        #expect(small.count == 1 && small.hotLists(of: filter(0)) == nil && small.bytes <= 2 << 10)
    }
}
