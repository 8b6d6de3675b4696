import Serving
import Vocabulary

/// The result cache itself over a trace: hit ratio in bytes, what an entry takes, what a hit costs.
package struct CacheSimulation {
    package var hitRatio = 0.0
    package var entries = 0
    package var bytes = 0
    package var usedBytes = 0

    package var bytesPerEntry: Double { Double(bytes) / Double(max(1, entries)) }

    /// - Parameters:
    ///   - bytesMax: Of the cache.
    ///   - answerBytes: Of each answer; keys are those of real requests, 20 to 30 bytes.
    package static func run(_ trace: CacheTrace, bytesMax: Int, answerBytes: Int) -> CacheSimulation {
        let cache = ResultCache(bytesMax: bytesMax)
        let epochs = UserEpochs(count: 1 << 22)
        let users = (0..<trace.userCount).map { "u\($0)" }
        var key = [UInt8](repeating: 0, count: 32)
        let answer = [UInt8](repeating: 7, count: answerBytes)
        var result = CacheSimulation()
        var (hits, requests) = (0, 0)
        let warm = trace.steps.count / 2
        for (number, step) in trace.steps.enumerated() {
            let user = users[Int(step < 0 ? ~step : step)]
            if step < 0 {
                epochs.bump(user)
                continue
            }
            // As Recommend encodes it: a field for the user, one for k.
            var count = 2
            key[0] = 0x0A
            key[1] = UInt8(user.utf8.count)
            for byte in user.utf8 {
                key[count] = byte
                count += 1
            }
            key[count] = 0x10
            key[count + 1] = 20
            count += 2
            key.withUnsafeBytes { bytes in
                let key = UnsafeRawBufferPointer(rebasing: bytes[..<count])
                let hash = ResultCache.hash(key)
                if number >= warm { requests += 1 }
                if cache.answer(to: key, hash: hash, generation: 1, now: 1, epochs: epochs) != nil {
                    if number >= warm { hits += 1 }
                    return
                }
                answer.withUnsafeBytes {
                    cache.insert(
                        $0, for: key, hash: hash, generation: 1, now: 1, longest: .max >> 1,
                        stamp: epochs.stamp(of: user), epochs: epochs)
                }
            }
        }
        result.hitRatio = Double(hits) / Double(max(1, requests))
        let statistics = cache.statistics
        (result.entries, result.bytes, result.usedBytes) = (
            statistics.entryCount, statistics.bytes, statistics.usedBytes
        )
        return result
    }

    /// What a hit costs: a hash, the look-up, and the copy of the answer, of entries asked for as often as users of a Zipf
    /// distribution are.
    package static func hitCost(entries: Int, answerBytes: Int, draws: [Int32]) -> Double {
        let cache = ResultCache(bytesMax: entries * (answerBytes + 400))
        let answer = [UInt8](repeating: 7, count: answerBytes)
        let keys = (0..<entries).map { Array("\n\u{8}u\(1_000_000 + $0)\u{10}\u{14}".utf8) }
        let epochs = UserEpochs(count: 1 << 20)
        for (number, key) in keys.enumerated() {
            key.withUnsafeBytes { key in
                answer.withUnsafeBytes {
                    cache.insert(
                        $0, for: key, hash: ResultCache.hash(key), generation: 1, now: 1, longest: .max >> 1,
                        stamp: epochs.stamp(of: "u\(1_000_000 + number)"), epochs: epochs)
                }
            }
        }
        let target = UnsafeMutableRawPointer.allocate(byteCount: answerBytes + 64, alignment: 64)
        defer { target.deallocate() }
        var found = 0
        let clock = ContinuousClock()
        let time = clock.measure {
            for draw in draws {
                keys[Int(draw) % entries].withUnsafeBytes { key in
                    guard
                        let kept = cache.answer(
                            to: key, hash: ResultCache.hash(key), generation: 1, now: 1, epochs: epochs),
                        let source = kept.body.baseAddress
                    else { return }
                    target.copyMemory(from: source, byteCount: kept.body.count)
                    found += 1
                }
            }
        }
        precondition(found == draws.count, "\(found) of \(draws.count) were there")
        let (seconds, attoseconds) = time.components
        return (Double(seconds) * 1e9 + Double(attoseconds) / 1e9) / Double(draws.count)
    }
}
