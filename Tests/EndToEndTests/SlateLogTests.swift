import EventLog
import Foundation
import Logging
import Serving
import Synchronization
import TestSupport
import Testing
import Vocabulary
import Wire

@testable import MartletServer

/// A folder on disk that can be held up, or told to be full.
final class StubbornStorage: LogStorage {
    private let disk: FileStorage
    let isFull = Mutex(false)
    /// Held while the disk is to stand still.
    let gate = NSLock()

    init(_ path: String) throws { disk = try FileStorage(path: path, creates: true) }

    private final class File: LogFile {
        let file: any LogFile
        let storage: StubbornStorage
        init(_ file: any LogFile, _ storage: StubbornStorage) {
            self.file = file
            self.storage = storage
        }
        func write(_ bytes: [UInt8]) throws(LogError) {
            storage.gate.lock()
            defer { storage.gate.unlock() }
            if storage.isFull.withLock({ $0 }) {
                try file.write(Array(bytes.prefix(7)))
                throw LogError(.diskFull, path: storage.path, "told to be full")
            }
            try file.write(bytes)
        }
        func synchronize() throws(LogError) { try file.synchronize() }
        func truncate(to bytes: Int) throws(LogError) { try file.truncate(to: bytes) }
    }

    var path: String { disk.path }
    func names() throws(LogError) -> [String] { try disk.names() }
    func read(_ name: String) throws(LogError) -> [UInt8] { try disk.read(name) }
    func read(_ name: String, from offset: Int, count: Int) throws(LogError) -> [UInt8] {
        try disk.read(name, from: offset, count: count)
    }
    func size(_ name: String) throws(LogError) -> Int { try disk.size(name) }
    func create(_ name: String) throws(LogError) -> any LogFile { File(try disk.create(name), self) }
    func truncate(_ name: String, to bytes: Int) throws(LogError) { try disk.truncate(name, to: bytes) }
    func remove(_ name: String) throws(LogError) { try disk.remove(name) }
    func rename(_ name: String, to other: String) throws(LogError) { try disk.rename(name, to: other) }
    func synchronizeNames() throws(LogError) { try disk.synchronizeNames() }
    func lock() throws(LogError) { try disk.lock() }
    func unlock() { disk.unlock() }
    func note(_ bytes: [UInt8], as name: String) { disk.note(bytes, as: name) }
}

/// The slate log by itself: which slates are taken, and what becomes of them when the disk is slow, full or gone.
@Suite("The slate log", .timeLimit(.minutes(5)))
struct SlateLogTests {
    private static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    private func log(
        _ storage: any LogStorage, shards: Int = 1, change: (inout SlatesConfiguration) -> Void = { _ in }
    ) throws -> SlateLog {
        var configuration = SlatesConfiguration()
        change(&configuration)
        return try SlateLog(
            configuration, storage: storage, shardCount: shards, logger: Self.logger, wallClock: { 1000 })
    }

    private func entry(_ id: String, items: Int = 20) -> SlateLog.Entry {
        let request = Wire.RecommendRequest(user: "u-\(id)", k: items, scenario: "home")
        var reply = Wire.RecommendReply()
        reply.items = (0..<items).map { "i\($0)" }
        reply.scores = reply.items.map { _ in 0.5 }
        reply.generation = 7
        reply.model = "m@1"
        return .repeated(
            RepeatedSlate(
                requestID: id, original: "o", timeMilliseconds: 5, request: bytes(request), answer: bytes(reply)))
    }

    private func bytes(_ message: some ProtoEncodable) -> [UInt8] {
        var buffer = message.encodedBody
        return buffer.readBytes(length: buffer.readableBytes) ?? []
    }

    private func settled(_ log: SlateLog, _ isThere: (UInt64, UInt64, UInt64) -> Bool) -> Bool {
        for _ in 0..<6000 {
            let reading = log.reading
            if isThere(reading.logged, reading.dropped, reading.lost) { return true }
            usleep(10_000)
        }
        return false
    }

    @Test("as many requests are sampled as asked for, by their IDs alone, so that all parts and nodes agree")
    func sampling() throws {
        let folder = try TemporaryFolder()
        let log = try log(FileStorage(path: folder.file("slates"), creates: true), shards: 2)
        defer { log.close() }
        let shares = [0, 0.01, 0.5, 1.0]
        let desks = (0..<2).map {
            SlateDesk(log, shard: $0, shares: shares, seed: UInt64($0), wallClock: { 0 })
        }
        for (scenario, share) in shares.enumerated() {
            var (own, made) = (0, 0)
            for number in 0..<20_000 {
                let id = "request-\(number)"
                let found = desks[0].sample(scenario: scenario, own: id)
                #expect(found == desks[1].sample(scenario: scenario, own: id))
                if found != nil { own += 1 }
                if let id = desks[0].sample(scenario: scenario, own: nil) {
                    made += 1
                    #expect(id.utf8.count == 16)
                }
            }
            // Five standard deviations.
            let slack = 5 * (20_000 * share * (1 - share)).squareRoot()
            #expect(abs(Double(own) - 20_000 * share) <= slack, "\(share): \(own)")
            #expect(abs(Double(made) - 20_000 * share) <= slack, "\(share): \(made)")
        }
        // What is sampled with a small share is sampled with a larger one.
        for number in 0..<5000 {
            let id = "r\(number)"
            if desks[0].sample(scenario: 1, own: id) != nil { #expect(desks[0].sample(scenario: 2, own: id) != nil) }
        }
    }

    @Test("behind a disk that stands still slates are dropped and counted, and offering them never waits")
    func slowDisk() throws {
        let folder = try TemporaryFolder()
        let storage = try StubbornStorage(folder.file("slates"))
        let log = try log(storage) { $0.pendingBytesMax = 64 << 10 }
        storage.gate.lock()
        var taken = 0
        // More than line and log have room for; none of these calls returns late, or the test would never end.
        for number in 0..<20_000 where log.offer(entry("r\(number)"), shard: 0) { taken += 1 }
        #expect(settled(log) { _, dropped, _ in dropped > 10_000 })
        storage.gate.unlock()
        #expect(settled(log) { logged, dropped, lost in logged + dropped + lost == 20_000 })
        let reading = log.reading
        #expect(reading.logged > 0 && reading.lost == 0 && reading.dropped > 10_000)
        log.close()
        let report = try LogArchive(path: folder.file("slates")).readSlates { _ in }
        #expect(UInt64(report.slates) == reading.logged && !report.isDamaged)
    }

    @Test("a full disk loses slates; when there is room again they are logged, and the log is sound")
    func fullDisk() throws {
        let folder = try TemporaryFolder()
        let storage = try StubbornStorage(folder.file("slates"))
        let log = try log(storage)
        #expect(log.offer(entry("before"), shard: 0))
        #expect(settled(log) { logged, _, _ in logged == 1 })
        storage.isFull.withLock { $0 = true }
        for number in 0..<50 { #expect(log.offer(entry("lost\(number)"), shard: 0)) }
        #expect(settled(log) { _, _, lost in lost == 50 })
        #expect(log.reading.isRefusing && log.reading.failures > 0)
        storage.isFull.withLock { $0 = false }
        // The disk is left alone for a while.
        var number = 0
        let isBack = settled(log) { logged, _, _ in
            number += 1
            _ = log.offer(self.entry("after\(number)"), shard: 0)
            return logged >= 2
        }
        #expect(isBack)
        log.close()
        var ids: [String] = []
        let report = try LogArchive(path: folder.file("slates")).readSlates { ids.append($0.requestID) }
        #expect(ids.first == "before" && ids.dropFirst().allSatisfy { $0.hasPrefix("after") } && ids.count >= 2)
        #expect(!report.isDamaged)
    }

    @Test("what was logged before a kill in the middle of a record is there after it")
    func kill() throws {
        let folder = try TemporaryFolder()
        let log = try log(FileStorage(path: folder.file("slates"), creates: true))
        for number in 0..<30 { #expect(log.offer(entry("r\(number)"), shard: 0)) }
        #expect(settled(log) { logged, _, _ in logged == 30 })
        try FileManager.default.copyItem(atPath: folder.file("slates"), toPath: folder.file("killed"))
        log.close()
        let name = try #require(try folder.entries("killed").first { $0.hasSuffix(".log") })
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file("killed/\(name)")))
        try file.truncate(atOffset: try file.seekToEnd() - 9)
        try file.close()
        let again = try self.log(FileStorage(path: folder.file("killed"), creates: false))
        #expect(again.offer(entry("new"), shard: 0))
        #expect(settled(again) { logged, _, _ in logged == 1 })
        again.close()
        var ids: [String] = []
        let report = try LogArchive(path: folder.file("killed")).readSlates { ids.append($0.requestID) }
        #expect(ids == (0..<29).map { "r\($0)" } + ["new"])
        #expect(report.undecodableCount == 0)
    }

    @Test("bytes that are no messages cost one slate")
    func nonsense() throws {
        let folder = try TemporaryFolder()
        let log = try log(FileStorage(path: folder.file("slates"), creates: true))
        _ = log.offer(
            .repeated(
                RepeatedSlate(
                    requestID: "x", original: "", timeMilliseconds: 1, request: [0xFF, 0xFF], answer: [0xFF])), shard: 0
        )
        #expect(log.offer(entry("good"), shard: 0))
        #expect(settled(log) { logged, dropped, _ in logged == 1 && dropped == 1 })
        log.close()
    }
}
