import TestSupport
import Testing

@testable import LiveState

@Suite(.ownThreads) struct EventTypesTests {
    @Test("The standard types are valid, and known by name and code")
    func standard() throws {
        let types = try EventTypes()
        #expect(types.codeNames == ["impression", "view", "click", "like", "rating", "purchase", "dislike", "hide"])
        for (code, name) in types.codeNames.enumerated() {
            #expect(types.code(named: name) == UInt8(code))
            #expect(types[UInt8(code)]?.name == name)
            #expect(types.isKnown(UInt8(code)))
        }
        #expect(types.code(named: "clic") == nil)
        #expect(types.code(named: "") == nil)
        #expect(types[8] == nil)
        #expect(!types.isKnown(8))
        #expect(types.impressions.bits == 1)
        #expect(types.hides.contains(7) && !types.hides.contains(6))
        #expect(!types.seen.contains(0) && types.seen.contains(5))
        #expect(types.changesSlate.contains(7) && !types.changesSlate.contains(0))
    }

    @Test("Types keep their codes when the configuration changes, and gone ones are retired")
    func stored() throws {
        let old = try EventTypes([
            EventType("a", weight: 1), EventType("b", weight: 2, .seen), EventType("c", weight: 3),
        ])
        let new = try EventTypes(
            [EventType("d", weight: 4), EventType("c", weight: 5, .hides), EventType("a", weight: 6)],
            stored: old.codeNames)
        #expect(new.codeNames == ["a", "b", "c", "d"])
        #expect(new.types.map(\.weight) == [6, 0, 5, 4])
        #expect(new.code(named: "b") == nil)
        #expect(!new.isKnown(1) && new.isKnown(3))
        #expect(new.seen.bits == 0 && new.hides.bits == 4)
        #expect(new.change(since: old.codeNames) == "new: d; retired: b")
        #expect(old.change(since: old.codeNames) == nil)
        #expect(old.digest(3) == new.digest(3))
        #expect(old.digest(3) != new.digest(4))
    }

    @Test("Types that cannot be are refused with their names")
    func refused() throws {
        func fault(_ types: [EventType], stored: [String] = []) -> String? {
            do throws(LiveStateError) { _ = try EventTypes(types, stored: stored) } catch { return error.fault }
            return nil
        }
        #expect(fault([])?.contains("no event types") == true)
        for name in ["", "Big", "a b", "é", String(repeating: "x", count: 65)] {
            #expect(fault([EventType(name, weight: 0)])?.contains("\"\(name)\"") == true)
        }
        for weight in [Float.nan, .infinity, 1001] {
            #expect(fault([EventType("a", weight: weight)])?.contains("weight") == true)
        }
        #expect(fault([EventType("a", weight: 0, [.hides, .unhides])])?.contains("hides and unhides") == true)
        #expect(
            fault([EventType("a", weight: 0, [.impression, .success])])?.contains("impression and success") == true)
        #expect(fault([EventType("a", weight: 0), EventType("a", weight: 1)])?.contains("twice") == true)
        let many = (0..<33).map { EventType("t\($0)", weight: 0) }
        #expect(fault(many)?.contains("33 event types") == true)
        #expect(fault(Array(many.prefix(32))) == nil)
        #expect(fault(Array(many.prefix(32)), stored: ["old"])?.contains("(old)") == true)
        #expect(fault(many.suffix(1), stored: ["x", "x"])?.contains("damaged") == true)
        #expect(fault(many.suffix(1), stored: [String(repeating: "x", count: 300)]) != nil)
    }
}
