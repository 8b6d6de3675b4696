import TestSupport
import Testing

@testable import RemoteCache

@Suite struct PipelineTests {
    @Test("every caller is told once, and a reply goes to its own command or to nobody", arguments: 0..<10)
    func model(block: Int) {
        for seed in UInt64(block * 100)..<UInt64(block * 100 + 100) {
            var generator = SeededGenerator(seed: seed)
            var pipeline = Pipeline(countMax: 20, bytesMax: 500)
            var told: [Int: RedisResult] = [:]
            var twice = 0
            var sent: [(number: Int, deadline: UInt64, bytes: Int)] = []
            var now: UInt64 = 0
            var number = 0
            for _ in 0..<300 {
                now += UInt64.random(in: 0...5, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0, 1:
                    let bytes = Int.random(in: 1...60, using: &generator)
                    let hasRoom = sent.count < 20 && sent.reduce(0) { $0 + $1.bytes } + bytes <= 500
                    check(pipeline.hasRoom(for: bytes) == hasRoom, "seed \(seed)")
                    guard hasRoom else { continue }
                    let deadline = now + UInt64.random(in: 1...40, using: &generator)
                    let mine = number
                    number += 1
                    sent.append((mine, deadline, bytes))
                    pipeline.add(bytes: bytes, deadline: deadline) { result in
                        if told.updateValue(result, forKey: mine) != nil { twice += 1 }
                    }
                case 2, 3:
                    let entry = pipeline.takeFirst()
                    check((entry == nil) == sent.isEmpty, "seed \(seed)")
                    guard let entry else { continue }
                    let first = sent.removeFirst()
                    // The reply names the command that it belongs to.
                    entry.completion?(.success(.integer(Int64(first.number))))
                default:
                    for completion in pipeline.expire(at: now) { completion(.failure(.timeout)) }
                    for late in sent where late.deadline <= now {
                        check(told[late.number] == .failure(.timeout), "seed \(seed)")
                    }
                }
                check(
                    pipeline.count == sent.count && pipeline.bytes == sent.reduce(0) { $0 + $1.bytes }, "seed \(seed)")
            }
            for completion in pipeline.removeAll() { completion(.failure(.closed)) }
            check(twice == 0 && told.count == number, "seed \(seed)")
            for (number, result) in told {
                if case .success(let reply) = result { check(reply == .integer(Int64(number)), "seed \(seed)") }
            }
            #expect(pipeline.isEmpty && pipeline.bytes == 0)
        }
    }
}
