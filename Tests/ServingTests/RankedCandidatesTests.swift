import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Serving

@Suite("Candidates that a ranker cannot know", .ownThreads)
struct RankedCandidatesTests {
    @Test("keep their places among the ranked ones, and pages show every candidate once", arguments: 0..<200)
    func places(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let count = Int.random(in: 1...60, using: &random)
        let rows = (0..<UInt32(100)).shuffled(using: &random).prefix(count)
        // Rows from 60 on are beside the model. Scores repeat.
        let candidates = rows.map { ScoredRow(row: $0, score: Float(Int.random(in: 0...20, using: &random))) }
            .sorted { ($1.score, $0.row) < ($0.score, $1.row) }
        let rankable = RankableCandidates(candidates, itemCount: 60)
        #expect(rankable.known.map(\.row) == candidates.map(\.row).filter { $0 < 60 })
        let ranked = Int.random(in: 0...rankable.known.count, using: &random)
        let logits = (0..<ranked).map { _ in Float.random(in: -3...3, using: &random) }
        var order = RankedCandidates()
        #expect(order.take(rankable, ranked: ranked) { logits[$0] })
        #expect(Set(order.rows.map(\.row)) == Set(rows) && order.rows.count == count)
        // No two logits are the same, so added items stand where they stood.
        if ranked == rankable.known.count {
            for (place, row) in rankable.added { #expect(order.rows[place].row == row, "seed \(seed)") }
        }
        var shown: [UInt32] = []
        var last: ScoredRow?
        while true {
            let page = order.page(7, after: last, among: nil)
            shown += page.map(\.row)
            guard let end = page.last else { break }
            last = end
        }
        #expect(shown == order.rows.map(\.row))
    }

    @Test("a sketch holds what was put in, and mostly nothing else")
    func sketch() {
        var random = SeededGenerator(seed: 3)
        var (wrong, asked) = (0, 0)
        for _ in 0..<300 {
            let items = (0..<20).map { _ in
                SlateItem(row: UInt32.random(in: 0..<1_000_000, using: &random), score: 0)
            }
            let sketch = ShownSketch(items)
            for item in items { #expect(sketch.mayContain(item.row)) }
            for _ in 0..<100 {
                let row = UInt32.random(in: 1_000_000...(.max), using: &random)
                asked += 1
                if sketch.mayContain(row) { wrong += 1 }
            }
        }
        #expect(wrong * 100 < asked * 12)
    }
}
