import Foundation
import Synchronization
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

/// Searches in threads beside changes.
@Suite(.ownThreads) struct MutableIndexThreadTests {
    /// Rows 0..<100 stay as they are, rows from 400 are deleted before the searches begin and never come back; the rest
    /// comes and goes.
    @Test(
        "searches beside changes: stable rows score right, deleted ones stay away, nothing is twice",
        arguments: SimilarityMetric.allCases)
    func searchesDuringChurn(metric: SimilarityMetric) throws {
        let seed = UInt64(20)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let dimension = 8
        let index = try MutableIndex(
            MutableIndexConfiguration(
                dimension: dimension, metric: metric, HNSWParameters(m: 6, efConstruction: 24), capacity: 450,
                tombstoneRatio: 0.05))
        var stable = MirrorRows()
        for row in 0..<450 as Range<UInt32> {
            let vector = random.vector(dimension)
            try index.insert(vector, row: row)
            if row < 100 { stable.vectors[row] = vector }
        }
        for row in 400..<450 as Range<UInt32> { try index.delete(row: row) }
        let exact = try stable.exact(metric, dimension)
        let queries = (0..<8).map { _ in random.vector(dimension) }
        // By query and row: the score that a stable row must have.
        let scores = try queries.map { query in
            Dictionary(uniqueKeysWithValues: try exact(query, 100).map { ($0.row, $0.score) })
        }
        let isDone = Atomic<Bool>(false)
        let searches = Atomic<Int>(0)
        let faults = Mutex<[String]>([])
        let predicate = RowPredicate(rowCount: 450) { $0 % 4 != 1 }
        inThreads(3) { thread in
            if thread == 0 {
                var random = SeededGenerator(seed: 21)
                // At least as many changes, and until each reader has had its share.
                var step = 0
                while step < 2000 || (searches.load(ordering: .relaxed) < 300 && step < 1_000_000) {
                    let row = UInt32.random(in: 100..<400, using: &random)
                    do {
                        if !index.contains(row) {
                            try index.insert(random.vector(dimension), row: row)
                        } else if step % 2 == 0 {
                            try index.update(random.vector(dimension), row: row)
                        } else {
                            try index.delete(row: row)
                        }
                    } catch { faults.withLock { $0.append("\(error)") } }
                    step += 1
                }
                isDone.store(true, ordering: .releasing)
                return
            }
            let scratch = SearchScratch()
            var turn = thread
            while !isDone.load(ordering: .acquiring) {
                turn += 1
                let query = turn % queries.count
                let k = [1, 10, 150][turn % 3]
                let filter = turn % 2 == 0 ? predicate : nil
                do {
                    let found = try index.search(
                        queries[query], k: k, efSearch: 20, where: filter, scratch: scratch)
                    searches.add(1, ordering: .relaxed)
                    let bad =
                        found.count > k || Set(found.map(\.row)).count != found.count
                        || zip(found, found.dropFirst()).contains { $0.score < $1.score }
                        || found.contains { $0.row >= 400 || filter?.contains($0.row) == false }
                        || found.contains { scores[query][$0.row].map { [score = $0.score] in $0 != score } ?? false }
                        // The stable rows alone are enough.
                        || found.count < min(k, 50)
                    if bad { faults.withLock { $0.append("k \(k): \(found)") } }
                } catch { faults.withLock { $0.append("\(error)") } }
            }
        }
        #expect(faults.withLock { $0.prefix(3).joined(separator: "; ") } == "")
        #expect(index.faults.isEmpty, "\(index.faults.prefix(5))")
        #expect(searches.load(ordering: .relaxed) >= 300)
        #expect(index.statistics.repairs > 5 && index.statistics.readers == 0)
    }

    @Test("a search that begins after a change returned sees it")
    func changesAreSeen() throws {
        var random = SeededGenerator(seed: 22)
        let index = try MutableIndex(
            MutableIndexConfiguration(
                dimension: 4, metric: .l2, HNSWParameters(m: 6, efConstruction: 24), capacity: 200,
                tombstoneRatio: 0.05))
        for row in 0..<200 as Range<UInt32> { try index.insert(random.vector(4), row: row) }
        // Even: the row is there; odd: it is gone. One row for each reader, so that each knows.
        let version = Atomic<Int>(0)
        let isDone = Atomic<Bool>(false)
        let faults = Mutex<[String]>([])
        inThreads(2) { thread in
            var random = SeededGenerator(seed: UInt64(30 + thread))
            do {
                if thread == 0 {
                    let place: [Float] = [9, 9, 9, 9]
                    try index.update(place, row: 7)
                    for step in 0..<600 {
                        version.add(1, ordering: .sequentiallyConsistent)  // 1 mod 4: changing
                        if step % 2 == 0 { try index.delete(row: 7) } else { try index.insert(place, row: 7) }
                        version.add(1, ordering: .sequentiallyConsistent)
                        for _ in 0..<3 {
                            try index.update(random.vector(4), row: UInt32.random(in: 8..<200, using: &random))
                        }
                    }
                    isDone.store(true, ordering: .releasing)
                    return
                }
                let scratch = SearchScratch()
                while !isDone.load(ordering: .acquiring) {
                    let before = version.load(ordering: .sequentiallyConsistent)
                    let found = try index.search([9, 9, 9, 9], k: 1, efSearch: 16, scratch: scratch)
                    let after = version.load(ordering: .sequentiallyConsistent)
                    guard before == after, before % 2 == 0, before > 0 else { continue }
                    let isThere = before % 4 == 0
                    if (found.first?.row == 7) != isThere {
                        faults.withLock { $0.append("version \(before): \(found)") }
                    }
                }
            } catch {
                isDone.store(true, ordering: .releasing)
                faults.withLock { $0.append("\(error)") }
            }
        }
        #expect(faults.withLock { $0.prefix(3).joined(separator: "; ") } == "")
    }

    @Test("writers in several threads wait for one another")
    func severalWriters() throws {
        let index = try MutableIndex(
            MutableIndexConfiguration(
                dimension: 5, metric: .cosine, HNSWParameters(m: 6, efConstruction: 24), capacity: 400))
        inThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            for row in UInt32(thread * 100)..<UInt32(thread * 100 + 100) {
                try? index.insert(random.vector(5), row: row)
                if row % 2 == 0 { try? index.update(random.vector(5), row: row) }
                if row % 5 == 0 { try? index.delete(row: row) }
            }
        }
        #expect(index.liveCount == 320 && index.faults.isEmpty)
    }

    /// Runs `body` in as many threads of its own, so that none waits for another's end to begin.
    private func inThreads(_ count: Int, _ body: @escaping @Sendable (_ thread: Int) -> Void) {
        let group = DispatchGroup()
        for thread in 0..<count {
            group.enter()
            Thread.detachNewThread {
                body(thread)
                group.leave()
            }
        }
        group.wait()
    }
}
