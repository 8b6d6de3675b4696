import Artifacts
import TestSupport
import Testing
import VectorMath

@testable import NearestNeighbors

@Suite(.ownThreads) struct MutableIndexTests {
    private func configuration(
        _ metric: SimilarityMetric, dimension: Int, capacity: Int, ratio: Double = 0.1, repairs: Bool = true,
        linkMetric: SimilarityMetric? = nil
    ) -> MutableIndexConfiguration {
        MutableIndexConfiguration(
            dimension: dimension, metric: metric,
            HNSWParameters(m: 8, efConstruction: 40, linkMetric: linkMetric), capacity: capacity,
            tombstoneRatio: ratio, repairsWithChanges: repairs)
    }

    /// Recall@10 over 30 queries at efSearch 80, clustered rows.
    private func recallAtTen(
        _ index: MutableIndex, _ mirror: MirrorRows, _ random: inout SeededGenerator
    ) throws -> Double {
        let exact = try mirror.exact(index.metric, index.dimension)
        let scratch = SearchScratch()
        var total = 0.0
        for _ in 0..<30 {
            let query = random.vector(index.dimension)
            let found = try index.search(query, k: 10, efSearch: 80, scratch: scratch)
            let truth = try exact(query, 10)
            #expect(found.count == truth.count)
            #expect(zip(found, found.dropFirst()).allSatisfy { $0.score > $1.score || $0.row < $1.row })
            // By scores: among equal ones any row is right.
            let least = truth.last?.score ?? 0
            total += truth.isEmpty ? 1 : Double(found.count { $0.score >= least }) / Double(truth.count)
        }
        return total / 30
    }

    /// Seen: .98 and above.
    @Test(
        "random inserts, updates and deletes: recall stays, scores are exact, the graph is sound",
        arguments: [
            (SimilarityMetric.innerProduct, 7), (.innerProduct, 24), (.cosine, 2), (.cosine, 24), (.l2, 1), (.l2, 16),
        ])
    func churn(metric: SimilarityMetric, dimension: Int) throws {
        let seed = UInt64(dimension * 10)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let capacity = 500
        let source = random.matrix(rows: 3000, dimension: dimension)
        let index = try MutableIndex(
            configuration(
                metric, dimension: dimension, capacity: capacity, linkMetric: metric == .innerProduct ? .cosine : nil))
        var mirror = MirrorRows()
        for step in 0..<2500 {
            let row = UInt32.random(in: 0..<UInt32(capacity), using: &random)
            let vector = Array(source.row(Int.random(in: 0..<3000, using: &random)))
            if mirror.vectors[row] == nil {
                try index.insert(vector, row: row)
                mirror.vectors[row] = vector
            } else if Bool.random(using: &random) {
                try index.update(vector, row: row)
                mirror.vectors[row] = vector
            } else {
                try index.delete(row: row)
                mirror.vectors[row] = nil
            }
            #expect(index.liveCount == mirror.vectors.count)
            if step % 500 == 499 {
                #expect(index.faults.isEmpty, "\(index.faults.prefix(5))")
                let recall = try recallAtTen(index, mirror, &random)
                #expect(recall >= 0.94, "recall \(recall) after \(step) changes")
            }
        }
        let statistics = index.statistics
        #expect(statistics.repairs > 3 && statistics.usedSlots < 2500, "\(statistics)")
        // A walk as broad as the set finds all, with the scores of an exact search.
        let query = random.vector(dimension)
        let all = try index.search(query, k: capacity, efSearch: capacity)
        if dimension > 1 { #expect(try all == mirror.exact(metric, dimension)(query, capacity)) }
    }

    @Test("an insert is found, an update moves, a delete is gone", arguments: SimilarityMetric.allCases)
    func visibility(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 3)
        let index = try MutableIndex(configuration(metric, dimension: 6, capacity: 400))
        for row in 0..<300 as Range<UInt32> {
            let vector = random.vector(6).map { $0 + 0.1 }
            try index.insert(vector, row: row)
            #expect(index.contains(row))
            // Scores of the row's own vector: the best under cosine and l2.
            let found = try index.search(vector, k: 3, efSearch: 50)
            if metric != .innerProduct { #expect(found.contains { $0.row == row }, "row \(row)") }
            if row % 3 == 0 {
                let other = random.vector(6)
                try index.update(other, row: row)
                let moved = try index.search(other, k: 300, efSearch: 300)
                #expect(moved.count { $0.row == row } == 1)
                #expect(
                    moved.first { $0.row == row }?.score
                        == sortedNeighbours(
                            FactorMatrix(rowCount: 1, columnCount: 6) { _, target in
                                _ = target.update(fromContentsOf: other)
                            }, metric, other, k: 1)[0].score)
            }
            if row % 5 == 0 {
                try index.delete(row: row)
                #expect(!index.contains(row))
                #expect(try !index.search(vector, k: 300, efSearch: 300).contains { $0.row == row })
            }
        }
    }

    @Test("all rows deleted, in any order, and filled again", arguments: SimilarityMetric.allCases, [true, false])
    func emptied(metric: SimilarityMetric, repairs: Bool) throws {
        var random = SeededGenerator(seed: 5)
        let index = try MutableIndex(configuration(metric, dimension: 5, capacity: 200, repairs: repairs))
        for round in 0..<4 {
            var mirror = MirrorRows()
            for row in 0..<200 as Range<UInt32> {
                let vector = random.vector(5)
                try index.insert(vector, row: row)
                mirror.vectors[row] = vector
            }
            let recall = try recallAtTen(index, mirror, &random)
            #expect(recall >= 0.95, "round \(round): recall \(recall)")
            #expect(index.faults.isEmpty, "\(index.faults.prefix(5))")
            for row in (0..<200 as Range<UInt32>).shuffled(using: &random) {
                try index.delete(row: row)
                let found = try index.search(random.vector(5), k: 3, efSearch: 10)
                #expect(found.count == min(3, index.liveCount) && found.allSatisfy { index.contains($0.row) })
            }
            #expect(try index.search(random.vector(5), k: 3, efSearch: 10).isEmpty)
        }
        #expect(index.statistics.usedSlots <= index.configuration.slotCount)
    }

    @Test("the entry's row can be deleted, again and again")
    func entryDeleted() throws {
        var random = SeededGenerator(seed: 6)
        let index = try MutableIndex(configuration(.l2, dimension: 4, capacity: 300, ratio: 0.01))
        var mirror = MirrorRows()
        for row in 0..<300 as Range<UInt32> {
            mirror.vectors[row] = random.vector(4)
            try index.insert(mirror.vectors[row] ?? [], row: row)
        }
        for _ in 0..<250 {
            let entry = try #require(index.storage.entry)
            let row = index.storage.rowOf[Int(index.storage.graph.layers[entry.level].row(entry.node))]
            // A dead entry is waited out: other rows go until the next repair.
            let gone = try index.contains(row) ? row : #require(mirror.vectors.keys.min())
            try index.delete(row: gone)
            mirror.vectors[gone] = nil
            #expect(try index.search(random.vector(4), k: 5, efSearch: 20).count == 5)
        }
        #expect(try recallAtTen(index, mirror, &random) >= 0.95)
        #expect(index.faults.isEmpty)
    }

    @Test("slots are used again, and a repair by hand runs in steps")
    func reuse() throws {
        var random = SeededGenerator(seed: 7)
        let index = try MutableIndex(configuration(.innerProduct, dimension: 8, capacity: 256, repairs: false))
        for row in 0..<256 as Range<UInt32> { try index.insert(random.vector(8), row: row) }
        #expect(index.statistics.usedSlots == 256 && !index.repair(steps: 10))
        for row in 0..<64 as Range<UInt32> { try index.delete(row: row) }
        #expect(index.statistics.deadSlots == 64)
        var calls = 1
        while index.repair(steps: 10) { calls += 1 }
        #expect(calls >= 25)
        // The first change after it collects what nobody reads any more.
        for row in 0..<64 as Range<UInt32> { try index.insert(random.vector(8), row: row) }
        let statistics = index.statistics
        #expect(statistics.usedSlots == 256 && statistics.deadSlots == 0 && statistics.repairs == 1, "\(statistics)")
        #expect(statistics.relinkedNodes > 50)
        #expect(index.faults.isEmpty)
    }

    @Test("a slot that a reader may stand on is not used again")
    func pinned() throws {
        var random = SeededGenerator(seed: 8)
        let index = try MutableIndex(configuration(.l2, dimension: 3, capacity: 100))
        for row in 0..<100 as Range<UInt32> { try index.insert(random.vector(3), row: row) }
        let scratch = SearchScratch()
        let reader = scratch.reader(of: index.epochs)
        #expect(scratch.reader(of: index.epochs) === reader && index.statistics.readers == 1)
        reader.enter()
        for row in 0..<60 as Range<UInt32> { try index.delete(row: row) }
        while index.repair(steps: 1000) {}
        #expect(index.statistics.retiredSlots > 0 && index.statistics.freeSlots == 0)
        reader.leave()
        index.repair(steps: 1)
        #expect(index.statistics.retiredSlots == 0 && index.statistics.freeSlots > 0)
    }

    @Test("without repairs by changes, a full set of slots is repaired rather than refused")
    func slotsRunOut() throws {
        var random = SeededGenerator(seed: 9)
        let index = try MutableIndex(configuration(.cosine, dimension: 4, capacity: 50, repairs: false))
        for row in 0..<50 as Range<UInt32> { try index.insert(random.vector(4), row: row) }
        for _ in 0..<index.configuration.slotCount * 2 {
            try index.update(random.vector(4), row: UInt32.random(in: 0..<50, using: &random))
        }
        #expect(index.statistics.usedSlots == index.configuration.slotCount && index.faults.isEmpty)
        #expect(try index.search(random.vector(4), k: 60, efSearch: 60).count == 50)
    }

    @Test("a full index says so and loses nothing; bad changes change nothing")
    func badChanges() throws {
        var configuration = configuration(.cosine, dimension: 3, capacity: 4)
        configuration.rowCount = 10
        let index = try MutableIndex(configuration)
        func expect(_ error: MutableIndexError, _ body: () throws -> Void) {
            let before = index.statistics
            #expect(throws: error) { try body() }
            #expect(index.statistics == before && !error.description.isEmpty)
        }
        expect(.unknownRow(0)) { try index.delete(row: 0) }
        expect(.unknownRow(0)) { try index.update([1, 2, 3], row: 0) }
        expect(.rowOutOfRange(row: 10, rowCount: 10)) { try index.insert([1, 2, 3], row: 10) }
        expect(.rowOutOfRange(row: .max, rowCount: 10)) { try index.delete(row: .max) }
        expect(.dimensionMismatch(expected: 3, actual: 2)) { try index.insert([1, 2], row: 1) }
        expect(.dimensionMismatch(expected: 3, actual: 0)) { try index.insert([], row: 1) }
        expect(.vectorNotFinite(row: 1)) { try index.insert([1, .nan, 2], row: 1) }
        expect(.vectorNotFinite(row: 1)) { try index.insert([1, .infinity, 2], row: 1) }
        for row in [9, 0, 3, 5] as [UInt32] { try index.insert([Float(row), 1, 0], row: row) }
        expect(.duplicateRow(9)) { try index.insert([1, 2, 3], row: 9) }
        expect(.full(capacity: 4)) { try index.insert([1, 2, 3], row: 1) }
        // Full is no reason not to update, and a deletion makes room.
        try index.update([0, 0, 0], row: 9)
        try index.delete(row: 3)
        try index.insert([1, 1, 1], row: 1)
        let found = try index.search([1, 1, 1], k: 10, efSearch: 0)
        #expect(found.map(\.row) == [1, 0, 5, 9] || found.map(\.row) == [1, 5, 0, 9])
        #expect(found.last?.score == 0, "the zero vector scores 0 under cosine")
        #expect(throws: SearchError.dimensionMismatch(expected: 3, actual: 1)) { try index.search([1], k: 1) }
        #expect(throws: SearchError.queryNotFinite) { try index.search([1, 2, .nan], k: 1) }
        #expect(throws: SearchError.invalidCount(name: "k", value: -1)) { try index.search([1, 2, 3], k: -1) }
        #expect(throws: SearchError.predicateMismatch(expected: 10, actual: 4)) {
            try index.search([1, 2, 3], k: 1, where: RowPredicate(rowCount: 4) { _ in true })
        }
        #expect(try index.search([1, 2, 3], k: 0).isEmpty)
        let empty = try MutableIndex(configuration)
        #expect(try empty.search([1, 2, 3], k: 5).isEmpty && !empty.contains(0))
    }

    @Test("settings that cannot be are refused")
    func badSettings() {
        let good = configuration(.l2, dimension: 3, capacity: 4)
        for change in [
            { $0.dimension = 0 }, { $0.dimension = 4097 }, { $0.capacity = 0 }, { $0.capacity = 1 << 40 },
            { $0.rowCount = 3 }, { $0.rowCount = 1 << 40 }, { $0.tombstoneRatio = 0 }, { $0.tombstoneRatio = .nan },
            { $0.parameters.m = 1 },
        ] as [(inout MutableIndexConfiguration) -> Void] {
            var bad = good
            change(&bad)
            #expect(throws: IndexBuildError.self) { try MutableIndex(bad) }
        }
        let matrix = FactorMatrix(rowCount: 5, columnCount: 3) { _, _ in }
        #expect(throws: IndexBuildError.self) { try MutableIndex(matrix, good) }
        let wide = FactorMatrix(rowCount: 1, columnCount: 4) { _, _ in }
        #expect(throws: IndexBuildError.self) { try MutableIndex(wide, good) }
        let broken = FactorMatrix(rowCount: 2, columnCount: 3) { _, row in row[1] = .nan }
        #expect(throws: IndexBuildError.vectorNotFinite(row: 0)) { try MutableIndex(broken, good) }
    }

    @Test("the largest dimension works", arguments: SimilarityMetric.allCases)
    func wide(metric: SimilarityMetric) throws {
        var random = SeededGenerator(seed: 10)
        let dimension = MutableIndexConfiguration.dimensionMax
        let index = try MutableIndex(configuration(metric, dimension: dimension, capacity: 40))
        var mirror = MirrorRows()
        for row in 0..<40 as Range<UInt32> {
            mirror.vectors[row] = random.vector(dimension)
            try index.insert(mirror.vectors[row] ?? [], row: row)
        }
        let query = random.vector(dimension)
        #expect(try index.search(query, k: 40, efSearch: 40) == mirror.exact(metric, dimension)(query, 40))
    }

    @Test("values that half precision cannot hold are walked by the vectors themselves")
    func magnitudes() throws {
        var random = SeededGenerator(seed: 11)
        let index = try MutableIndex(configuration(.innerProduct, dimension: 8, capacity: 400, linkMetric: .cosine))
        var mirror = MirrorRows()
        for (phase, scale) in [Float(1e-6), 1, 1e6].enumerated() {
            for row in 0..<100 as Range<UInt32> {
                let vector = random.vector(8).map { $0 * scale }
                mirror.vectors[row + UInt32(phase) * 100] = vector
                try index.insert(vector, row: row + UInt32(phase) * 100)
            }
            #expect(index.storage.halvesHold.load(ordering: .relaxed) == (scale == 1))
            #expect(try recallAtTen(index, mirror, &random) >= 0.9, "scale \(scale)")
        }
    }

    @Test("exactly min(k, eligible) eligible rows under any predicate, dead rows beside")
    func predicates() throws {
        var random = SeededGenerator(seed: 12)
        for metric in SimilarityMetric.allCases {
            let index = try MutableIndex(configuration(metric, dimension: 6, capacity: 600, ratio: 0.4))
            var mirror = MirrorRows()
            for row in 0..<600 as Range<UInt32> {
                mirror.vectors[row] = random.vector(6)
                try index.insert(mirror.vectors[row] ?? [], row: row)
            }
            for row in 0..<600 as Range<UInt32> where row % 3 == 0 {
                try index.delete(row: row)
                mirror.vectors[row] = nil
            }
            let exact = try mirror.exact(metric, 6)
            let scratch = SearchScratch()
            for share in [0, 0.01, 0.3, 0.9, 1] {
                let mask = Set(
                    (0..<600 as Range<UInt32>).filter { _ in Double.random(in: 0..<1, using: &random) < share })
                let predicate = RowPredicate(rowCount: 600) { mask.contains(UInt32($0)) }
                let left = mask.filter { mirror.vectors[$0] != nil }
                for (k, ef) in [(1, 1), (10, 40), (600, 600)] {
                    let query = random.vector(6)
                    let found = try index.search(query, k: k, efSearch: ef, where: predicate, scratch: scratch)
                    #expect(found.count == min(k, left.count) && found.allSatisfy { left.contains($0.row) })
                    #expect(Set(found.map(\.row)).count == found.count)
                    let truth = try exact(query, 600).filter { left.contains($0.row) }.prefix(k)
                    if ef > 1 { #expect(recall(found, Array(truth)) >= 0.8) }
                }
            }
        }
    }

    @Test("equal vectors, and rows that are deleted in crowds, leave the others in reach")
    func crowds() throws {
        var random = SeededGenerator(seed: 13)
        let index = try MutableIndex(configuration(.l2, dimension: 4, capacity: 900))
        let same = random.vector(4)
        var mirror = MirrorRows()
        for row in 0..<900 as Range<UInt32> {
            mirror.vectors[row] = row < 450 ? same : random.vector(4)
            try index.insert(mirror.vectors[row] ?? [], row: row)
        }
        for row in 0..<450 as Range<UInt32> {
            try index.delete(row: row)
            mirror.vectors[row] = nil
        }
        #expect(try recallAtTen(index, mirror, &random) >= 0.93)
        #expect(index.faults.isEmpty)
    }

    @Test(
        "a sealed index becomes mutable and sealed again; the copy is written and read as any",
        arguments: SimilarityMetric.allCases)
    func sealing(metric: SimilarityMetric) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 14)
        let source = random.matrix(rows: 600, dimension: 9)
        let parameters = HNSWParameters(m: 8, efConstruction: 40, linkMetric: metric == .innerProduct ? .cosine : nil)
        let built = try HNSWIndex.build(source, metric: metric, parameters)
        let index = try MutableIndex(built, capacity: 700)
        // The copy walks as the original does.
        for _ in 0..<20 {
            let query = random.vector(9)
            #expect(try index.search(query, k: 10, efSearch: 30) == built.search(query, k: 10, efSearch: 30))
        }
        var mirror = MirrorRows()
        for row in 0..<600 { mirror.vectors[UInt32(row)] = Array(source.row(row)) }
        for row in 0..<200 as Range<UInt32> {
            try index.delete(row: row * 2)
            mirror.vectors[row * 2] = nil
            mirror.vectors[row * 2 + 1] = random.vector(9)
            try index.update(mirror.vectors[row * 2 + 1] ?? [], row: row * 2 + 1)
        }
        mirror.vectors[650] = random.vector(9)
        try index.insert(mirror.vectors[650] ?? [], row: 650)
        let sealed = try index.sealed()
        let (matrix, rows) = mirror.matrix(9)
        #expect(sealed.rows == rows && index.faults.isEmpty)
        #expect((0..<matrix.rowCount).allSatisfy { matrix.row($0).elementsEqual(sealed.vectors.row($0)) })
        try sealed.index.write(path: folder.file("graph"))
        let read = try HNSWIndex(file: TensorFile(path: folder.file("graph")), vectors: sealed.vectors)
        #expect(read.links == sealed.index.links && read.parameters == parameters)
        var total = 0.0
        for _ in 0..<30 {
            let query = random.vector(9)
            let found = try read.search(query, k: 10, efSearch: 60)
            #expect(try found == sealed.index.search(query, k: 10, efSearch: 60))
            total += recall(found, try ExactIndex(matrix, metric: metric).search(query, k: 10)) / 30
        }
        #expect(total >= 0.95, "recall \(total)")
        // A sealed copy has layers of its own; it can be gone on with.
        let again = try MutableIndex(read, capacity: 500)
        for row in 0..<UInt32(rows.count) where row % 2 == 0 { try again.update(random.vector(9), row: row) }
        #expect(again.faults.isEmpty)
        #expect(try again.search(random.vector(9), k: 500, efSearch: 500).count == rows.count)
        // Nothing left.
        for row in 0..<UInt32(rows.count) { try again.delete(row: row) }
        let nothing = try again.sealed()
        #expect(nothing.index.rowCount == 0 && nothing.rows.isEmpty)
    }
}
