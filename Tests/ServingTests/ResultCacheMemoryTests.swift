import TestSupport
import Testing

@testable import Serving

@Suite("ResultCache under a limit", .ownThreads)
struct ResultCacheMemoryTests {
    private let value = [UInt8](repeating: 7, count: 300)

    private func insert(_ cache: ResultCache, _ number: Int) {
        withUnsafeBytes(of: UInt64(number)) { key in
            value.withUnsafeBytes {
                cache.insert($0, for: key, hash: ResultCache.hash(key), generation: 1, now: 0, longest: .max >> 1)
            }
        }
    }

    private func holds(_ cache: ResultCache, _ number: Int) -> Bool {
        withUnsafeBytes(of: UInt64(number)) {
            cache.answer(to: $0, hash: ResultCache.hash($0), generation: 1, now: 0) != nil
        }
    }

    @Test("a lowered limit is reached in steps, keeps what is asked for most, and holds while answers come")
    func shrinks() {
        let cache = ResultCache(bytesMax: 8 << 20)
        for number in 0..<30_000 { insert(cache, number) }
        let full = cache.byteCount
        #expect(full > 7 << 20 && full <= 8 << 20)
        // Half of those that are held, asked for again and again.
        let held = (0..<30_000).filter { holds(cache, $0) }
        let asked = held.enumerated().filter { $0.offset % 8 == 0 }.map(\.element)
        for _ in 0..<6 { for number in asked { _ = holds(cache, number) } }
        cache.setLimit(4 << 20)
        var steps = 0
        while cache.shrink(by: 100) { steps += 1 }
        #expect(steps > 50, "no step takes more than it was told")
        #expect(cache.byteCount <= 4 << 20)
        #expect(cache.byteCount > 3 << 20, "no more is given up than has to be")
        let kept = asked.filter { holds(cache, $0) }.count
        #expect(kept * 10 >= asked.count * 9, "\(kept) of \(asked.count) that are asked for are left")
        for number in 100_000..<120_000 {
            insert(cache, number)
            #expect(cache.byteCount <= (4 << 20) + (64 << 10))
        }
        cache.setLimit(8 << 20)
        for number in 200_000..<230_000 { insert(cache, number) }
        #expect(cache.byteCount > 7 << 20)
        #expect(cache.byteCount <= 8 << 20)
    }

    @Test("no limit is above what the cache was made for, and one of nothing empties it")
    func bounds() {
        let cache = ResultCache(bytesMax: 1 << 20)
        cache.setLimit(.max)
        for number in 0..<10_000 { insert(cache, number) }
        #expect(cache.byteCount <= 1 << 20)
        cache.setLimit(0)
        while cache.shrink(by: 64) {}
        #expect(cache.statistics.entryCount == 0)
        insert(cache, 1)
        #expect(cache.statistics.entryCount <= 1)
    }

    @Test("what is planned for a cache is what it takes", arguments: [1_000, 5_000, 1_000_000])
    func planned(answers: Int) {
        let cache = ResultCache(bytesMax: 8 << 20)
        for number in 0..<min(answers, 40_000) { insert(cache, number) }
        let planned = ResultCache.byteCount(answers: answers, blockBytes: value.count + 8, bytesMax: 8 << 20)
        let difference = abs(Double(planned - cache.byteCount)) / Double(cache.byteCount)
        #expect(difference < 0.03, "planned \(planned), taken \(cache.byteCount)")
    }
}
