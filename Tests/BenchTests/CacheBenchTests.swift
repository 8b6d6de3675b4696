import CacheBench
import Foundation
import Serving
import TestSupport
import Testing

@Suite(.ownThreads) struct CacheBenchTests {
    private static let trace = CacheTrace.zipf(users: 2000, exponent: 1, eventShare: 0.05, count: 60_000, seed: 3)

    @Test func `no policy is better than the ideal one, and none worse than least recently used by much`() {
        for capacity in [50, 300, 1000] {
            let ideal = PolicySimulation.ideal(Self.trace, capacity: capacity)
            let made = PolicySimulation.hitRatio(
                Self.trace, capacity: capacity, FrequencyFIFO(capacity: capacity, entriesMax: capacity + 1))
            let others = [
                PolicySimulation.hitRatio(
                    Self.trace, capacity: capacity, WTinyLFU(capacity: capacity, entriesMax: capacity + 1)),
                PolicySimulation.hitRatio(
                    Self.trace, capacity: capacity, S3FIFO(capacity: capacity, entriesMax: capacity + 1)),
                PolicySimulation.hitRatio(
                    Self.trace, capacity: capacity, LRU(capacity: capacity, entriesMax: capacity + 1)),
                PolicySimulation.fixedSet(Self.trace, capacity: capacity),
            ]
            #expect((others + [made]).allSatisfy { $0 <= ideal + 1e-9 }, "\(capacity): \(others) \(made) \(ideal)")
            #expect(ideal <= PolicySimulation.unbounded(Self.trace) + 1e-9)
            #expect(made > others[2], "\(capacity) entries: \(made), least recently used \(others[2])")
            #expect(made > others[0] - 0.01, "\(capacity) entries: \(made), W-TinyLFU \(others[0])")
        }
    }

    @Test func `with room for all, policies have what a cache without an end has`() {
        let all = PolicySimulation.unbounded(Self.trace)
        #expect(PolicySimulation.ideal(Self.trace, capacity: 2000) == all)
        #expect(
            PolicySimulation.hitRatio(Self.trace, capacity: 2000, FrequencyFIFO(capacity: 2000, entriesMax: 2001))
                == all)
        #expect(PolicySimulation.hitRatio(Self.trace, capacity: 2000, LRU(capacity: 2000, entriesMax: 2001)) == all)
    }

    @Test func `least recently used is what a list says it is`() {
        let trace = CacheTrace.zipf(users: 100, exponent: 0.8, eventShare: 0.1, count: 4000, seed: 5)
        var list: [Int32] = []
        var (hits, requests) = (0, 0)
        for (number, step) in trace.steps.enumerated() {
            let user = step < 0 ? ~step : step
            let isThere = list.contains(user)
            list.removeAll { $0 == user }
            if step < 0 { continue }
            list.append(user)
            if list.count > 20 { list.removeFirst() }
            if number >= 2000 {
                requests += 1
                if isThere { hits += 1 }
            }
        }
        #expect(
            PolicySimulation.hitRatio(trace, capacity: 20, LRU(capacity: 20, entriesMax: 21))
                == Double(hits) / Double(requests))
    }

    @Test func `the cache itself keeps within its bytes`() {
        let result = CacheSimulation.run(Self.trace, bytesMax: 256 << 10, answerBytes: 300)
        #expect(result.bytes <= 256 << 10)
        #expect(result.entries > 300)
        #expect(result.hitRatio > 0.5)
    }

    @Test func `a trace that is written is read again, and a bad one is refused with its line`() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("trace")
        let trace = CacheTrace(steps: [0, 1, ~0, 2, 1], userCount: 3, name: "t")
        try trace.write(path)
        #expect(try CacheTrace.read(path).steps == trace.steps)
        try Data("# comment\n\na\n-\n".utf8).write(to: URL(fileURLWithPath: path))
        let fault = #expect(throws: CacheTraceFault.self) { try CacheTrace.read(path) }
        #expect(fault?.description.contains(":4:") ?? false)
    }
}
