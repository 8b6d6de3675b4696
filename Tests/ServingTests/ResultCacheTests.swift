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

    private static let second: UInt64 = 1_000_000_000

    private func insert(
        _ cache: ResultCache, _ key: String, _ value: String, generation: UInt64 = 1, now: UInt64 = 0,
        longest: UInt64 = .max >> 1, tag: UInt16 = 0, hash: UInt64? = nil, user: String = "",
        epochs: UserEpochs? = nil
    ) {
        Array(key.utf8).withUnsafeBytes { key in
            Array(value.utf8).withUnsafeBytes {
                cache.insert(
                    $0, for: key, hash: hash ?? ResultCache.hash(key), generation: generation, now: now,
                    longest: longest, stamp: epochs?.stamp(of: user) ?? .nobody, epochs: epochs, tag: tag)
            }
        }
    }

    private func answer(
        _ cache: ResultCache, _ key: String, generation: UInt64 = 1, now: UInt64 = 0, hash: UInt64? = nil,
        epochs: UserEpochs? = nil
    ) -> String? {
        Array(key.utf8).withUnsafeBytes { key in
            cache.answer(
                to: key, hash: hash ?? ResultCache.hash(key), generation: generation, now: now, epochs: epochs
            ).map { String(decoding: $0.body, as: UTF8.self) }
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
                    $0, for: $0, hash: ResultCache.hash($0), generation: 1, now: 0, longest: .max >> 1,
                    seconds: seconds)
            }
        }
        keep(10...19)
        #expect([9, 10, 19, 20].map(kept) == [false, true, true, false])
        #expect(cache.statistics.unfit(.window) == 2)
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
        let second = Self.second
        insert(cache, "a", "x", generation: 1, now: second, longest: 100 * second)
        #expect(answer(cache, "a", generation: 2, now: 2 * second) == nil)
        #expect(answer(cache, "a", generation: 1, now: 100 * second) == "x")
        #expect(answer(cache, "a", generation: 1, now: 101 * second) == nil)
        #expect(cache.statistics.unfit(.generation) == 1)
        #expect(cache.statistics.unfit(.expired) == 1)
        insert(cache, "a", "y", generation: 2, now: 200 * second, longest: 100 * second)
        #expect(answer(cache, "a", generation: 2, now: 250 * second) == "y")
        // The numbers of generations are kept in 16 bits.
        #expect(answer(cache, "a", generation: 2 + 1 << 16, now: 250 * second) == nil)
        insert(cache, "b", "z", generation: 3 + 1 << 16, now: 250 * second)
        #expect(answer(cache, "a", generation: 2, now: 250 * second) == nil)
    }

    @Test("two keys of one hash are two entries, and neither is answered with the other's value")
    func collisions() {
        let cache = ResultCache(bytesMax: 1 << 20)
        for number in 0..<50 { insert(cache, "key \(number)", "value \(number)", hash: 42) }
        for number in 0..<50 { #expect(answer(cache, "key \(number)", hash: 42) == "value \(number)") }
        #expect(answer(cache, "key 50", hash: 42) == nil)
        #expect(cache.statistics.entryCount == 50)
    }

    @Test("what a user did voids all that was kept for the user before, and makes room first")
    func epochs() {
        let cache = ResultCache(bytesMax: 256 << 10)
        let epochs = UserEpochs(count: 1 << 16)
        let value = String(repeating: "v", count: 200)
        for number in 0..<100 { insert(cache, "u\(number)", value, user: "u\(number)", epochs: epochs) }
        for number in 0..<50 { epochs.bump("u\(number)") }
        for number in 0..<100 {
            #expect((answer(cache, "u\(number)", epochs: epochs) == nil) == (number < 50), "user \(number)")
        }
        #expect(cache.statistics.unfit(.epoch) == 50)
        // Insertions look at four entries each.
        for number in 0..<60 { insert(cache, "new\(number)", value, user: "n\(number)", epochs: epochs) }
        #expect(cache.statistics.evicted(.epoch) == 50)
        #expect(cache.statistics.evicted(.room) == 0)
        // One whose user did something while it was made is not kept.
        let stamp = epochs.stamp(of: "late")
        epochs.bump("late")
        [UInt8](repeating: 1, count: 9).withUnsafeBytes {
            cache.insert(
                $0, for: $0, hash: 1, generation: 1, now: 0, longest: Self.second, stamp: stamp, epochs: epochs)
        }
        #expect(cache.statistics.refusals == 1)
    }

    @Test("an answer that is too old is shown as stale within the bound, and asks for a new one once")
    func stale() throws {
        let second = Self.second
        let cache = ResultCache(bytesMax: 1 << 20, staleFor: 30 * second)
        let epochs = UserEpochs(count: 16)
        insert(cache, "a", "x", now: 0, longest: 60 * second, user: "u", epochs: epochs)
        func ask(_ seconds: UInt64) -> KeptAnswer? {
            Array("a".utf8).withUnsafeBytes {
                cache.answer(to: $0, hash: ResultCache.hash($0), generation: 1, now: seconds * second, epochs: epochs)
            }
        }
        #expect(ask(59).map { [$0.isStale, $0.wantsRefresh] } == [false, false])
        #expect(ask(61).map { [$0.isStale, $0.wantsRefresh] } == [true, true])
        #expect(ask(62).map { [$0.isStale, $0.wantsRefresh] } == [true, false])
        Array("a".utf8).withUnsafeBytes { cache.refreshFailed($0, hash: ResultCache.hash($0)) }
        #expect(ask(63).map { [$0.isStale, $0.wantsRefresh] } == [true, true])
        #expect(ask(91) == nil)
        #expect(cache.statistics.staleHits == 3)
        insert(cache, "a", "y", now: 100 * second, longest: 60 * second, user: "u", epochs: epochs)
        epochs.bump("u")
        #expect(ask(161) == nil, "never across an epoch")
    }

    @Test("lives follow how often the user comes, within their bounds")
    func lives() {
        let second = Self.second
        let life = AnswerLife(least: 10 * second, visits: 20)
        func wanted(_ age: UInt64?, _ served: Int) -> UInt64 {
            life.life(longest: 600 * second, age: age.map { $0 * second }, served: served) / second
        }
        #expect(wanted(nil, 0) == 600, "nothing is known")
        #expect(wanted(60, 59) == 20, "a visit each second")
        #expect(wanted(60, 599) == 10, "the shortest")
        #expect(wanted(60, 2) == 400)
        #expect(wanted(3600, 0) == 600, "the longest")
        #expect(AnswerLife().life(longest: 7, age: 1, served: 1000) == 7, "not adapted")
        // In the cache: one visit a second for a minute, then the next answer lives for twenty visits.
        let cache = ResultCache(bytesMax: 1 << 20, life: life)
        insert(cache, "a", "x", now: 0, longest: 60 * second)
        for time in 1..<60 { #expect(answer(cache, "a", now: UInt64(time) * second) == "x") }
        #expect(answer(cache, "a", now: 60 * second) == nil)
        insert(cache, "a", "y", now: 60 * second, longest: 60 * second)
        #expect(answer(cache, "a", now: 79 * second) == "y")
        #expect(answer(cache, "a", now: 81 * second) == nil)
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
        #expect(cache.statistics.evicted(.room) > 1000)
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

    @Test(
        "large and small answers, windows, events, other generations and hash collisions, against a dictionary",
        arguments: [1, 2])
    func againstADictionary(seed: UInt64) {
        struct Known {
            var value: String
            var generation: UInt64
            var expires: UInt64
            var epoch: Int
        }
        var random = Generator(state: seed)
        let limit = 200 << 10
        let cache = ResultCache(bytesMax: limit, staleFor: 0)
        let epochs = UserEpochs(count: 1 << 16)
        var known: [String: Known] = [:]
        var bumps: [String: Int] = [:]
        var (now, generation, hits) = (UInt64(0), UInt64(1), 0)
        for step in 0..<30_000 {
            now += Self.second / 10
            let user = "u\(Int.random(in: 0..<(1 << Int.random(in: 1...10, using: &random)), using: &random))"
            // Few hashes: many collisions.
            let hash = user.utf8.reduce(UInt64(7)) { ($0 &* 31 &+ UInt64($1)) % 97 } << 30 | 5
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<5:
                epochs.bump(user)
                bumps[user, default: 0] += 1
            case 5 where step % 7 == 0: generation += 1
            default:
                let found = answer(cache, user, generation: generation, now: now, hash: hash, epochs: epochs)
                if let found {
                    hits += 1
                    let entry = known[user]
                    #expect(found == entry?.value, "step \(step), seed \(seed)")
                    #expect(entry?.generation == generation && entry?.epoch == bumps[user, default: 0])
                    #expect(entry.map { $0.expires > now } ?? false)
                } else {
                    let count =
                        Int.random(in: 0..<20, using: &random) == 0 ? 9000 : Int.random(in: 0...600, using: &random)
                    let value = String(repeating: "v", count: count) + "\(step)"
                    insert(
                        cache, user, value, generation: generation, now: now, longest: 30 * Self.second, hash: hash,
                        user: user, epochs: epochs)
                    known[user] = Known(
                        value: value, generation: generation, expires: now + 30 * Self.second,
                        epoch: bumps[user, default: 0])
                }
            }
            #expect(cache.statistics.bytes <= limit, "step \(step), seed \(seed)")
            #expect(cache.statistics.usedBytes <= cache.statistics.bytes)
        }
        #expect(hits > 1000, "seed \(seed)")
    }

    @Test("the keys that are asked for most come first, and no more than there may be")
    func activeKeys() {
        let cache = ResultCache(bytesMax: 4 << 20)
        for number in 0..<1000 {
            insert(cache, "k\(number)", "v")
            for _ in 0..<(number < 20 ? 8 : 0) { _ = answer(cache, "k\(number)") }
        }
        var keys = ActiveKeys(countMax: 30)
        var place: Int? = 0
        while let from = place { place = cache.forEachKey(from: from, count: 64) { keys.add($0, frequency: $1) } }
        let found = keys.keys.map { String(decoding: $0, as: UTF8.self) }
        #expect(found.count == 30)
        #expect(Set(found.prefix(20)) == Set((0..<20).map { "k\($0)" }))
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
