import Artifacts
import Vocabulary

/// Why a line of a file is no event.
package struct EventLineFault: Error, Equatable, Sendable {
    /// The same for all lines with this fault, to count them by.
    package let reason: String
    /// What stood there, and what should.
    package let message: String

    package init(_ reason: String, _ message: String) {
        self.reason = reason
        self.message = message
    }
}

/// The texts of one line, before they are an event.
struct EventParts {
    /// Bytes of an event's ID, and of the request ID that it names.
    static let idBytesMax = 64

    private var texts: [EventField: String] = [:]

    subscript(field: EventField) -> String? {
        get { texts[field] }
        set { texts[field] = newValue.flatMap { $0.isEmpty ? nil : $0 } }
    }

    /// - Parameter defaultType: The type of events that name none.
    func event(defaultType: String?) throws(EventLineFault) -> UserEvent {
        guard let type = self[.type] ?? defaultType else {
            throw EventLineFault("no type", "the event names no type; --type TYPE gives those their type")
        }
        var event = UserEvent(
            user: try required(.user), item: try required(.item), type: try limited(type, .type, Identity.bytesMax))
        event.scenario = try limited(self[.scenario] ?? "", .scenario, Identity.bytesMax)
        event.requestID = try limited(self[.requestID] ?? "", .requestID, Self.idBytesMax)
        event.id = try limited(self[.id] ?? "", .id, Self.idBytesMax)
        if let text = self[.value] {
            guard let value = Float(text), value.isFinite else {
                throw EventLineFault("no number as value", "the value '\(text.prefix(40))' is no finite number")
            }
            event.value = value
        }
        if let text = self[.time], text != "0" {
            guard let time = EventTime.parse(text) else {
                throw EventLineFault(
                    "no time", "the time '\(text.prefix(40))' is none that could be meant: \(EventTime.expectation)")
            }
            event.timeMilliseconds = time
        }
        return event
    }

    private func required(_ field: EventField) throws(EventLineFault) -> String {
        guard let text = self[field] else {
            throw EventLineFault("no \(field.rawValue)", "the event names no \(field.rawValue)")
        }
        return try limited(text, field, Identity.bytesMax)
    }

    private func limited(_ text: String, _ field: EventField, _ most: Int) throws(EventLineFault) -> String {
        guard text.utf8.count <= most else {
            throw EventLineFault(
                "\(field.rawValue) too long",
                "\(field.rawValue) has \(text.utf8.count) bytes; at most \(most) are allowed")
        }
        return text
    }
}

extension EventParts {
    /// The members of a JSON object.
    init(json bytes: [UInt8], _ keys: inout EventKeys) throws(EventLineFault) {
        let value: JSONValue
        do throws(JSONText.Fault) {
            value = try JSONText.parse(bytes)
        } catch {
            throw EventLineFault("no JSON", "is no JSON object: \(error)")
        }
        guard let members = value.objectValue else {
            throw EventLineFault("no JSON", "is JSON, but no object with user, item and type")
        }
        for (name, field) in keys.fields(of: members.keys) {
            guard let member = members[name] else { continue }
            self[field] = try Self.text(member, field)
        }
    }

    private static func text(_ value: JSONValue, _ field: EventField) throws(EventLineFault) -> String? {
        switch value {
        case .null: return nil
        case .string(let text): return text
        case .int(let number): return String(number)
        case .double(let number) where field == .value || field == .time: return "\(number)"
        case .double(let number):
            throw EventLineFault(
                "\(field.rawValue) is no text",
                "\(field.rawValue) is the number \(number); write IDs as texts or whole numbers below 2^63")
        case .bool, .array, .object:
            throw EventLineFault(
                "\(field.rawValue) is no text", "\(field.rawValue) is neither a text nor a number")
        }
    }
}

/// What the keys of JSON objects mean, remembered: most objects of a file have the same.
struct EventKeys {
    /// Different sets of keys that are remembered.
    private static let setsMax = 64
    /// How many keys that mean nothing are kept, to be shown.
    static let passedOverMax = 16

    private var known: [Set<String>: [(name: String, field: EventField)]] = [:]
    /// Columns or keys that mean nothing, the first few.
    private(set) var passedOver: [String] = []

    /// The keys that mean something.
    mutating func fields(of keys: Dictionary<String, JSONValue>.Keys) -> [(name: String, field: EventField)] {
        let set = Set(keys)
        if let fields = known[set] { return fields }
        let names = set.sorted()
        let fields = EventField.places(in: names).map { (name: names[$0.value], field: $0.key) }
        for name in names where EventField.named(name) == nil { passOver(name) }
        if known.count < Self.setsMax { known[set] = fields }
        return fields
    }

    mutating func passOver(_ name: String) {
        let name = String(name.prefix(80))
        if passedOver.count < Self.passedOverMax, !passedOver.contains(name) { passedOver.append(name) }
    }
}
