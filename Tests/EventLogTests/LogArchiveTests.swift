import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import EventLog

@Suite("Logs as readers see them", .ownThreads) struct LogArchiveTests {
    private static func events(_ record: Int, count: Int = 3) -> [UserEvent] {
        (0..<count).map {
            UserEvent(user: "u\(record)", item: "i\($0)", type: "click", timeMilliseconds: UInt64(record))
        }
    }

    /// A log of `records` records of three events, in segments of about ten records.
    private static func log(_ records: Int) throws -> MemoryStorage {
        let storage = MemoryStorage()
        let writer = try EventLogTests.writer(storage, LogConfiguration(segmentBytesMax: 900))
        let outcomes = 1...records
        for record in outcomes {
            let sequence = try writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(events(record)))
            #expect(sequence == UInt64(record))
            if record % 10 == 0 { while writer.statistics.storedThrough < sequence { DispatchClock.rest(200) } }
        }
        writer.close()
        return storage
    }

    private static func read(_ storage: any LogStorage) throws -> (events: [UserEvent], report: ArchiveReport) {
        var events: [UserEvent] = []
        let report = try LogArchive(storage).read { events.append($0) }
        return (events, report)
    }

    @Test("a sound log gives all its events, and says so")
    func sound() throws {
        let storage = try Self.log(60)
        let (events, report) = try Self.read(storage)
        #expect(events == (1...60).flatMap { Self.events($0) })
        #expect(!report.isDamaged && report.records == 60 && report.events == 180 && report.log.last == 60)
        #expect(try LogArchive(storage).segments().count == report.log.segments)
        #expect(try LogArchive(storage).segments().allSatisfy { $0.madeAtMilliseconds == 1_700_000_000_000 })
    }

    @Test("any byte that changes in a stored record is damage, and the other records are read", arguments: 1...4)
    func damaged(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let whole = try Self.log(60)
        let names = whole.segmentNames
        for round in 0..<40 {
            let storage = whole.afterKill()
            let name = names[Int.random(in: 0..<names.count - 1, using: &random)]
            let place = Int.random(in: SegmentHeader.byteCount..<storage.content(name).count, using: &random)
            storage.change(name) { $0[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            let (events, report) = try Self.read(storage)
            #expect(report.isDamaged, "seed \(seed), round \(round): \(name) at \(place)")
            let lost = report.log.damages.flatMap { Array($0.missing) }
            #expect(lost.count == 1 && report.records == 59, "seed \(seed), round \(round): \(report.log.damages)")
            #expect(!events.contains { UInt64($0.timeMilliseconds) == lost.first })
        }
    }

    @Test("a record whose bytes are whole and no events is damage; one of another kind is none")
    func senseless() throws {
        let storage = MemoryStorage()
        let writer = try EventLogTests.writer(storage)
        _ = try writer.append(kind: RecordKind.events.rawValue, [1, 200, 7])
        _ = try writer.append(kind: 77, [9, 9, 9])
        _ = try writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(Self.events(1)))
        writer.close()
        let (events, report) = try Self.read(storage)
        #expect(events == Self.events(1))
        #expect(report.undecodable == [1] && report.undecodableCount == 1 && report.otherRecords == 1)
        #expect(report.isDamaged && report.log.damages.isEmpty)
    }

    @Test("beside a writer that goes on, nothing that was stored counts as lost")
    func beside() throws {
        let folder = try TemporaryFolder(inMemory: true)
        let path = folder.file("log")
        let writer = try EventLogTests.writer(
            FileStorage(path: path, creates: true), LogConfiguration(segmentBytesMax: 3000))
        let reads = Mutex(0)
        let faults = Mutex<[String]>([])
        DispatchClock.concurrently(2) { worker in
            if worker == 0 {
                for record in 1...4000 {
                    _ = try? writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(Self.events(record)))
                    if record % 20 == 0 { DispatchClock.rest(100) }
                }
                return
            }
            for _ in 0..<60 {
                do {
                    let stored = writer.statistics.storedThrough
                    var (last, isInOrder): (UInt64, Bool) = (0, true)
                    let report = try LogArchive(path: path).read { event in
                        isInOrder = isInOrder && event.timeMilliseconds >= last
                        last = event.timeMilliseconds
                    }
                    if report.isDamaged || last < stored || !isInOrder {
                        faults.withLock { $0.append("\(report.log.damages), \(last) of \(stored)") }
                    }
                    reads.withLock { $0 += 1 }
                } catch { faults.withLock { $0.append("\(error)") } }
            }
        }
        writer.close()
        #expect(faults.withLock { $0 } == [])
        #expect(reads.withLock { $0 } == 60)
        #expect(try LogArchive(path: path).read { _ in }.records == 4000)
    }

    @Test("segments that go while they are about to be read are no damage")
    func removed() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("log")
        let writer = try EventLogTests.writer(
            FileStorage(path: path, creates: true), LogConfiguration(segmentBytesMax: 900))
        for record in 1...60 {
            let sequence = try writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(Self.events(record)))
            while writer.statistics.storedThrough < sequence { DispatchClock.rest(200) }
        }
        writer.close()
        let names = try folder.entries("log").filter { $0.hasSuffix(".log") }
        try #require(names.count > 4)
        var seen: [UInt64] = []
        let report = try LogArchive(path: path).read { event in
            // The first segment is in memory; its successors go.
            if seen.isEmpty { for name in names[0..<4] { try folder.remove("log/" + name) } }
            if seen.last != event.timeMilliseconds { seen.append(event.timeMilliseconds) }
        }
        #expect(!report.isDamaged && report.removedMeanwhile > 10)
        #expect(UInt64(seen.count) + report.removedMeanwhile == 60 && seen == seen.sorted())
    }

    @Test("a folder that is no log's is refused, and nothing is written to one that is")
    func folders() throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("other")
        try folder.write([1], to: "other/notes.log")
        for name in ["absent", "other", "other/notes.log"] {
            #expect(throws: LogError.self) { try LogArchive(path: folder.file(name)) }
        }
        let writer = try EventLogTests.writer(FileStorage(path: folder.file("log"), creates: true))
        _ = try writer.append(kind: RecordKind.events.rawValue, EventRecord.encode(Self.events(1)))
        writer.close()
        let before = try folder.entries("log").map { try folder.read("log/" + $0) }
        _ = try LogArchive(path: folder.file("log")).read { _ in }
        #expect(try folder.entries("log").map { try folder.read("log/" + $0) } == before)
    }
}
