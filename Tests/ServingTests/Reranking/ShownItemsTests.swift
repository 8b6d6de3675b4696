import TestSupport
import Testing
import VectorMath

@testable import Serving

@Suite(.ownThreads) struct ShownItemsTests {
    @Test func `Rows are kept one by one, and as all down to the lowest once they are too many`() {
        var shown = ShownItems()
        let score = { (row: UInt32) -> Float? in row >= 100_000 ? nil : -Float(row / 2) }
        var all: Set<UInt32> = []
        for page in 0..<ShownItems.rowsMax / 20 {
            let rows = (0..<UInt32(20)).map { UInt32(page) * 40 + $0 * 2 }
            shown.add(rows, score: score)
            all.formUnion(rows)
        }
        #expect(shown.end == nil && shown.rows == all.sorted())
        #expect((0..<3000).allSatisfy { shown.contains($0, score: score($0) ?? 0) == all.contains($0) })

        shown.add([100_007, 50_000], score: score)
        #expect(shown.end == ScoredRow(row: 50_000, score: -25_000))
        #expect(shown.rows == [100_007])
        #expect(shown.contains(49_999, score: score(49_999) ?? 0) && shown.contains(50_000, score: -25_000))
        #expect(!shown.contains(50_001, score: -25_000) && !shown.contains(50_002, score: -25_001))
        // A page after that adds to it.
        shown.add([50_002], score: score)
        #expect(shown.end == ScoredRow(row: 50_000, score: -25_000) && shown.rows == [50_002, 100_007])
    }
}
