/// How a file of events is written.
package enum EventFileFormat: String, CaseIterable, Sendable {
    /// One JSON object a line.
    case jsonl
    /// Comma (or semicolon) separated, RFC 4180 quotes, with a header.
    case csv
    /// Tab separated, with a header.
    case tsv

    /// The formats as a message lists them.
    package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension EventFileFormat {
    /// Tells the format from the first line that is not blank; the name of the file decides only where a line of JSON would
    /// do for a header.
    static func detect(first line: String, path: String) throws(DatasetError) -> EventFileFormat {
        let text = line.drop { $0 == " " || $0 == "\t" }
        if text.hasPrefix("{") { return .jsonl }
        if text.hasPrefix("[") {
            throw DatasetError(
                .unknownFormat,
                "\(path): begins with '[', as a JSON array does; one object a line is read (`jq -c '.[]' FILE` makes that)"
            )
        }
        if line.contains("\0") {
            throw DatasetError(.unknownFormat, "\(path): is a binary file, not text with one event a line")
        }
        if text.contains("\t") { return .tsv }
        if text.contains(",") || text.contains(";") { return .csv }
        let shown = line.utf8.withContiguousStorageIfAvailable { LineFault.shortened($0) } ?? String(line.prefix(40))
        throw DatasetError(
            .unknownFormat,
            "\(path): the first line is neither a JSON object nor a header with commas or tabs: '\(shown)'; say which it is "
                + "with --format (\(names))")
    }
}

/// What may be said of an event.
enum EventField: String, CaseIterable {
    case user, item, type, value, time, scenario
    case requestID = "request_id"
    case id
}

extension EventField {
    private static let typeNames: Set<String> = [
        "type", "event", "eventtype", "eventname", "action", "behavior", "behaviour", "verb", "kind",
    ]
    private static let moreTimeNames: Set<String> = ["timems", "timemilliseconds", "timestampms", "occurredat"]
    private static let scenarioNames: Set<String> = ["scenario", "placement", "surface", "page"]
    private static let requestNames: Set<String> = ["requestid", "slateid", "impressionid"]
    private static let idNames: Set<String> = ["id", "eventid", "uuid", "messageid"]

    /// The field that a column or key of this name holds; nil: none. `userId`, `user_id` and `User-ID` are one name.
    static func named(_ name: String) -> EventField? {
        let name = ColumnPlan.normalised(name)
        if idNames.contains(name) { return .id }
        if typeNames.contains(name) { return .type }
        if scenarioNames.contains(name) { return .scenario }
        if requestNames.contains(name) { return .requestID }
        if ColumnPlan.userNames.contains(name) { return .user }
        if ColumnPlan.itemNames.contains(name) { return .item }
        if ColumnPlan.valueNames.contains(name) { return .value }
        if ColumnPlan.timeNames.contains(name) || moreTimeNames.contains(name) { return .time }
        return nil
    }

    /// Which of `names` holds each field: the one with the field's own name, else `user_id` for a user, else the first that
    /// means it.
    static func places(in names: [String]) -> [EventField: Int] {
        var places: [EventField: (place: Int, rank: Int)] = [:]
        for (place, name) in names.enumerated() {
            guard let field = named(name) else { continue }
            let plain = ColumnPlan.normalised(name)
            let rank = name == field.rawValue ? 0 : plain == field.rawValue || plain == field.rawValue + "id" ? 1 : 2
            if rank < places[field]?.rank ?? .max { places[field] = (place, rank) }
        }
        return places.mapValues(\.place)
    }

    /// As a message lists them.
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
