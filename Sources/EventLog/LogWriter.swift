import Dispatch
import Synchronization

/// What became of records.
package enum LogOutcome: Sendable, Equatable {
    /// All up to this one that had no outcome yet are stored, as the policy says.
    case stored(through: UInt64)
    /// All up to this one that had no outcome yet are not: they must not count, and may be given again.
    case refused(through: UInt64, LogError)

    package var through: UInt64 {
        switch self {
        case .stored(let through), .refused(let through, _): through
        }
    }
}

/// Appends records to the segments of a folder, one thread for all who write.
///
/// ```
///  any thread:    append -> pending bytes -> (wakes the log's thread)
///  log's thread:  take all that is pending -> write -> sync, as the policy says -> outcome
/// ```
/// What comes while the disk is at work goes with the next write: the busier, the larger the groups.
///
/// A write or sync that fails refuses everything that has no outcome yet, ends the segment behind its last stored
/// record and leaves the disk alone for a while; records that come meanwhile are refused at once. Then a new segment
/// begins. A failed sync is never tried again on the same file: the system may have let go of what it could not write.
package final class LogWriter: Sendable {
    private struct Pending {
        var bytes: [UInt8] = []
        /// The number of the last record that was given one.
        var last: UInt64
        /// Why records are refused at once.
        var refusal: LogError?
        var isClosed = false
        /// Whether the log's thread waits for a sign.
        var isAsleep = false
        var statistics = LogStatistics()
        /// Who waits for a sync.
        var waiters: [Waiter] = []
        /// Segments whose records all stand at or below this number may go.
        var mayRemoveThrough: UInt64 = 0
    }

    /// A thread that waits until what was in line is on disk.
    private final class Waiter: Sendable {
        let sign = DispatchSemaphore(value: 0)
        let isDone = Mutex(false)
    }

    private let configuration: LogConfiguration
    private let pending: Mutex<Pending>
    private let sign = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let path: String
    private let storage: any LogStorage
    /// What was found when the log was opened, of its last segment.
    package let opened: LogReport

    /// Opens the log of a folder for writing: makes this process its only writer, cuts off what a crash left behind the
    /// last record, begins a new segment.
    ///
    /// - Parameters:
    ///   - clock: Uptime in nanoseconds.
    ///   - wallClock: Milliseconds since 1970.
    ///   - outcome: Receives what became of records, on the log's thread, in the order of their numbers. Must be quick.
    /// - Throws: `LogError` when the folder is another process's or cannot be read. A disk that is full is no error
    ///   here: records are refused until it is not.
    package init(
        _ storage: any LogStorage, _ configuration: LogConfiguration = LogConfiguration(),
        clock: @escaping @Sendable () -> UInt64, wallClock: @escaping @Sendable () -> UInt64,
        outcome: @escaping @Sendable (LogOutcome) -> Void
    ) throws {
        try storage.lock()
        let last: UInt64
        do {
            (opened, last) = try LogRecovery(storage).cutTail()
        } catch {
            storage.unlock()
            throw error
        }
        path = storage.path
        self.configuration = configuration
        pending = Mutex(Pending(last: last, statistics: LogStatistics(storedThrough: last)))
        self.storage = storage
        let committer = LogCommitter(
            storage, configuration, stored: last, clock: clock, wallClock: wallClock)
        let queue = DispatchQueue(label: "martlet.log", qos: .userInitiated)
        queue.async { self.work(committer, outcome) }
    }

    /// Puts a record in line.
    ///
    /// - Parameter payload: At most `RecordFrame.payloadBytesMax` bytes.
    /// - Returns: Its number; its outcome comes later.
    /// - Throws: `LogError` when it is refused at once: `full`, `diskFull`, `system`, `closed`, `malformed` (too long).
    /// - Complexity: O(payload); no system call but for waking the log's thread.
    package func append(kind: UInt8, _ payload: [UInt8]) throws(LogError) -> UInt64 {
        guard payload.count <= RecordFrame.payloadBytesMax else {
            throw LogError(.malformed, path: path, "a record of \(payload.count) bytes; split it")
        }
        let result: Result<(UInt64, Bool), LogError> = pending.withLock { pending in
            if pending.isClosed { return .failure(LogError(.closed, path: path, "the log is closed")) }
            if let refusal = pending.refusal { return .failure(refusal) }
            if pending.bytes.count + payload.count > configuration.pendingBytesMax {
                return .failure(
                    LogError(.full, path: path, "\(pending.bytes.count) bytes wait for the disk, the most that may"))
            }
            pending.last += 1
            RecordFrame.append(payload, kind: kind, sequence: pending.last, to: &pending.bytes)
            pending.statistics.records += 1
            let wakes = pending.isAsleep
            pending.isAsleep = false
            return .success((pending.last, wakes))
        }
        let (sequence, wakes) = try result.get()
        if wakes { sign.signal() }
        return sequence
    }

    /// The number of the last record that was put in line.
    package var lastSequence: UInt64 { pending.withLock { $0.last } }

    /// Bytes that wait for the disk, and the room for them.
    package var bufferBytes: Int { pending.withLock { $0.bytes.capacity } }

    /// Says that the records up to this one are not needed any more to make the state again: they may go when their
    /// time is over.
    package func allowRemoval(through sequence: UInt64) {
        pending.withLock { $0.mayRemoveThrough = max($0.mayRemoveThrough, sequence) }
    }

    /// Waits until what is in line now is on disk, whatever the policy. Not on the log's thread.
    ///
    /// - Returns: Whether it is; not so where the disk refuses, and when the log is closed.
    package func synchronize() -> Bool {
        let waiter = Waiter()
        let (isOpen, wakes) = pending.withLock { pending in
            if pending.isClosed { return (false, false) }
            pending.waiters.append(waiter)
            defer { pending.isAsleep = false }
            return (true, pending.isAsleep)
        }
        guard isOpen else { return false }
        if wakes { sign.signal() }
        waiter.sign.wait()
        return waiter.isDone.withLock { $0 }
    }

    package var statistics: LogStatistics { pending.withLock { $0.statistics } }

    /// Stores what is in line, then ends the log's thread. Later records are refused.
    package func close() {
        let first = pending.withLock { pending in
            defer { pending.isClosed = true }
            return !pending.isClosed
        }
        guard first else { return }
        sign.signal()
        ended.wait()
    }

    // MARK: The log's thread

    private func work(_ committer: LogCommitter, _ outcome: (LogOutcome) -> Void) {
        var isOver = false
        var bytes: [UInt8] = []
        bytes.reserveCapacity(64 << 10)
        while !isOver {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 4 << 20)
            var last: UInt64 = 0
            var removable: UInt64 = 0
            var waiters: [Waiter] = []
            let sleeps = pending.withLock { pending in
                swap(&bytes, &pending.bytes)
                last = pending.last
                removable = pending.mayRemoveThrough
                isOver = pending.isClosed
                swap(&waiters, &pending.waiters)
                pending.isAsleep = bytes.isEmpty && waiters.isEmpty && !isOver
                return pending.isAsleep
            }
            if sleeps, let rest = committer.rest {
                if rest > 0 { wait(rest) }
                pending.withLock { $0.isAsleep = false }
            } else if sleeps {
                sign.wait()
                continue
            }
            let result = committer.commit(bytes, through: last, syncs: isOver || !waiters.isEmpty)
            if let result { outcome(result) }
            for waiter in waiters {
                waiter.isDone.withLock { $0 = committer.isSynced }
                waiter.sign.signal()
            }
            committer.removeOld(through: removable)
            publish(committer, refused: result)
        }
        committer.close()
        storage.unlock()
        ended.signal()
    }

    private func wait(_ nanoseconds: UInt64) {
        _ = sign.wait(timeout: .now() + .nanoseconds(Int(clamping: nanoseconds)))
    }

    private func publish(_ committer: LogCommitter, refused: LogOutcome?) {
        pending.withLock { pending in
            let records = pending.statistics.records
            pending.statistics = committer.statistics
            pending.statistics.records = records
            pending.refusal = committer.refusal
        }
    }
}
