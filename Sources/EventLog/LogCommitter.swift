/// The disk's side of a log: the open segment, what of it is on disk, and what happens when the disk refuses. One thread.
///
/// ```
///  healthy -write or sync fails-> refusing -after a while, a new segment can be made-> healthy
/// ```
final class LogCommitter: @unchecked Sendable {
    // Made by one thread, then used by the log's thread alone.
    private let storage: any LogStorage
    private let configuration: LogConfiguration
    private let clock: @Sendable () -> UInt64
    private let wallClock: @Sendable () -> UInt64

    private var file: (any LogFile)?
    private var segment = SegmentHeader(first: 0, previous: 0, madeAtMilliseconds: 0)
    private var segmentBegan: UInt64 = 0
    /// Bytes of the segment that were written, and those that are stored.
    private var writtenBytes = 0
    private var storedBytes = 0
    /// The last record that was written, and the last that is stored.
    private var written: UInt64
    private var stored: UInt64
    /// The last record that is on disk: of `never`, an earlier one than the last that is stored.
    private var synced: UInt64
    private var lastSync: UInt64 = 0
    private var refusedAt: UInt64 = 0
    /// Finished segments, oldest first.
    private var finished: [(name: String, last: UInt64, bytes: Int, madeAtMilliseconds: UInt64)] = []
    private(set) var refusal: LogError?
    private(set) var statistics = LogStatistics()

    init(
        _ storage: any LogStorage, _ configuration: LogConfiguration, stored: UInt64,
        clock: @escaping @Sendable () -> UInt64, wallClock: @escaping @Sendable () -> UInt64
    ) {
        self.storage = storage
        self.configuration = configuration
        self.clock = clock
        self.wallClock = wallClock
        self.stored = stored
        written = stored
        synced = stored
        statistics.storedThrough = stored
        listFinished()
        do throws(LogError) { try begin(first: stored + 1) } catch { refuse(error) }
    }

    /// Nanoseconds until there is something to do without a new record; nil: never.
    var rest: UInt64? {
        let now = clock()
        if refusal != nil { return until(refusedAt &+ Self.nanoseconds(configuration.retryAfter), now) }
        if case .interval(let interval) = configuration.sync, written > stored {
            return until(lastSync &+ interval, now)
        }
        return nil
    }

    private func until(_ then: UInt64, _ now: UInt64) -> UInt64 { then > now ? then - now : 0 }

    /// Writes records and syncs as the policy says.
    ///
    /// - Parameters:
    ///   - bytes: Whole records; may be empty.
    ///   - through: The number of the last of them.
    ///   - syncs: Sync whatever the policy.
    /// - Returns: What is known now; nil where nothing is new.
    func commit(_ bytes: [UInt8], through: UInt64, syncs: Bool) -> LogOutcome? {
        if let refusal, clock() < refusedAt &+ Self.nanoseconds(configuration.retryAfter) {
            // Records that were put in line before the refusal was known.
            return bytes.isEmpty ? nil : .refused(through: through, refusal)
        }
        do throws(LogError) {
            if refusal != nil { try begin(first: bytes.isEmpty ? through + 1 : firstSequence(bytes)) }
            if !bytes.isEmpty {
                try turnOver(first: firstSequence(bytes))
                guard let file else { throw LogError(.system, path: storage.path, "no segment is open") }
                try file.write(bytes)
                writtenBytes += bytes.count
                statistics.writtenBytes += UInt64(bytes.count)
                statistics.bytes += bytes.count
                written = through
            }
            let before = stored
            try settle(syncs)
            statistics.storedThrough = stored
            return stored > before ? .stored(through: stored) : nil
        } catch {
            let isNews = !bytes.isEmpty || written > stored
            refuse(error)
            return isNews ? .refused(through: max(through, written), error) : nil
        }
    }

    private func firstSequence(_ bytes: [UInt8]) -> UInt64 { RecordFrame.number(at: 16, in: bytes) }

    /// Makes what is written count, as the policy says.
    private func settle(_ syncs: Bool) throws(LogError) {
        guard written > (syncs ? synced : stored) else { return }
        switch configuration.sync {
        case .always: try synchronize()
        case .interval(let interval):
            if syncs || clock() >= lastSync &+ interval { try synchronize() }
        case .never:
            if syncs { try synchronize() }
            stored = written
            storedBytes = writtenBytes
        }
    }

    /// Whether all that was written is on disk.
    var isSynced: Bool { refusal == nil && synced >= written }

    private func synchronize() throws(LogError) {
        guard let file else { return }
        let start = clock()
        lastSync = start
        try file.synchronize()
        let took = clock() &- start
        statistics.syncs += 1
        statistics.syncNanoseconds += took
        statistics.longestSyncNanoseconds = max(statistics.longestSyncNanoseconds, took)
        stored = written
        synced = written
        storedBytes = writtenBytes
        let note = SyncNote(segment: segment.first, bytes: UInt64(storedBytes), sequence: stored)
        storage.note(note.encoded, as: SyncNote.name)
    }

    // MARK: Segments

    private func listFinished() {
        let reader = LogReader(storage)
        guard let segments = try? reader.segments() else { return }
        for (place, segment) in segments.enumerated() {
            let path = "\(storage.path)/\(segment.name)"
            let header = (try? storage.read(segment.name, first: SegmentHeader.byteCount)).flatMap {
                try? SegmentHeader($0, path: path)
            }
            let last = place + 1 < segments.count ? segments[place + 1].first - 1 : stored
            let bytes = (try? storage.size(segment.name)) ?? 0
            finished.append((segment.name, last, bytes, header?.madeAtMilliseconds ?? 0))
            statistics.bytes += bytes
        }
        statistics.segments = finished.count
    }

    /// Begins the next segment when this one is large or old enough.
    private func turnOver(first: UInt64) throws(LogError) {
        let age = clock() &- segmentBegan
        let isFull = writtenBytes >= configuration.segmentBytesMax
        let isOld = writtenBytes > SegmentHeader.byteCount && age >= Self.nanoseconds(configuration.segmentAgeMax)
        guard isFull || isOld else { return }
        if written > stored || configuration.sync == .never { try synchronize() }
        finish(bytes: writtenBytes)
        try begin(first: first)
    }

    private func finish(bytes: Int) {
        guard file != nil else { return }
        finished.append((SegmentHeader.name(first: segment.first), stored, bytes, segment.madeAtMilliseconds))
        file = nil
    }

    private func begin(first: UInt64) throws(LogError) {
        let header = SegmentHeader(first: first, previous: stored, madeAtMilliseconds: wallClock())
        let name = SegmentHeader.name(first: first)
        // What a disk that failed kept of an earlier attempt.
        if let left = try? storage.size(name), left <= SegmentHeader.byteCount { try storage.remove(name) }
        let file = try storage.create(name)
        do throws(LogError) {
            try file.write(header.bytes)
            try file.synchronize()
            try storage.synchronizeNames()
        } catch {
            try? storage.remove(name)
            throw error
        }
        self.file = file
        segment = header
        segmentBegan = clock()
        writtenBytes = SegmentHeader.byteCount
        storedBytes = writtenBytes
        written = stored
        refusal = nil
        statistics.isRefusing = false
        statistics.refusal = nil
        statistics.segments = finished.count + 1
        statistics.bytes += writtenBytes
    }

    private func refuse(_ error: LogError) {
        statistics.failures += 1
        statistics.isRefusing = true
        statistics.refusal = "\(error)"
        refusal = error
        refusedAt = clock()
        written = stored
        guard let file else { return }
        // Should this fail, too, the next segment's header tells readers where the stored records end.
        try? file.truncate(to: storedBytes)
        statistics.bytes -= writtenBytes - storedBytes
        finish(bytes: storedBytes)
    }

    /// Lets the oldest segments go that are too old, or too many, and not needed.
    func removeOld(through removable: UInt64) {
        let now = wallClock()
        let age = UInt64(clamping: configuration.retentionAge.components.seconds) &* 1000
        while let oldest = finished.first, oldest.last <= removable {
            let next = finished.count > 1 ? finished[1].madeAtMilliseconds : segment.madeAtMilliseconds
            guard statistics.bytes > configuration.retentionBytes || now > next &+ age else { return }
            guard (try? storage.remove(oldest.name)) != nil else { return }
            statistics.bytes -= oldest.bytes
            finished.removeFirst()
            statistics.segments = finished.count + (file == nil ? 0 : 1)
        }
    }

    func close() { file = nil }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: attoseconds / 1_000_000_000)
    }
}
