import LiveState
import Yams

extension ConfigurationFile {
    /// What a file says of an event type; nil: there is none of that name.
    struct EventTypeChange: Equatable {
        var name: String
        var type: EventType?
    }

    /// Reads `event_types`: a weight and flags for each name, or `off`.
    mutating func readEventTypes(_ node: Node) {
        guard case .mapping(let mapping) = node else {
            fail(
                node,
                "'event_types' must hold a name and settings for each type, such as view: {weight: 0.5, flags: [seen]}")
            return
        }
        for (keyNode, value) in mapping {
            let name = keyNode.scalar?.string ?? ""
            let key = "event_types.\(name)"
            if value.scalar?.string == "off" {
                eventTypes.append(EventTypeChange(name: name, type: nil))
                continue
            }
            guard case .mapping(let fields) = value else {
                fail(value, "'\(key)' must be like {weight: 1, flags: [seen, changes_slate]}, or off")
                continue
            }
            var type = EventType(name, weight: 0)
            for (fieldNode, field) in fields {
                switch fieldNode.scalar?.string ?? "" {
                case "weight":
                    let range = -EventType.weightMax...EventType.weightMax
                    if let weight = scalar(
                        field, "\(key).weight",
                        { (text) throws(SettingFault) in
                            guard let weight = Float(text), range.contains(weight) else {
                                throw SettingFault(expected: "a number from \(range.lowerBound) to \(range.upperBound)")
                            }
                            return weight
                        })
                    {
                        type.weight = weight
                    }
                case "flags": type.flags = flags(field, "\(key).flags")
                case let part: failUnknown(fieldNode, "\(key).\(part)", known: ["\(key).weight", "\(key).flags"])
                }
            }
            do throws(LiveStateError) {
                try type.validate()
                eventTypes.append(EventTypeChange(name: name, type: type))
            } catch {
                fail(keyNode, "event_types: \(error)")
            }
        }
    }

    private mutating func flags(_ node: Node, _ key: String) -> EventFlags {
        let known = EventFlags.names.map(\.name).joined(separator: ", ")
        guard case .sequence(let sequence) = node else {
            fail(node, "'\(key)' must be a list of \(known)")
            return []
        }
        var flags: EventFlags = []
        for entry in sequence {
            guard let word = entry.scalar?.string,
                let flag = EventFlags.names.first(where: { $0.name == word })?.flag
            else {
                fail(entry, "\(key): '\(entry.scalar?.string ?? "")' is not one of \(known)")
                continue
            }
            flags.insert(flag)
        }
        return flags
    }
}

extension EventsConfiguration {
    /// Puts what a file says in the place of types of the same names.
    mutating func apply(_ changes: [ConfigurationFile.EventTypeChange]) {
        for change in changes {
            let place = types.firstIndex { $0.name == change.name }
            switch (place, change.type) {
            case (let place?, let type?): types[place] = type
            case (let place?, nil): types.remove(at: place)
            case (nil, let type?): types.append(type)
            case (nil, nil): break
            }
        }
    }
}

extension LoadedConfiguration {
    /// What `ConfigurationFile` reads back.
    static func lines(_ types: [EventType]) -> [String] {
        var lines = ["event_types:"]
        for type in types {
            let flags = EventFlags.names.filter { type.flags.contains($0.flag) }.map(\.name).joined(separator: ", ")
            lines.append("  \(scalar(type.name)): {weight: \(type.weight), flags: [\(flags)]}")
        }
        for type in EventTypes.standardTypes where !types.contains(where: { $0.name == type.name }) {
            lines.append("  \(scalar(type.name)): off")
        }
        return lines
    }
}
