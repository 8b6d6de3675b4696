/// A record of a log.
package struct LogRecord: Sendable {
    package let sequence: UInt64
    /// What the payload is; the log does not look into it.
    package let kind: UInt8
    package let payload: ArraySlice<UInt8>
}

/// Bytes of a segment that are no records any more.
package struct LogDamage: Sendable, Equatable, CustomStringConvertible {
    package let segment: String
    /// Where they begin.
    package let offset: Int
    package let bytes: Int
    /// Records that were stored and are lost.
    package let missing: Range<UInt64>

    package var description: String {
        let lost =
            missing.isEmpty
            ? "no record is lost" : "records \(missing.lowerBound) to \(missing.upperBound - 1) are lost"
        return "\(segment): \(bytes) bytes at \(offset) are damaged, \(lost)"
    }
}

/// What was found in a log.
package struct LogReport: Sendable, Equatable {
    package var segments = 0
    package var records = 0
    /// Of all segments that were looked at.
    package var bytes = 0
    /// Numbers of the first and last record; nil where there is none.
    package var first: UInt64?
    package var last: UInt64?
    package var damages: [LogDamage] = []
    /// Bytes at ends of segments that never became a stored record: what a crash or a failed write leaves. Harmless.
    package var discardedBytes = 0

    package init() {}
}

/// Reads the segments of a folder, oldest first. Finds damage and goes on behind it.
package struct LogReader {
    private let storage: any LogStorage

    package init(_ storage: any LogStorage) { self.storage = storage }

    /// The names of the segments, in the order of their records.
    func segments() throws(LogError) -> [(name: String, first: UInt64)] {
        try storage.names().compactMap { name in SegmentHeader.first(ofName: name).map { (name, $0) } }
            .sorted { $0.first < $1.first }
    }

    /// The log's note of what is on disk; nil where there is none, or a broken one.
    func syncNote() -> SyncNote? {
        guard let bytes = try? storage.read(SyncNote.name) else { return nil }
        return SyncNote(bytes)
    }

    /// Gives the records behind `sequence` to `body`, in their order.
    ///
    /// - Returns: What was found, damage included. Segments that hold nothing behind `sequence` are not looked at.
    /// - Throws: `LogError` when a file cannot be read or is of a newer version, and whatever `body` throws.
    /// - Complexity: O(bytes); one segment is in memory at a time.
    @discardableResult
    package func read(after sequence: UInt64 = 0, _ body: (LogRecord) throws -> Void) throws -> LogReport {
        var report = LogReport()
        let segments = try segments()
        let note = syncNote()
        var headers: [SegmentHeader?] = []
        for segment in segments { headers.append(try header(segment.name)) }
        if let first = segments.first?.first, sequence > 0, first > sequence + 1 {
            report.damages.append(
                LogDamage(segment: segments[0].name, offset: 0, bytes: 0, missing: sequence + 1..<first))
        }
        for (place, segment) in segments.enumerated() {
            let next = place + 1 < segments.count ? segments[place + 1].first : nil
            if let next, next <= sequence + 1 { continue }
            // What lies behind the last stored record was refused; a later segment tells which that was.
            let promised = next == nil ? note?.sequence : headers[place + 1]?.previous
            let isLast = next == nil
            let found = try scan(segment, header: headers[place], promised: promised, isLast: isLast) { record in
                guard record.sequence > sequence else { return }
                report.records += 1
                if report.first == nil { report.first = record.sequence }
                report.last = record.sequence
                try body(record)
            }
            report.segments += 1
            report.bytes += found.bytes
            report.damages += found.damages
            report.discardedBytes += found.bytes - found.end
        }
        return report
    }

    /// Nil where the header is damaged.
    private func header(_ name: String) throws(LogError) -> SegmentHeader? {
        let bytes = try storage.read(name, first: SegmentHeader.byteCount)
        do throws(LogError) {
            return try SegmentHeader(bytes, path: "\(storage.path)/\(name)")
        } catch {
            if error.code == .newerFormat { throw error }
            return nil
        }
    }

    struct Scan {
        var bytes = 0
        /// Where the last record ends.
        var end = 0
        var last: UInt64
        var damages: [LogDamage] = []
    }

    /// Gives the records of a segment to `body`.
    ///
    /// - Parameters:
    ///   - promised: The last record of it that was stored; nil: not known.
    ///   - isLast: Records behind the promised one count, too: they may have been stored since the note.
    func scan(
        _ segment: (name: String, first: UInt64), header: SegmentHeader?, promised: UInt64?, isLast: Bool,
        _ body: (LogRecord) throws -> Void
    ) throws -> Scan {
        let bytes = try storage.read(segment.name)
        var scan = Scan(bytes: bytes.count, last: segment.first - 1)
        if header == nil {
            // A segment that was being made when the process ended holds nothing.
            if RecordFrame.firstRecord(from: 0, in: bytes) == nil, (promised ?? 0) < segment.first { return scan }
            let count = min(bytes.count, SegmentHeader.byteCount)
            scan.damages.append(
                LogDamage(
                    segment: segment.name, offset: 0, bytes: count, missing: segment.first..<segment.first))
        }
        var place = min(bytes.count, SegmentHeader.byteCount)
        scan.end = place
        while place < bytes.count {
            var next = RecordFrame.record(at: place, in: bytes)
            var start = place
            if next.map({ $0.sequence <= scan.last }) ?? true {
                // Damage, or the end.
                repeat {
                    guard let found = RecordFrame.firstRecord(from: start + 1, in: bytes) else {
                        next = nil
                        break
                    }
                    (start, next) = (found.place, found.record)
                } while next.map { $0.sequence <= scan.last } ?? false
            }
            guard let record = next else { break }
            if !isLast, let promised, record.sequence > promised { break }
            if start > place || record.sequence > scan.last + 1 {
                scan.damages.append(
                    LogDamage(
                        segment: segment.name, offset: place, bytes: start - place,
                        missing: scan.last + 1..<record.sequence))
            }
            try body(LogRecord(sequence: record.sequence, kind: record.kind, payload: bytes[record.payload]))
            scan.last = record.sequence
            place = record.end
            scan.end = place
        }
        if let promised, promised > scan.last, promised >= segment.first {
            scan.damages.append(
                LogDamage(
                    segment: segment.name, offset: scan.end, bytes: bytes.count - scan.end,
                    missing: scan.last + 1..<promised + 1))
            scan.end = bytes.count
        }
        return scan
    }
}
