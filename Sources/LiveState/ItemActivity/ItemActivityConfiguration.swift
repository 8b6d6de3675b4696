/// How the activity of items is counted, decayed and bounded.
package struct ItemActivityConfiguration: Sendable, Equatable {
    /// After as many seconds an event counts half of what it did, in what is compared with the usual: what happens now.
    package var fastHalfLife: Double = 3600
    /// The same, of the usual.
    package var slowHalfLife: Double = 86_400
    /// Impressions that the rate of a whole scenario is worth in the rate of one of its items.
    package var priorImpressions: Double = 50
    /// Clicks that are always to be expected by chance: an item with few clicks trends by more than this only.
    package var noise: Double = 1
    /// Items with a lower trend are not listed.
    package var trendMin: Double = 1.5
    /// Items of a scenario's list.
    package var trendingMax = 500
    /// Of all counts; those of the least active items go.
    package var bytesMax = 64 << 20
    /// Pairs of a scenario and an item that one delta holds; events of further ones count for nothing until it is merged.
    package var deltaCountMax = 1 << 16

    package init() {}

    /// An event that is older changes nothing: it would count less than a thousandth.
    package var ageMax: Double { 10 * slowHalfLife }

    /// - Throws: `invalidConfiguration`.
    package func validate() throws(LiveStateError) {
        func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) throws(LiveStateError) {
            guard range.contains(value) else {
                throw LiveStateError(
                    .invalidConfiguration,
                    "activity of items: \(name) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
            }
        }
        try check("the fast half-life", fastHalfLife, 1...(365 * 86_400))
        try check("the slow half-life", slowHalfLife, fastHalfLife...(3650 * 86_400))
        try check("the prior", priorImpressions, 0...1e9)
        try check("the noise", noise, 1e-3...1e9)
        try check("the lowest trend", trendMin, 0...1e9)
        try check("items of a list", Double(trendingMax), 1...10_000)
        try check("the bound in bytes", Double(bytesMax), Double(64 << 10)...1e13)
        try check("the bound of a delta", Double(deltaCountMax), 1...Double(1 << 24))
    }
}

/// What an event says of the item's activity.
package enum ItemEventKind: UInt8, Sendable, CaseIterable {
    /// The item was shown.
    case impression
    /// It was clicked, or what counts as a click.
    case success
}

extension EventTypes {
    /// What an event of this code says of its item; nil: nothing.
    package func itemEventKind(_ code: UInt8) -> ItemEventKind? {
        if successes.contains(code) { return .success }
        return impressions.contains(code) ? .impression : nil
    }
}

/// The scenarios that items are counted by, and their numbers: `1...` in the order of the names; 0 is all of them together,
/// with events of scenarios that there are not.
package struct ScenarioNumbers: Sendable, Equatable {
    package let names: [String]
    private let numbers: [String: Int]

    /// Scenarios that a node counts by; events of further ones count over all.
    package static let countMax = 255
    /// Serves requests, and has the events, that name none.
    package static let defaultName = "default"

    package init(_ names: [String]) {
        self.names = Array(names.prefix(Self.countMax))
        var numbers: [String: Int] = [:]
        for (index, name) in self.names.enumerated() where numbers[name] == nil { numbers[name] = index + 1 }
        if numbers[""] == nil { numbers[""] = numbers[Self.defaultName] }
        self.numbers = numbers
    }

    /// Numbers that there are, 0 included.
    package var count: Int { names.count + 1 }
    /// 0 for a scenario that there is not.
    package subscript(_ name: String) -> Int { numbers[name] ?? 0 }
}
