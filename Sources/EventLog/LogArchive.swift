import Vocabulary

/// What was found in the folder of a log.
package struct ArchiveReport: Sendable, Equatable {
    /// What the segments held, as far as they were looked at.
    package var log = LogReport()
    package var records = 0
    package var events = 0
    package var slates = 0
    /// Records of a kind that was not asked for.
    package var otherRecords = 0
    /// Records whose bytes are whole and yet no events: the number of each, the first few.
    package var undecodable: [UInt64] = []
    package var undecodableCount = 0
    /// Records that the log's owner removed, for their age, while they were about to be read.
    package var removedMeanwhile: UInt64 = 0

    /// Whether something is lost that was stored.
    package var isDamaged: Bool { !log.damages.isEmpty || undecodableCount > 0 }

    static let undecodableShown = 10

    package init() {}
}

/// A log's folder as readers see it: nothing is written, and its lock is left to the node, which may go on meanwhile.
package struct LogArchive {
    /// How often reading begins again because segments were removed under it.
    private static let attemptsMax = 100

    private static let remedy = "name the one that events.directory of the node's configuration names"

    private let storage: any LogStorage

    /// - Throws: `LogError` when the folder is not there, cannot be read, or is no log's.
    package init(path: String) throws(LogError) {
        let storage: FileStorage
        do throws(LogError) {
            storage = try FileStorage(path: path, creates: false)
        } catch {
            guard error.code == .notFound else { throw error }
            throw LogError(.notFound, path: path, "there is no such folder; \(Self.remedy)")
        }
        try self.init(storage)
    }

    package init(_ storage: any LogStorage) throws(LogError) {
        self.storage = storage
        let isLog = try storage.names().contains { name in
            SegmentHeader.first(ofName: name) != nil || name == SyncNote.name
        }
        guard isLog else {
            throw LogError(
                .malformed, path: storage.path,
                "is no folder of an event log: there is no segment in it (00000000000000000001.log); \(Self.remedy)")
        }
    }

    package var path: String { storage.path }

    /// Names and sizes of the segments, oldest first, and when each was made (milliseconds since 1970; nil: its header is
    /// damaged).
    package func segments() throws(LogError) -> [(name: String, bytes: Int, madeAtMilliseconds: UInt64?)] {
        var found: [(name: String, bytes: Int, madeAtMilliseconds: UInt64?)] = []
        for segment in try LogReader(storage).segments() {
            do throws(LogError) {
                let head = try storage.read(segment.name, first: SegmentHeader.byteCount)
                let header = try? SegmentHeader(head, path: segment.name)
                found.append((segment.name, try storage.size(segment.name), header?.madeAtMilliseconds))
            } catch {
                // Removed since the listing.
                if error.code != .notFound { throw error }
            }
        }
        return found
    }

    /// Gives every event to `body`, in the order of the log.
    ///
    /// - Returns: What was found; damage is told here and does not end the reading.
    /// - Throws: `LogError` when a file cannot be read or is of a newer version, and whatever `body` throws.
    /// - Complexity: O(bytes); one segment is in memory at a time.
    package func read(_ body: (UserEvent) throws -> Void) throws -> ArchiveReport {
        var events = 0
        var report = try read(.events) { (payload) throws(LogError) in
            let found = try EventRecord.decode(payload)
            events += found.count
            return found
        } body: { found in
            for event in found { try body(event) }
        }
        report.events = events
        return report
    }

    /// The same of a log of slates.
    package func readSlates(_ body: (LoggedSlate) throws -> Void) throws -> ArchiveReport {
        var slates = 0
        var report = try read(.slates) { (payload) throws(LogError) in
            let slate = try SlateRecord.decode(payload)
            slates += 1
            return slate
        } body: {
            try body($0)
        }
        report.slates = slates
        return report
    }

    /// Whether its first records are slates; false of an empty log.
    package func holdsSlates() throws -> Bool {
        struct Found: Error { var kind: UInt8 }
        do {
            _ = try LogReader(storage).read { throw Found(kind: $0.kind) }
        } catch let found as Found {
            return found.kind == RecordKind.slates.rawValue
        }
        return false
    }

    private func read<Content>(
        _ kind: RecordKind, decode: (ArraySlice<UInt8>) throws(LogError) -> Content, body: (Content) throws -> Void
    ) throws -> ArchiveReport {
        var report = ArchiveReport()
        var last: UInt64 = 0
        for _ in 0..<Self.attemptsMax {
            do {
                report.log = try LogReader(storage).read(after: last) { record in
                    last = record.sequence
                    report.records += 1
                    guard record.kind == kind.rawValue else {
                        report.otherRecords += 1
                        return
                    }
                    let content: Content
                    do throws(LogError) {
                        content = try decode(record.payload)
                    } catch {
                        if error.code == .newerFormat { throw error }
                        report.undecodableCount += 1
                        if report.undecodable.count < ArchiveReport.undecodableShown {
                            report.undecodable.append(record.sequence)
                        }
                        return
                    }
                    try body(content)
                }
                return report
            } catch let error as LogError where error.code == .notFound && error.path != storage.path {
                // The oldest segments went while they were about to be read: what is left goes on behind them.
                if let first = try LogReader(storage).segments().first?.first, first > last + 1, last > 0 {
                    report.removedMeanwhile += first - last - 1
                    last = first - 1
                }
            }
        }
        throw LogError(.system, path: storage.path, "segments are removed faster than they can be read; try again")
    }
}
