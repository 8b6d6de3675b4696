import TestSupport
import Testing

@testable import Serving

@Suite(.ownThreads) struct PageCursorTests {
    private func cursor(_ random: inout SeededGenerator) -> PageCursor {
        var cursor = PageCursor(
            pool: Bool.random(using: &random) ? .candidates : .popular, generation: random.next(),
            parameters: random.next(), score: Float.random(in: -9...9, using: &random),
            row: UInt32.random(in: 0...UInt32.max, using: &random))
        if Bool.random(using: &random) { cursor.moment = Int64(truncatingIfNeeded: random.next() >> 20) }
        if Bool.random(using: &random) {
            let most = UInt32.max >> UInt32.random(in: 0...31, using: &random)
            let count = Int.random(in: 0...ShownItems.rowsMax, using: &random)
            cursor.shownRows = Set((0..<count).map { _ in UInt32.random(in: 0...most, using: &random) }).sorted()
        }
        return cursor
    }

    @Test func `Cursors read back as they were written, within their bytes, and broken ones are none`() {
        var random = SeededGenerator(seed: 81)
        for _ in 0..<300 {
            let cursor = cursor(&random)
            let bytes = cursor.bytes
            #expect(PageCursor(bytes) == cursor)
            #expect(bytes.count <= 4096)
            #expect(PageCursor(Array(bytes.dropLast(bytes.count - 25))) == nil)
            for _ in 0..<20 {
                // Whatever is read is a cursor that can be written.
                if let other = PageCursor(random.mutated(bytes)) {
                    #expect(other.bytes.count >= 26 && (other.shownRows?.count ?? 0) <= ShownItems.rowsMax)
                    #expect(zip(other.shownRows ?? [], (other.shownRows ?? []).dropFirst()).allSatisfy { $0 < $1 })
                }
            }
        }
        // The largest there is: far rows first, all distances long.
        var long = PageCursor(pool: .candidates, generation: 1, parameters: 2, score: 3, row: 4)
        long.shownRows = (0..<UInt32(ShownItems.rowsMax)).map { ($0 + 1) * (UInt32.max / UInt32(ShownItems.rowsMax)) }
        #expect(long.bytes.count <= 4096 && PageCursor(long.bytes) == long)
    }
}
