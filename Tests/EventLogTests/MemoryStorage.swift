import Synchronization

@testable import EventLog

/// A disk in memory that knows what was synced, and that can be told to fail.
final class MemoryStorage: LogStorage {
    struct Content {
        var bytes: [UInt8] = []
        var syncedBytes = 0
        /// Whether the name is on disk.
        var isNamed = false
    }

    /// Which of the next operations fail, and how.
    struct Faults {
        /// Bytes that there is still room for; nil: no end.
        var room: Int?
        var failsSync = false
        var failsCreate = false
        var failsTruncate = false
        var failsRemove = false
        var failsRead = false
    }

    let path = "memory"
    private let files: Mutex<[String: Content]>
    let faults = Mutex(Faults())
    let syncs = Mutex(0)
    private let isLocked = Mutex(false)

    init(_ files: [String: Content] = [:]) { self.files = Mutex(files) }

    /// The disk after the machine lost power: what was not synced is gone, or some of it.
    func afterPowerLoss(keeping share: Double = 0) -> MemoryStorage {
        MemoryStorage(
            files.withLock { files in
                files.compactMapValues { content in
                    guard content.isNamed || share > 0 else { return nil }
                    let kept = content.syncedBytes + Int(share * Double(content.bytes.count - content.syncedBytes))
                    return Content(bytes: Array(content.bytes.prefix(kept)), syncedBytes: kept, isNamed: true)
                }
            })
    }

    /// The disk after the process was killed.
    func afterKill() -> MemoryStorage {
        MemoryStorage(
            files.withLock { $0.mapValues { Content(bytes: $0.bytes, syncedBytes: $0.bytes.count, isNamed: true) } })
    }

    func change(_ name: String, _ body: (inout [UInt8]) -> Void) {
        files.withLock { body(&$0[name, default: Content()].bytes) }
    }

    func content(_ name: String) -> [UInt8] { files.withLock { $0[name]?.bytes ?? [] } }
    var segmentNames: [String] { files.withLock { $0.keys.filter { $0.hasSuffix(".log") }.sorted() } }

    private static func failure(_ code: LogError.Code = .system) -> LogError {
        LogError(code, path: "memory", "told to fail")
    }

    func names() throws(LogError) -> [String] { files.withLock { Array($0.keys) } }

    func read(_ name: String) throws(LogError) -> [UInt8] { try read(name, from: 0, count: .max) }

    func read(_ name: String, from offset: Int, count: Int) throws(LogError) -> [UInt8] {
        if faults.withLock({ $0.failsRead }) { throw Self.failure() }
        guard let bytes = files.withLock({ $0[name]?.bytes }) else { throw Self.failure(.notFound) }
        return Array(bytes.dropFirst(offset).prefix(count))
    }

    func size(_ name: String) throws(LogError) -> Int {
        guard let bytes = files.withLock({ $0[name]?.bytes }) else { throw Self.failure(.notFound) }
        return bytes.count
    }

    func create(_ name: String) throws(LogError) -> any LogFile {
        if faults.withLock({ $0.failsCreate }) { throw Self.failure(.diskFull) }
        let isNew = files.withLock { files in
            defer { if files[name] == nil { files[name] = Content() } }
            return files[name] == nil
        }
        if !isNew { throw Self.failure() }
        return File(self, name)
    }

    func truncate(_ name: String, to bytes: Int) throws(LogError) {
        files.withLock { files in
            let count = files[name]?.bytes.count ?? 0
            files[name]?.bytes.removeLast(max(0, count - bytes))
            files[name]?.syncedBytes = bytes
        }
    }

    func remove(_ name: String) throws(LogError) {
        if faults.withLock({ $0.failsRemove }) { throw Self.failure() }
        files.withLock { _ = $0.removeValue(forKey: name) }
    }

    func rename(_ name: String, to other: String) throws(LogError) {
        files.withLock { files in
            guard var content = files.removeValue(forKey: name) else { return }
            content.isNamed = false
            files[other] = content
        }
    }

    func synchronizeNames() throws(LogError) {
        if faults.withLock({ $0.failsSync }) { throw Self.failure() }
        files.withLock { files in for name in files.keys { files[name]?.isNamed = true } }
    }

    func lock() throws(LogError) {
        let isFree = isLocked.withLock { isLocked in
            defer { isLocked = true }
            return !isLocked
        }
        if !isFree { throw LogError(.inUse, path: path, "locked") }
    }

    func unlock() { isLocked.withLock { $0 = false } }

    func note(_ bytes: [UInt8], as name: String) {
        files.withLock { $0[name] = Content(bytes: bytes, syncedBytes: 0, isNamed: false) }
    }

    private final class File: LogFile {
        private let storage: MemoryStorage
        private let name: String

        init(_ storage: MemoryStorage, _ name: String) {
            self.storage = storage
            self.name = name
        }

        func write(_ bytes: [UInt8]) throws(LogError) {
            let room = storage.faults.withLock { faults in
                let room = min(faults.room ?? bytes.count, bytes.count)
                faults.room? -= room
                return room
            }
            storage.files.withLock { $0[name]?.bytes += bytes.prefix(room) }
            if room < bytes.count { throw MemoryStorage.failure(.diskFull) }
        }

        func synchronize() throws(LogError) {
            if storage.faults.withLock({ $0.failsSync }) { throw MemoryStorage.failure() }
            storage.syncs.withLock { $0 += 1 }
            storage.files.withLock { files in
                let count = files[name]?.bytes.count ?? 0
                files[name]?.syncedBytes = count
            }
        }

        func truncate(to bytes: Int) throws(LogError) {
            if storage.faults.withLock({ $0.failsTruncate }) { throw MemoryStorage.failure() }
            try storage.truncate(name, to: bytes)
        }
    }
}
