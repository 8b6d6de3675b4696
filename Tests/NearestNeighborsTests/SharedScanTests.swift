import Foundation
import Synchronization
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

/// A scan that others help with must give what it gives alone, bit for bit, whoever reads what.
@Suite(.ownThreads) struct SharedScanTests {
    private static func search(
        _ index: ScanIndex, _ query: [Float], k: Int, where predicate: RowPredicate? = nil, threads: Int,
        _ scratch: SearchScratch = SearchScratch()
    ) throws -> [ScoredRow] {
        var results: [ScoredRow] = []
        try query.withUnsafeBufferPointer {
            try index.search($0, k: k, where: predicate, threads: threads, scratch: scratch, into: &results)
        }
        return results
    }

    @Test("threads give the exact answer for every metric, dimension, filter and k", arguments: ScanIndexTests.metrics)
    func threads(metric: SimilarityMetric) throws {
        for (rows, dimension) in [(1, 2), (900, 8), (12_000, 24), (20_000, 64), (11_000, 100)] {
            var random = SeededGenerator(seed: UInt64(rows + dimension))
            let matrix = random.matrix(rows: rows, dimension: dimension)
            let index = try ScanIndex(matrix, metric: metric)
            let exact = try ExactIndex(matrix, metric: metric)
            let scratch = SearchScratch()
            for share in [1, 0.6, 0.2, 0.01] {
                let predicate =
                    share == 1
                    ? nil : RowPredicate(rowCount: rows) { _ in Double.random(in: 0..<1, using: &random) < share }
                for k in [1, 10, 300, rows] {
                    let query = random.vector(dimension)
                    let threads = Int.random(in: 1...5, using: &random)
                    #expect(
                        try Self.search(index, query, k: k, where: predicate, threads: threads, scratch)
                            == exact.search(query, k: k, where: predicate),
                        "\(rows) x \(dimension), share \(share), k \(k), \(threads) threads")
                }
            }
        }
    }

    @Test("rows that score alike come in the order of their numbers, whoever finds them")
    func ties() throws {
        // 20 different rows, a thousand times each.
        var random = SeededGenerator(seed: 77)
        let vectors = (0..<20).map { _ in random.vector(16) }
        let matrix = FactorMatrix(rowCount: 20_000, columnCount: 16) { row, target in
            for i in target.indices { target[i] = vectors[row * 7 % 20][i] }
        }
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        for k in [1, 15, 900, 1500, 5000] {
            let query = random.vector(16)
            #expect(try Self.search(index, query, k: k, threads: 4) == exact.search(query, k: k), "k \(k)")
        }
    }

    @Test("more finds than the log holds change nothing")
    func fullLog() throws {
        // By l2 rows are in no helpful order; these come nearer and nearer, so that each is a find.
        let matrix = FactorMatrix(rowCount: 40_000, columnCount: 4) { row, target in
            target[0] = 40_000 - Float(row)
            target[1] = Float(row % 3)
        }
        for metric in [SimilarityMetric.l2, .innerProduct] {
            let index = try ScanIndex(matrix, metric: metric)
            let exact = try ExactIndex(matrix, metric: metric)
            for k in [1, 50, 9000, 20_000, 40_000] {
                for query: [Float] in [[0, 0, 0, 0], [-1, 0, 0, 0], [1, 1, 0, 0]] {
                    for threads in [2, 4] {
                        #expect(
                            try Self.search(index, query, k: k, threads: threads) == exact.search(query, k: k),
                            "\(metric), k \(k), \(query)")
                    }
                }
            }
        }
    }

    @Test("helpers of one thread, that come when they like or not at all, change nothing")
    func turns() throws {
        let seed = UInt64.random(in: 0..<(1 << 40))
        var random = SeededGenerator(seed: seed)
        let matrix = random.matrix(rows: 30_000, dimension: 20)
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        let (own, others) = (SearchScratch(), SearchScratch())
        let scan = RunningScan(index)
        var late: [ScanInvitation] = []
        var parts = 0
        for round in 0..<60 {
            let query = random.vector(20)
            let k = [1, 20, 400][round % 3]
            try query.withUnsafeBufferPointer { try index.begin(scan, $0, k: k) }
            let invitation = try #require(index.share(scan))
            late.append(invitation)
            let eagerness = Double.random(in: 0...1, using: &random) * Double(round % 4)
            // Now and then a search is given up in the middle.
            let end = round % 7 == 6 ? Int.random(in: 0..<6, using: &random) : 100_000
            var steps = 0
            var isDone = false
            while !isDone, steps < end {
                steps += 1
                isDone = index.advance(scan, turns: Int.random(in: 1...9, using: &random), own)
                if Double.random(in: 0..<2, using: &random) < eagerness {
                    // Old invitations are as good as new ones.
                    if late.randomElement(using: &random)?.help(others) == true { parts += 1 }
                }
            }
            if isDone {
                #expect(scan.top.sorted() == (try exact.search(query, k: k)), "seed \(seed), round \(round)")
                #expect(!invitation.help(others), "nothing is left of a search that is done")
            } else {
                scan.finish()
                #expect(!invitation.help(others))
            }
        }
        #expect(parts > 20)
    }

    @Test("a helper that stops in the middle of a part is not waited for", arguments: ScanIndexTests.metrics)
    func stuck(metric: SimilarityMetric) throws {
        let seed = UInt64.random(in: 0..<(1 << 40))
        var random = SeededGenerator(seed: seed)
        let matrix = random.matrix(rows: 50_000, dimension: 12)
        let index = try ScanIndex(matrix, metric: metric)
        let exact = try ExactIndex(matrix, metric: metric)
        let (own, others) = (SearchScratch(), SearchScratch())
        for round in 0..<20 {
            // A new one each time: the last is not free.
            let scan = RunningScan(index)
            let mask = RowMask(rowCount: 50_000, allEligible: true)
            for row in UInt32(0)..<1000 { mask.remove(row * 3) }
            let expected = mask.snapshot()
            let k = [1, 30, 500][round % 3]
            let query = random.vector(12)
            try query.withUnsafeBufferPointer { try index.begin(scan, $0, k: k, where: mask.predicate) }
            let invitation = try #require(index.share(scan))
            mask.reset(allEligible: false)
            let shared = try #require(scan.shared)
            var stuck: [Int] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                if Bool.random(using: &random) { _ = invitation.help(others) }
                guard let (blocks, seat) = shared.take() else { continue }
                stuck.append(seat)
                // Some of its finds are told, then nothing comes any more.
                shared.seat(seat).use { finder in
                    let part = blocks.lowerBound..<blocks.lowerBound + Int.random(in: 1...60, using: &random)
                    _ = index.readTurn(scan, shared, part, others, &finder)
                }
            }
            while !index.advance(scan, turns: Int.random(in: 1...20, using: &random), own) {}
            #expect(
                scan.top.sorted() == (try exact.search(query, k: k, where: expected)),
                "seed \(seed), round \(round), k \(k)")
            #expect(scan.isFree == stuck.isEmpty)
            // The late ones change nothing of the answer, and then it can be used again.
            for seat in stuck { shared.leave(seat) }
            #expect(scan.isFree)
        }
    }

    @Test("look-ups, bounds that may miss rows and small indexes are not shared")
    func notShared() throws {
        var random = SeededGenerator(seed: 9)
        let index = try ScanIndex(random.matrix(rows: 30_000, dimension: 12), metric: .innerProduct)
        let small = try ScanIndex(random.matrix(rows: 2000, dimension: 12), metric: .innerProduct)
        let query = random.vector(12)
        try query.withUnsafeBufferPointer { query in
            let scan = RunningScan(index)
            try index.begin(scan, query, k: 5, confidence: 0.8)
            #expect(index.share(scan) == nil)
            let few = RowPredicate(rowCount: 30_000) { $0 % 1000 == 0 }
            try index.begin(scan, query, k: 5, where: few, plan: .lookUp)
            #expect(index.share(scan) == nil)
            try index.begin(scan, query, k: 5)
            _ = index.advance(scan, turns: 1, SearchScratch())
            #expect(index.share(scan) == nil, "it has begun to read")
            let other = RunningScan(small)
            try small.begin(other, query, k: 5)
            #expect(small.share(other) == nil)
        }
    }

    @Test("threads that help all the time, with whatever there is, change nothing", .timeLimit(.minutes(30)))
    func stress() throws {
        let seed = UInt64.random(in: 0..<(1 << 40))
        var random = SeededGenerator(seed: seed)
        let matrix = random.matrix(rows: 40_000, dimension: 16)
        let index = try ScanIndex(matrix, metric: .innerProduct)
        let exact = try ExactIndex(matrix, metric: .innerProduct)
        let current = Mutex<ScanInvitation?>(nil)
        let isOver = Atomic<Bool>(false)
        let parts = Atomic<Int>(0)
        let group = DispatchGroup()
        // More than there are seats.
        for _ in 0..<(SharedScan.seatCount + 3) {
            group.enter()
            Thread.detachNewThread {
                let scratch = SearchScratch()
                var kept: ScanInvitation?
                while !isOver.load(ordering: .relaxed) {
                    // Sometimes the one of a search that is long over.
                    if kept == nil || Bool.random() { kept = current.withLock { $0 } }
                    if kept?.help(scratch) == true {
                        parts.wrappingAdd(1, ordering: .relaxed)
                    } else {
                        // So many threads that spin would leave nothing of a core to whatever else runs.
                        usleep(100)
                    }
                }
                group.leave()
            }
        }
        defer {
            isOver.store(true, ordering: .relaxed)
            group.wait()
        }
        let scratch = SearchScratch()
        let scans = (0..<3).map { _ in RunningScan(index) }
        let mask = RowMask(rowCount: 40_000, allEligible: true)
        for round in 0..<200 {
            let query = random.vector(16)
            let k = [1, 10, 200, 3000][round % 4]
            let scan = scans[round % 3]
            // The mask is one that changes between searches.
            mask.reset(allEligible: true)
            for _ in 0..<2000 { mask.remove(UInt32.random(in: 0..<40_000, using: &random)) }
            try query.withUnsafeBufferPointer { try index.begin(scan, $0, k: k, where: mask.predicate) }
            let invitation = try #require(index.share(scan))
            current.withLock { $0 = invitation }
            if round % 10 == 9 {
                _ = index.advance(scan, turns: 3, scratch)
                scan.finish()
                continue
            }
            while !index.advance(scan, turns: 2, scratch) { sched_yield() }
            #expect(
                scan.top.sorted() == (try exact.search(query, k: k, where: mask.predicate)),
                "seed \(seed), round \(round)")
        }
        #expect(parts.load(ordering: .relaxed) > 0)
    }
}
