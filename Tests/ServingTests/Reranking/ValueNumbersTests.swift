import TestSupport
import Testing

@testable import Serving

@Suite(.ownThreads) struct ValueNumbersTests {
    @Test func `Values get numbers in the order of their coming, as in a dictionary`() {
        var random = SeededGenerator(seed: 85)
        for most: UInt64 in [3, 100, 1 << 20, .max] {
            var table = ValueNumbers()
            var known: [UInt64: Int] = [:]
            for _ in 0..<3000 {
                // Small numbers, and the bits of whole floats.
                let drawn = UInt64.random(in: 0...most, using: &random)
                let value = Bool.random(using: &random) ? drawn : Double(drawn % 4000).bitPattern
                #expect(table.number(value) == known[value])
                if known[value] == nil { known[value] = known.count }
                #expect(table.insert(value) == known[value] && table.count == known.count)
            }
        }
    }
}
