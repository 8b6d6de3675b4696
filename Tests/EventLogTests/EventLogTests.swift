import Synchronization
import TestSupport
import Testing

@testable import EventLog

/// What became of each record.
final class Outcomes: Sendable {
    private let all = Mutex<[LogOutcome]>([])

    func add(_ outcome: LogOutcome) { all.withLock { $0.append(outcome) } }

    /// Whether the record is stored; nil while nobody knows.
    func isStored(_ sequence: UInt64) -> Bool? {
        all.withLock { all in
            guard let outcome = all.first(where: { $0.through >= sequence }) else { return nil }
            if case .stored = outcome { return true }
            return false
        }
    }

    var list: [LogOutcome] { all.withLock { $0 } }

    /// Blocks until the record has an outcome.
    func wait(for sequence: UInt64) -> Bool {
        for _ in 0..<1_000_000 {
            if let isStored = isStored(sequence) { return isStored }
            DispatchClock.rest(500)
        }
        Issue.record("record \(sequence) has no outcome")
        return false
    }
}

func records(in storage: any LogStorage, after: UInt64 = 0) throws -> (found: [UInt64: [UInt8]], report: LogReport) {
    var found: [UInt64: [UInt8]] = [:]
    let report = try LogReader(storage).read(after: after) { found[$0.sequence] = Array($0.payload) }
    return (found, report)
}

@Suite(.ownThreads) struct EventLogTests {
    static func payload(_ number: Int, _ random: inout SeededGenerator) -> [UInt8] {
        let count = Int.random(in: 0...200, using: &random)
        return Array("record \(number) ".utf8) + (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    static func writer(
        _ storage: any LogStorage, _ configuration: LogConfiguration = LogConfiguration(),
        _ outcomes: Outcomes = Outcomes()
    ) throws -> LogWriter {
        try LogWriter(
            storage, configuration, clock: { DispatchClock.now() }, wallClock: { 1_700_000_000_000 },
            outcome: { outcomes.add($0) })
    }

    @Test(
        "what was appended is read again, in order, over segments and restarts",
        arguments: [SyncPolicy.always, .interval(nanoseconds: 2_000_000), .never])
    func roundTrip(policy: SyncPolicy) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 5)
        var written: [[UInt8]] = []
        for round in 0..<4 {
            let outcomes = Outcomes()
            let storage = try FileStorage(path: folder.file("log"), creates: true)
            let configuration = LogConfiguration(sync: policy, segmentBytesMax: 20_000)
            let writer = try Self.writer(storage, configuration, outcomes)
            #expect(writer.opened.damages.isEmpty && writer.opened.discardedBytes == 0)
            for _ in 0..<300 {
                let payload = Self.payload(written.count, &random)
                let sequence = try writer.append(kind: UInt8(written.count % 7), payload)
                written.append(payload)
                #expect(sequence == UInt64(written.count))
                if written.count % 50 == 0 { #expect(outcomes.wait(for: sequence)) }
            }
            writer.close()
            #expect(outcomes.isStored(UInt64(written.count)) == true)
            #expect(throws: LogError.self) { try writer.append(kind: 0, []) }
            #expect(writer.statistics.storedThrough == UInt64(written.count), "round \(round)")
            let (found, report) = try records(in: storage)
            #expect(found.count == written.count && report.damages.isEmpty && report.discardedBytes == 0)
            #expect(written.indices.allSatisfy { found[UInt64($0 + 1)] == written[$0] })
            #expect(report.first == 1 && report.last == UInt64(written.count) && report.segments > round)
            #expect(try records(in: storage, after: 250).found.count == written.count - 250)
            #expect(report.bytes == writer.statistics.bytes)
        }
    }

    @Test("a log has one writer, and says whose it is")
    func oneWriter() throws {
        let folder = try TemporaryFolder()
        let first = try FileStorage(path: folder.file("log"), creates: true)
        let writer = try Self.writer(first)
        let second = try FileStorage(path: folder.file("log"), creates: true)
        let error = #expect(throws: LogError.self) { try Self.writer(second) }
        #expect(error?.code == .inUse && error?.description.contains(folder.file("log")) == true)
        writer.close()
    }

    @Test("many threads append, each record once, and groups share syncs")
    func manyThreads() throws {
        let storage = MemoryStorage()
        let outcomes = Outcomes()
        let writer = try Self.writer(storage, LogConfiguration(), outcomes)
        let given = Mutex<[UInt64: [UInt8]]>([:])
        DispatchClock.concurrently(8) { thread in
            for number in 0..<500 {
                let payload = Array("\(thread) \(number)".utf8)
                guard let sequence = try? writer.append(kind: 1, payload) else { continue }
                given.withLock { $0[sequence] = payload }
            }
        }
        writer.close()
        let found = try records(in: storage).found
        #expect(found.count == 4000 && found == given.withLock { $0 })
        #expect(outcomes.isStored(4000) == true && storage.syncs.withLock { $0 } < 4000)
    }

    @Test("whatever is lost with the power or a kill, nothing that was stored is", arguments: 0..<12)
    func crashes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let policies: [SyncPolicy] = [.always, .interval(nanoseconds: 300_000), .always]
        var storage = MemoryStorage()
        var stored: [UInt64: [UInt8]] = [:]
        var number = 0
        for round in 0..<12 {
            let outcomes = Outcomes()
            let writer = try Self.writer(
                storage,
                LogConfiguration(
                    sync: policies[Int(seed) % 3], segmentBytesMax: Int.random(in: 200...3000, using: &random)),
                outcomes)
            #expect(writer.opened.damages.isEmpty, "seed \(seed), round \(round): \(writer.opened.damages)")
            var given: [(UInt64, [UInt8])] = []
            for _ in 0..<Int.random(in: 0...80, using: &random) {
                let payload = Self.payload(number, &random)
                number += 1
                given.append((try writer.append(kind: 2, payload), payload))
                if Int.random(in: 0..<10, using: &random) == 0 { DispatchClock.rest(200) }
            }
            // The crash: what the disk had at this moment, and what had been said to be stored before it.
            let known = given.filter { outcomes.isStored($0.0) == true }
            let next =
                seed % 2 == 0
                ? storage.afterKill() : storage.afterPowerLoss(keeping: Double.random(in: 0...1, using: &random))
            for (sequence, payload) in known { stored[sequence] = payload }
            writer.close()
            storage = next
            let (found, report) = try records(in: storage)
            #expect(report.damages.isEmpty)
            for (sequence, payload) in stored {
                #expect(found[sequence] == payload, "seed \(seed), round \(round), record \(sequence)")
            }
        }
    }

    @Test(
        "what is in line is on disk after a sync that was asked for, whatever the policy",
        arguments: [SyncPolicy.always, .interval(nanoseconds: 60_000_000_000), .never])
    func synchronize(policy: SyncPolicy) throws {
        let storage = MemoryStorage()
        let writer = try Self.writer(storage, LogConfiguration(sync: policy))
        for number in 1...20 { _ = try writer.append(kind: 1, [UInt8(number)]) }
        #expect(writer.synchronize())
        #expect(try records(in: storage.afterPowerLoss()).found.count == 20)
        // Nothing new: on disk as it is.
        #expect(writer.synchronize())
        storage.faults.withLock { $0.failsSync = true }
        _ = try writer.append(kind: 1, [21])
        #expect(!writer.synchronize())
        storage.faults.withLock { $0.failsSync = false }
        writer.close()
        #expect(!writer.synchronize())
    }

    @Test("a full disk refuses records in their order, keeps what it has, and takes others when there is room")
    func diskFull() throws {
        let storage = MemoryStorage()
        let outcomes = Outcomes()
        let writer = try Self.writer(storage, LogConfiguration(retryAfter: .milliseconds(1)), outcomes)
        var random = SeededGenerator(seed: 9)
        var stored: [UInt64: [UInt8]] = [:]
        var refusals = 0
        for round in 0..<30 {
            storage.faults.withLock { $0.room = round % 2 == 0 ? nil : Int.random(in: 0...600, using: &random) }
            if round % 3 == 0 { storage.faults.withLock { $0.failsTruncate.toggle() } }
            for number in 0..<20 {
                let payload = Self.payload(number, &random)
                do throws(LogError) {
                    let sequence = try writer.append(kind: 1, payload)
                    if outcomes.wait(for: sequence) { stored[sequence] = payload }
                } catch {
                    #expect(error.code == .diskFull)
                    refusals += 1
                    DispatchClock.rest(2000)
                }
            }
        }
        storage.faults.withLock { $0.room = nil }
        var last: UInt64?
        for _ in 0..<200_000 where last == nil {
            DispatchClock.rest(2000)
            last = try? writer.append(kind: 1, [1, 2, 3])
        }
        let sequence = try #require(last)
        #expect(outcomes.wait(for: sequence))
        stored[sequence] = [1, 2, 3]
        writer.close()
        #expect(refusals > 5 && stored.count > 200)
        #expect(writer.statistics.failures > 0 && !writer.statistics.isRefusing)
        let (found, report) = try records(in: storage)
        #expect(found == stored, "\(found.count) of \(stored.count)")
        #expect(report.damages.isEmpty, "\(report.damages)")
    }

    @Test("a sync that fails refuses its group and is not tried again on that file")
    func failedSync() throws {
        let storage = MemoryStorage()
        let outcomes = Outcomes()
        let writer = try Self.writer(storage, LogConfiguration(retryAfter: .milliseconds(1)), outcomes)
        #expect(outcomes.wait(for: try writer.append(kind: 1, [1])))
        storage.faults.withLock { $0.failsSync = true }
        #expect(!outcomes.wait(for: try writer.append(kind: 1, [2])))
        #expect(storage.segmentNames.count == 1)
        storage.faults.withLock { $0.failsSync = false }
        var sequence: UInt64?
        for _ in 0..<200_000 where sequence == nil {
            DispatchClock.rest(2000)
            sequence = try? writer.append(kind: 1, [3])
        }
        #expect(outcomes.wait(for: try #require(sequence)))
        writer.close()
        #expect(storage.segmentNames.count == 2)
        #expect(try records(in: storage).found.values.sorted { $0[0] < $1[0] } == [[1], [3]])
    }

    @Test("a disk that cannot even make a segment at the start refuses until it can")
    func refusesFromTheStart() throws {
        let storage = MemoryStorage()
        storage.faults.withLock { $0.failsCreate = true }
        let outcomes = Outcomes()
        let writer = try Self.writer(storage, LogConfiguration(retryAfter: .milliseconds(1)), outcomes)
        for _ in 0..<20 {
            if let sequence = try? writer.append(kind: 1, [1]) { #expect(!outcomes.wait(for: sequence)) }
        }
        storage.faults.withLock { $0.failsCreate = false }
        var sequence: UInt64?
        for _ in 0..<200_000 where sequence == nil {
            DispatchClock.rest(2000)
            sequence = try? writer.append(kind: 1, [3])
        }
        #expect(outcomes.wait(for: try #require(sequence)))
        writer.close()
        #expect(try records(in: storage).found.count == 1)
    }

    @Test("a torn tail is cut, whatever its length and content", arguments: 0..<20)
    func tornTail(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let storage = MemoryStorage()
        let writer = try Self.writer(storage)
        var payloads: [[UInt8]] = []
        for number in 0..<20 {
            payloads.append(Self.payload(number, &random))
            _ = try writer.append(kind: 1, payloads[number])
        }
        writer.close()
        let name = storage.segmentNames[0]
        let whole = storage.content(name).count
        var torn: [UInt8] = []
        RecordFrame.append(Self.payload(99, &random), kind: 1, sequence: 21, to: &torn)
        torn.removeLast(Int.random(in: 1...torn.count, using: &random))
        if seed % 3 == 0 { torn += [UInt8](repeating: 0, count: 40) }
        storage.change(name) { $0 += torn }
        let crashed = storage.afterKill()
        let next = try Self.writer(crashed)
        #expect(next.opened.discardedBytes == torn.count && next.opened.damages.isEmpty)
        #expect(crashed.content(name).count == whole)
        #expect(try next.append(kind: 1, [7]) == 21)
        next.close()
        let (found, report) = try records(in: crashed)
        #expect(found.count == 21 && report.damages.isEmpty && report.discardedBytes == 0)
    }

    @Test("a changed byte is found, costs the records it hit, and no others", arguments: 0..<40)
    func bitFlips(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let storage = MemoryStorage()
        let writer = try Self.writer(storage, LogConfiguration(segmentBytesMax: 1500))
        var written: [UInt64: [UInt8]] = [:]
        for number in 0..<60 {
            let payload = Self.payload(number, &random)
            written[try writer.append(kind: 1, payload)] = payload
            if number % 6 == 0 { DispatchClock.rest(300) }
        }
        writer.close()
        let name = try #require(storage.segmentNames.randomElement(using: &random))
        let count = storage.content(name).count
        let place = Int.random(in: 0..<count, using: &random)
        storage.change(name) { $0[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        let crashed = storage.afterKill()
        let (found, report) = try records(in: crashed)
        let lost = written.keys.filter { found[$0] == nil }
        #expect(lost.count <= 1 && found.allSatisfy { written[$0.key] == $0.value })
        #expect(report.damages.count == 1, "seed \(seed), \(name) at \(place): \(report)")
        #expect(report.damages[0].segment == name && report.damages[0].missing.count == lost.count)
        // A node that starts over it goes on, and leaves the damage for people to see.
        let next = try Self.writer(crashed)
        #expect(try next.append(kind: 1, [1]) == 61)
        next.close()
        let again = try records(in: crashed)
        #expect(again.found.count == found.count + 1 && again.report.damages.count == 1, "\(again.report)")
    }

    @Test("whatever is in the files, reading ends and what it gives was written", arguments: 0..<30)
    func mutatedFiles(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let storage = MemoryStorage()
        let writer = try Self.writer(storage, LogConfiguration(segmentBytesMax: 2000))
        var written: [UInt64: [UInt8]] = [:]
        for number in 0..<60 {
            let payload = Self.payload(number, &random)
            written[try writer.append(kind: 1, payload)] = payload
        }
        writer.close()
        for name in storage.segmentNames + [SyncNote.name] {
            for _ in 0..<3 { storage.change(name) { $0 = random.mutated($0) } }
        }
        let crashed = storage.afterKill()
        let found = try records(in: crashed).found
        #expect(found.allSatisfy { written[$0.key] == $0.value })
        if let next = try? Self.writer(crashed) { next.close() }
    }

    @Test("a log of a newer version is refused by name")
    func newerVersion() throws {
        let storage = MemoryStorage()
        let writer = try Self.writer(storage)
        _ = try writer.append(kind: 1, [1])
        writer.close()
        let name = storage.segmentNames[0]
        storage.change(name) { bytes in
            bytes[16] = 2
            let hash = RecordFrame.hash(of: bytes[8..<SegmentHeader.byteCount])
            var encoded: [UInt8] = []
            RecordFrame.append(hash, to: &encoded)
            bytes.replaceSubrange(0..<8, with: encoded)
        }
        let error = #expect(throws: LogError.self) { try Self.writer(storage.afterKill()) }
        #expect(error?.code == .newerFormat && error?.path == "memory/\(name)")
    }

    @Test("the bytes that wait for the disk are bounded, and a record too long is refused")
    func bounds() throws {
        let storage = MemoryStorage()
        let writer = try Self.writer(storage, LogConfiguration(pendingBytesMax: 1000))
        let error = #expect(throws: LogError.self) {
            for _ in 0..<100_000 { _ = try writer.append(kind: 1, [UInt8](repeating: 1, count: 900)) }
        }
        #expect(error?.code == .full)
        let long = [UInt8](repeating: 1, count: RecordFrame.payloadBytesMax + 1)
        #expect(throws: LogError.self) { try writer.append(kind: 1, long) }
        writer.close()
    }

    @Test("segments go when they are old or too many, and never before they may")
    func retention() throws {
        let storage = MemoryStorage()
        let outcomes = Outcomes()
        let writer = try Self.writer(
            storage, LogConfiguration(segmentBytesMax: 400, retentionBytes: 2000), outcomes)
        for _ in 0..<100 { #expect(outcomes.wait(for: try writer.append(kind: 1, [UInt8](repeating: 1, count: 100)))) }
        #expect(storage.segmentNames.count > 20)
        writer.allowRemoval(through: 50)
        #expect(outcomes.wait(for: try writer.append(kind: 1, [])))
        writer.close()
        let (found, report) = try records(in: storage)
        #expect(found.keys.min().map { $0 > 40 && $0 <= 51 } == true, "\(found.keys.min() ?? 0)")
        #expect(report.damages.isEmpty && writer.statistics.segments == storage.segmentNames.count)
        #expect(try records(in: storage, after: 60).report.damages.isEmpty)
        // Somebody who needs what is gone is told.
        #expect(try records(in: storage, after: 10).report.damages.count == 1)
    }
}
