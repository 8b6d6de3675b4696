/// The keys that were asked for most of late, out of many that are told one by one: bounded.
package struct ActiveKeys {
    package static let frequencyMax = 15

    private var byFrequency: [[[UInt8]]] = Array(repeating: [], count: frequencyMax + 1)
    private let countMax: Int

    package init(countMax: Int) { self.countMax = max(0, countMax) }

    /// - Parameter frequency: How often the key was asked for, at most `frequencyMax`.
    package mutating func add(_ key: UnsafeRawBufferPointer, frequency: Int) {
        let frequency = min(max(0, frequency), Self.frequencyMax)
        // Those asked for as often or more are as many as there may be already.
        var better = 0
        for bucket in byFrequency[frequency...] { better += bucket.count }
        guard better < countMax else { return }
        byFrequency[frequency].append(Array(key))
    }

    /// Those asked for most first.
    package var keys: [[UInt8]] { Array(byFrequency.reversed().joined().prefix(countMax)) }
}
