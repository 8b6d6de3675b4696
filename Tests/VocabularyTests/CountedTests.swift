import Testing

@testable import Vocabulary

@Suite("Counted words")
struct CountedTests {
    @Test("one takes the singular, all others the plural")
    func plurals() {
        #expect(0.counted("bad line") == "0 bad lines")
        #expect(1.counted("bad line") == "1 bad line")
        #expect(UInt64(2).counted("bad line") == "2 bad lines")
        #expect(1.counted("entry", many: "entries") == "1 entry")
        #expect(3.counted("entry", many: "entries") == "3 entries")
    }
}
