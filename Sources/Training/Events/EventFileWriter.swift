import Artifacts
import Vocabulary

/// Writes events as `EventFileReader` reads them: what is written and read again is the same, IDs and all.
package struct EventFileWriter {
    /// The columns, in this order; times are milliseconds since 1970.
    static let header = "user,item,type,value,time,scenario,request_id,id\n"

    private let format: EventFileFormat

    package init(_ format: EventFileFormat) { self.format = format }

    /// What stands before the first event.
    package var beginning: String {
        switch format {
        case .jsonl: ""
        case .csv: Self.header
        case .tsv: Self.header.replacing(",", with: "\t")
        }
    }

    /// An event with its line end.
    package func line(_ event: UserEvent) -> String {
        switch format {
        case .jsonl: return json(event)
        case .csv, .tsv:
            let fields = [
                event.user, event.item, event.type, event.value.map { "\($0)" } ?? "",
                event.timeMilliseconds == 0 ? "" : String(event.timeMilliseconds), event.scenario, event.requestID,
                event.id,
            ]
            return fields.map(csvField).joined(separator: format == .csv ? "," : "\t") + "\n"
        }
    }

    private func json(_ event: UserEvent) -> String {
        var text = "{\"user\":"
        JSONText.appendQuoted(event.user, to: &text)
        text += ",\"item\":"
        JSONText.appendQuoted(event.item, to: &text)
        text += ",\"type\":"
        JSONText.appendQuoted(event.type, to: &text)
        if let value = event.value { text += ",\"value\":\(value)" }
        if event.timeMilliseconds > 0 { text += ",\"time\":\(event.timeMilliseconds)" }
        for (name, field) in [("scenario", event.scenario), ("request_id", event.requestID), ("id", event.id)]
        where !field.isEmpty {
            text += ",\"\(name)\":"
            JSONText.appendQuoted(field, to: &text)
        }
        return text + "}\n"
    }
}
