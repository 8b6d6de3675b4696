import EventLog

/// Reads a node's whole log, and says how often each event of a ledger is in it.
enum LogCheck {
    /// - Throws: `LogError` when the log cannot be read.
    static func read(_ folder: String, _ ledger: EventLedger) throws -> (EventLedger.Finding, LogReport) {
        let storage = try FileStorage(path: folder, creates: false)
        var counts = [UInt8](repeating: 0, count: ledger.count)
        var foreign = 0
        let report = try LogReader(storage).read { record in
            guard record.kind == RecordKind.events.rawValue else { return }
            for event in try EventRecord.decode(record.payload) {
                guard let number = EventLedger.number(ofID: event.id), counts.indices.contains(number) else {
                    foreign += 1
                    continue
                }
                counts[number] = counts[number] == .max ? .max : counts[number] + 1
            }
        }
        return (ledger.compare(counts: counts, foreign: foreign), report)
    }
}
