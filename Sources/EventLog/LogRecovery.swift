/// Makes a log that a process left, perhaps in the middle of a write, ready for the next.
struct LogRecovery {
    private let storage: any LogStorage
    private let reader: LogReader

    init(_ storage: any LogStorage) {
        self.storage = storage
        reader = LogReader(storage)
    }

    /// Cuts off what lies behind the last record of the last segment.
    ///
    /// Damage before a whole record is left where it is, for people to look at: only the end of a log can be torn by a
    /// crash, so such damage is a disk's, and reading goes on behind it.
    /// - Returns: What was found in the last segment, and the number of the last record that there ever was.
    func cutTail() throws -> (LogReport, last: UInt64) {
        var report = LogReport()
        let note = reader.syncNote()
        let segments = try reader.segments()
        var last = note?.sequence ?? 0
        guard let segment = segments.last else { return (report, last) }
        let path = "\(storage.path)/\(segment.name)"
        let header: SegmentHeader?
        do throws(LogError) {
            header = try SegmentHeader(storage.read(segment.name, first: SegmentHeader.byteCount), path: path)
        } catch {
            if error.code == .newerFormat || error.code == .system { throw error }
            header = nil
        }
        let scan = try reader.scan(segment, header: header, promised: note?.sequence, isLast: true) { record in
            report.records += 1
            if report.first == nil { report.first = record.sequence }
            report.last = record.sequence
        }
        report.segments = 1
        report.bytes = scan.bytes
        report.damages = scan.damages
        report.discardedBytes = scan.bytes - scan.end
        last = max(last, scan.last, header?.previous ?? 0)
        // One without a record would stand in the way of the next, which has its name.
        if scan.end == 0 || report.records == 0 && scan.damages.isEmpty {
            try storage.remove(segment.name)
        } else if scan.end < scan.bytes {
            try storage.truncate(segment.name, to: scan.end)
        }
        return (report, last)
    }
}
