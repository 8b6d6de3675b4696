import TestSupport
import Testing
import Vocabulary

@testable import EventLog

@Suite("Records of item changes", .ownThreads)
struct ItemChangeRecordTests {
    private static func text(_ random: inout SeededGenerator) -> String {
        String(
            (0..<Int.random(in: 0...9, using: &random)).map { _ in "aé漢 \u{0}z".randomElement(using: &random) ?? "a" })
    }

    static func changes(_ random: inout SeededGenerator) -> [ItemChange] {
        (0..<Int.random(in: 0...6, using: &random)).map { _ in
            let item = text(&random)
            func seconds() -> Int64? {
                Bool.random(using: &random) ? nil : Int64.random(in: .min ... .max, using: &random)
            }
            switch Int.random(in: 0..<5, using: &random) {
            case 0: return .delete(item)
            case 1: return .restore(item)
            case 2:
                return .window(
                    ItemWindow(
                        item: item, isHidden: Bool.random(using: &random), fromSeconds: seconds(),
                        untilSeconds: seconds()))
            default:
                var description = ItemDescription(item: item, title: text(&random))
                description.tags = (0..<Int.random(in: 0...3, using: &random)).map { _ in text(&random) }
                description.attributes = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    ItemAttributeValue(
                        text(&random), texts: (0..<Int.random(in: 0...3, using: &random)).map { _ in text(&random) },
                        number: Bool.random(using: &random) ? nil : Double.random(in: -9...9, using: &random))
                }
                description.vector = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                    Float.random(in: -9...9, using: &random)
                }
                (description.fromSeconds, description.untilSeconds) = (seconds(), seconds())
                return .upsert(description)
            }
        }
    }

    @Test("what is written is read", arguments: 0..<200)
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let changes = Self.changes(&random)
        let bytes = ItemChangeRecord.encode(changes)
        #expect(try ItemChangeRecord.decode(bytes[...]) == changes)
        #expect(throws: LogError.self) { try ItemChangeRecord.decode(bytes[...] + [0]) }
    }

    @Test("damaged bytes are refused or read as something, never more", arguments: 0..<200)
    func damaged(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var bytes = ItemChangeRecord.encode(Self.changes(&random))
        for _ in 0..<50 {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            bytes[place] = UInt8.random(in: 0...255, using: &random)
            _ = try? ItemChangeRecord.decode(bytes[...])
            _ = try? ItemChangeRecord.decode(bytes[..<place])
        }
        #expect(throws: LogError.self) { try ItemChangeRecord.decode([2, 0]) }
        #expect(throws: LogError.self) { try ItemChangeRecord.decode([1, 0xFF, 0xFF, 0xFF, 0x7F]) }
    }
}
