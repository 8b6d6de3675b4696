/// What an event of a type does to its user's state.
package struct EventFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The item counts as seen: slates may leave it out.
    package static let seen = EventFlags(rawValue: 1)
    /// The item is hidden from the user until it is unhidden.
    package static let hides = EventFlags(rawValue: 2)
    /// The item is hidden no longer.
    package static let unhides = EventFlags(rawValue: 4)
    /// The user's next slate differs: what was cached for the user is not served again.
    package static let changesSlate = EventFlags(rawValue: 8)
    /// The item was shown.
    package static let impression = EventFlags(rawValue: 16)
    /// What an impression hopes for: a click, or what counts as one.
    package static let success = EventFlags(rawValue: 32)

    /// As they are said in configurations.
    package static let names: [(flag: EventFlags, name: String)] = [
        (.seen, "seen"), (.hides, "hides"), (.unhides, "unhides"), (.changesSlate, "changes_slate"),
        (.impression, "impression"), (.success, "success"),
    ]
}

/// A kind of event that a node knows.
package struct EventType: Sendable, Hashable {
    /// 1 to 64 of the characters a-z, 0-9, `_`, `-` and `.`.
    package let name: String
    /// How much an event of this type says of the user's taste; negative: a dislike. `-1000...1000`.
    package var weight: Float
    package var flags: EventFlags

    package init(_ name: String, weight: Float, _ flags: EventFlags = []) {
        self.name = name
        self.weight = weight
        self.flags = flags
    }

    package static let nameBytesMax = 64
    package static let weightMax: Float = 1000

    /// - Throws: `invalidConfiguration`.
    package func validate() throws(LiveStateError) {
        func isFine(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard (1...Self.nameBytesMax).contains(name.utf8.count), name.utf8.allSatisfy(isFine) else {
            throw LiveStateError(
                .invalidConfiguration,
                "event type \"\(name)\": a name is 1 to \(Self.nameBytesMax) of a-z, 0-9, '_', '-' and '.'")
        }
        guard weight.isFinite, abs(weight) <= Self.weightMax else {
            throw LiveStateError(
                .invalidConfiguration,
                "event type \"\(name)\": weight is \(weight); allowed: -\(Self.weightMax) to \(Self.weightMax)")
        }
        for (one, other, words) in [
            (EventFlags.hides, EventFlags.unhides, "hides and unhides"),
            (EventFlags.impression, EventFlags.success, "impression and success"),
        ] where flags.contains([one, other]) {
            throw LiveStateError(
                .invalidConfiguration, "event type \"\(name)\": \(words) exclude each other; leave one out")
        }
    }
}

/// A set of event types, by their codes.
package struct EventTypeSet: Sendable, Hashable {
    package var bits: UInt32

    @inlinable package init(bits: UInt32) { self.bits = bits }
    package static let all = EventTypeSet(bits: .max)
    package static let none = EventTypeSet(bits: 0)

    @inlinable package func contains(_ code: UInt8) -> Bool { code < 32 && bits & (1 << UInt32(code)) != 0 }
    package mutating func insert(_ code: UInt8) { bits |= 1 << UInt32(code & 31) }
    package func intersection(_ other: EventTypeSet) -> EventTypeSet { EventTypeSet(bits: bits & other.bits) }
}
