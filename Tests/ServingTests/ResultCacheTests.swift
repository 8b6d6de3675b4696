import TestSupport
import Testing

@testable import Serving

@Suite("ResultCache", .ownThreads)
struct ResultCacheTests {
    /// A small generator with a fixed seed (SplitMix64).
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    private func insert(
        _ cache: ResultCache, _ key: String, _ value: String, generation: UInt64 = 1, expires: UInt64 = .max,
        tag: UInt16 = 0
    ) {
        Array(key.utf8).withUnsafeBytes { key in
            Array(value.utf8).withUnsafeBytes {
                cache.insert(
                    $0, for: key, hash: ResultCache.hash(key), generation: generation, expires: expires, tag: tag)
            }
        }
    }

    private func answer(_ cache: ResultCache, _ key: String, generation: UInt64 = 1, now: UInt64 = 0) -> String? {
        Array(key.utf8).withUnsafeBytes { key in
            cache.answer(to: key, hash: ResultCache.hash(key), generation: generation, now: now).map {
                String(decoding: $0.body, as: UTF8.self)
            }
        }
    }

    @Test("an answer is given only in the seconds in which its items are available")
    func seconds() {
        let cache = ResultCache(bytesMax: 1 << 20)
        let key = Array("user=1".utf8)
        func kept(at wallSeconds: Int64) -> Bool {
            key.withUnsafeBytes {
                cache.answer(to: $0, hash: ResultCache.hash($0), generation: 1, now: 0, wallSeconds: wallSeconds) != nil
            }
        }
        func keep(_ seconds: ClosedRange<Int64>) {
            key.withUnsafeBytes {
                cache.insert(
                    $0, for: $0, hash: ResultCache.hash($0), generation: 1, expires: .max, seconds: seconds)
            }
        }
        keep(10...19)
        #expect([9, 10, 19, 20].map(kept) == [false, true, true, false])
        #expect(cache.statistics.stale == 2)
        keep(Slate.always)
        #expect([.min, 0, .max].allSatisfy(kept))
    }

    @Test("gives back what was kept, with its tag, and nothing else")
    func roundTrip() {
        let cache = ResultCache(bytesMax: 1 << 20)
        insert(cache, "user=1", "one", tag: 7)
        insert(cache, "user=2", "two")
        #expect(answer(cache, "user=1") == "one")
        #expect(answer(cache, "user=2") == "two")
        #expect(answer(cache, "user=3") == nil)
        let key = Array("user=1".utf8)
        let tag = key.withUnsafeBytes {
            cache.answer(to: $0, hash: ResultCache.hash($0), generation: 1, now: 0)?.tag
        }
        #expect(tag == 7)
    }

    @Test("an answer of another generation, or one whose time is over, is a miss")
    func staleness() {
        let cache = ResultCache(bytesMax: 1 << 20)
        insert(cache, "a", "x", generation: 1, expires: 100)
        #expect(answer(cache, "a", generation: 2) == nil)
        #expect(answer(cache, "a", generation: 1, now: 99) == "x")
        #expect(answer(cache, "a", generation: 1, now: 100) == nil)
        #expect(cache.statistics.stale == 2)
        insert(cache, "a", "y", generation: 2, expires: 300)
        #expect(answer(cache, "a", generation: 2, now: 200) == "y")
    }

    @Test("never holds more bytes than it may, and never answers wrongly, over random traffic", arguments: [1, 2, 3])
    func boundedAndRight(seed: UInt64) {
        var random = Generator(state: seed)
        let limit = 64 << 10
        let cache = ResultCache(bytesMax: limit)
        var newest: [String: String] = [:]
        var hits = 0
        for step in 0..<40_000 {
            // Small keys come far more often than large ones.
            let key = "k\(Int.random(in: 0..<(1 << Int.random(in: 1...12, using: &random)), using: &random))"
            if let found = answer(cache, key) {
                hits += 1
                #expect(found == newest[key], "step \(step), seed \(seed)")
            } else {
                let value = String(repeating: "v", count: Int.random(in: 0...400, using: &random)) + "\(step)"
                insert(cache, key, value)
                newest[key] = value
            }
            #expect(cache.statistics.bytes <= limit)
        }
        #expect(hits > 1000)
        #expect(cache.statistics.evictions > 1000)
        let statistics = cache.statistics
        #expect(statistics.hits + statistics.misses == 40_000)
    }

    @Test("keeps what is asked for again when a scan of one-time keys passes through")
    func resistsScans() {
        let cache = ResultCache(bytesMax: 32 << 10)
        let value = String(repeating: "x", count: 100)
        for round in 0..<50 {
            for hot in 0..<20 where answer(cache, "hot\(hot)") == nil { insert(cache, "hot\(hot)", value) }
            for cold in 0..<100 { insert(cache, "cold\(round)-\(cold)", value) }
        }
        let kept = (0..<20).count { answer(cache, "hot\($0)") != nil }
        #expect(kept == 20)
    }

    @Test("an answer that would not fit is refused, and a cache of no bytes keeps nothing")
    func refusals() {
        let cache = ResultCache(bytesMax: 4 << 10)
        insert(cache, "big", String(repeating: "b", count: 3000))
        #expect(answer(cache, "big") == nil)
        #expect(cache.statistics.refusals == 1)
        let none = ResultCache(bytesMax: 0)
        insert(none, "a", "b")
        #expect(answer(none, "a") == nil)
        #expect(none.statistics.bytes == 0)
    }
}
