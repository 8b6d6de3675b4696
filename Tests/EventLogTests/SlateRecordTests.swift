import TestSupport
import Testing

@testable import EventLog

@Suite struct SlateRecordTests {
    static func slate(_ random: inout SeededGenerator) -> LoggedSlate {
        func text(_ most: Int) -> String {
            String(
                (0..<Int.random(in: 0...most, using: &random)).map { _ in "aé日b c".randomElement(using: &random) ?? "x"
                })
        }
        func words(_ count: Int) -> [UInt32] { (0..<count).map { _ in .random(in: 0...(.max), using: &random) } }
        func floats(_ count: Int) -> [Float] { (0..<count).map { _ in .random(in: -9...9, using: &random) } }
        var slate = LoggedSlate(requestID: text(16), user: text(20))
        let shown = Int.random(in: 0...9, using: &random)
        let others = Int.random(in: 0...9, using: &random)
        (slate.scenario, slate.arm, slate.model, slate.original) = (text(5), text(5), text(9), text(16))
        slate.timeMilliseconds = .random(in: 0...(.max), using: &random)
        slate.generation = .random(in: 0...99, using: &random)
        slate.marks = LoggedSlate.Marks(rawValue: .random(in: 0...15, using: &random))
        slate.fallback = 2
        slate.degraded = .random(in: 0...(Bool.random(using: &random) ? 255 : .max), using: &random)
        for _ in 0..<Int.random(in: 0...3, using: &random) { slate.context[text(5)] = text(5) }
        slate.sources = (0..<Int.random(in: 0...4, using: &random)).map { _ in text(6) }
        slate.shownCount = shown
        slate.items = (0..<shown + others).map { _ in text(12) }
        slate.scores = floats(shown + others)
        slate.itemSources = words(shown + others)
        slate.places = words(shown + others)
        slate.propensities = floats(shown)
        slate.itemMarks = (0..<shown).map { _ in LoggedSlate.ItemMarks(rawValue: .random(in: 0...3, using: &random)) }
        slate.candidateCount = .random(in: 0...2000, using: &random)
        slate.bestCount = .random(in: 0...others, using: &random)
        (slate.drawnAmong, slate.protectedPlaces) = (.random(in: 0...100, using: &random), 2)
        if Bool.random(using: &random) {
            var features = LoggedFeatures(schema: text(64))
            features.items = (0..<UInt32(shown + others)).filter { _ in Bool.random(using: &random) }
            let rows = features.items.count
            features.numbers = (0..<Int.random(in: 0...4, using: &random)).map { _ in floats(rows) }
            features.categories = (0..<Int.random(in: 0...4, using: &random)).map { _ in words(rows) }
            features.lists = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                (0..<rows).map { _ in words(Int.random(in: 0...3, using: &random)) }
            }
            slate.features = features
        }
        return slate
    }

    @Test("a slate comes back as it was", arguments: 0..<200)
    func roundTrip(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let slate = Self.slate(&random)
        let bytes = [1, 2, 3] + SlateRecord.encode(slate)
        #expect(try SlateRecord.decode(bytes[3...]) == slate, "seed \(seed)")
    }

    @Test("mutated and truncated bytes are refused or decoded, never more", arguments: 0..<8)
    func mutations(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<1000 {
            var bytes = SlateRecord.encode(Self.slate(&random))
            for _ in 0..<Int.random(in: 1...4, using: &random) { bytes = random.mutated(bytes) }
            // What can be read can be written again.
            if let slate = try? SlateRecord.decode(bytes[...]) { _ = SlateRecord.encode(slate) }
        }
        #expect(throws: LogError.self) { try SlateRecord.decode([]) }
        #expect(throws: LogError.self) { try SlateRecord.decode([2, 0, 0, 0]) }
    }

    @Test("a log of slates is read as one; its torn end is cut off, and nothing that was whole is lost")
    func archive() throws {
        var random = SeededGenerator(seed: 5)
        let storage = MemoryStorage()
        let slates = (0..<50).map { _ in Self.slate(&random) }
        let writer = try LogWriter(
            storage, LogConfiguration(sync: .never, segmentBytesMax: 64 << 10), clock: { 0 }, wallClock: { 1 },
            outcome: { _ in })
        for slate in slates { _ = try writer.append(kind: RecordKind.slates.rawValue, SlateRecord.encode(slate)) }
        writer.close()
        let torn = storage.afterKill()
        torn.change(try #require(torn.segmentNames.last)) { $0.removeLast(5) }
        let reopened = try LogWriter(torn, clock: { 0 }, wallClock: { 2 }, outcome: { _ in })
        reopened.close()
        let archive = try LogArchive(torn)
        #expect(try archive.holdsSlates())
        var found: [LoggedSlate] = []
        let report = try archive.readSlates { found.append($0) }
        #expect(found == Array(slates.dropLast()))
        #expect(report.slates == 49 && report.otherRecords == 0 && report.undecodableCount == 0)
    }
}
