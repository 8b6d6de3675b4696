/// The event types of a node, each with the code under which stored state knows it.
///
/// Codes are kept with stored state, so a type keeps its code for ever: where there is stored state, the table is made of
/// the configured types *and* the names that were stored (`codeNames`). A type that is configured no longer is *retired*:
/// its code stays taken, its old events stay in histories, without weight and flags, and no new ones are taken.
package struct EventTypes: Sendable, Equatable {
    package static let countMax = 32

    /// By code. Retired types have weight 0 and no flags.
    package let types: [EventType]
    package let retired: EventTypeSet

    package let seen: EventTypeSet
    package let hides: EventTypeSet
    package let unhides: EventTypeSet
    /// Types that bump the user's epoch: `changesSlate`, `hides` and `unhides`.
    package let changesSlate: EventTypeSet
    package let impressions: EventTypeSet
    package let successes: EventTypeSet

    /// For lookups by name: of each code, the bytes of its name.
    let nameBytes: [[UInt8]]

    package var count: Int { types.count }

    /// The names by code: what must be stored beside state, and given to the next table as `stored`.
    package var codeNames: [String] { types.map(\.name) }

    /// What a node knows when nothing is configured.
    package static let standardTypes = [
        EventType("impression", weight: 0, .impression),
        EventType("view", weight: 0.5, [.seen, .success, .changesSlate]),
        EventType("click", weight: 1, [.seen, .success, .changesSlate]),
        EventType("like", weight: 2, [.seen, .success, .changesSlate]),
        EventType("rating", weight: 1, [.seen, .success, .changesSlate]),
        EventType("purchase", weight: 3, [.seen, .success, .changesSlate]),
        EventType("dislike", weight: -1, [.seen, .changesSlate]),
        EventType("hide", weight: -1, [.hides, .changesSlate]),
    ]

    /// - Parameters:
    ///   - configured: The types of the configuration, in any order.
    ///   - stored: `codeNames` of the table that stored state was written with; empty where there is none.
    /// - Throws: `invalidConfiguration` for a type that is not valid or there twice, no type at all, or more than 32 types
    ///   together with retired ones.
    package init(_ configured: [EventType] = standardTypes, stored: [String] = []) throws(LiveStateError) {
        guard !configured.isEmpty else {
            throw LiveStateError(.invalidConfiguration, "there are no event types; name 1 to \(Self.countMax)")
        }
        var types: [EventType] = []
        var retired = EventTypeSet.none
        for type in configured { try type.validate() }
        for (place, type) in configured.enumerated()
        where configured[..<place].contains(where: { $0.name == type.name }) {
            throw LiveStateError(.invalidConfiguration, "event type \"\(type.name)\" is there twice; name it once")
        }
        for (code, name) in stored.enumerated() {
            guard code < Self.countMax, !stored[..<code].contains(name) else {
                throw LiveStateError(
                    .malformed,
                    "the stored names of event types are damaged: \"\(name)\" is one too many or there twice")
            }
            if let type = configured.first(where: { $0.name == name }) {
                types.append(type)
            } else {
                let type = EventType(name, weight: 0)
                try type.validate()
                types.append(type)
                retired.insert(UInt8(code))
            }
        }
        for type in configured where !stored.contains(type.name) { types.append(type) }
        guard types.count <= Self.countMax else {
            let old = stored.filter { name in !configured.contains { $0.name == name } }
            throw LiveStateError(
                .invalidConfiguration,
                "there are \(types.count) event types, with \(old.count) that stored state still knows"
                    + "\(old.isEmpty ? "" : " (\(old.joined(separator: ", ")))"); at most \(Self.countMax)")
        }
        func set(_ flags: EventFlags) -> EventTypeSet {
            var set = EventTypeSet.none
            for (code, type) in types.enumerated() where !type.flags.isDisjoint(with: flags) { set.insert(UInt8(code)) }
            return set
        }
        self.types = types
        self.retired = retired
        nameBytes = types.map { Array($0.name.utf8) }
        seen = set(.seen)
        hides = set(.hides)
        unhides = set(.unhides)
        changesSlate = set([.changesSlate, .hides, .unhides])
        impressions = set(.impression)
        successes = set(.success)
    }

    package subscript(code: UInt8) -> EventType? { Int(code) < types.count ? types[Int(code)] : nil }

    /// Whether new events of this code are taken.
    package func isKnown(_ code: UInt8) -> Bool { Int(code) < types.count && !retired.contains(code) }

    /// Whether an event of this code says more of its user than that something was shown.
    package func changesTheUser(_ code: UInt8) -> Bool {
        seen.contains(code) || hides.contains(code) || unhides.contains(code) || changesSlate.contains(code)
    }

    /// The code of a configured type; nil for a retired or unknown one.
    package func code(named name: String) -> UInt8? {
        var name = name
        return name.withUTF8 { code(named: UnsafeRawBufferPointer($0)) }
    }

    /// What was added, or retired, beside stored names; for a line in the log. Nil where nothing changed.
    package func change(since stored: [String]) -> String? {
        let added = codeNames.dropFirst(stored.count)
        let gone = types.indices.filter { retired.contains(UInt8($0)) }.map { types[$0].name }
        if added.isEmpty && gone.isEmpty { return nil }
        var parts: [String] = []
        if !added.isEmpty { parts.append("new: \(added.joined(separator: ", "))") }
        if !gone.isEmpty { parts.append("retired: \(gone.joined(separator: ", "))") }
        return parts.joined(separator: "; ")
    }
}
