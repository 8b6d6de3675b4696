/// The place of a change of an item in the order that all nodes share: of two changes the greater version counts.
///
/// Given by a Redis stream (`milliseconds-sequence`, as its entries' IDs). `.zero` is before all of them.
package struct ItemVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var milliseconds: UInt64
    package var sequence: UInt64

    package static let zero = ItemVersion(0, 0)
    /// Of what one node knew before it shared anything.
    package static let unshared = ItemVersion(0, 1)
    /// Of a window upon it.
    package static let unsharedWindow = ItemVersion(0, 2)
    /// Numbers from here on are no version: Redis' scripts count in doubles, and no clock is as late.
    private static let numberMax: UInt64 = 1 << 48

    package init(_ milliseconds: UInt64, _ sequence: UInt64) {
        self.milliseconds = milliseconds
        self.sequence = sequence
    }

    /// Nil for text that is no version, and for one that no clock of this age gives.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 16 }),
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let milliseconds = UInt64(parts[0]), let sequence = UInt64(parts[1]),
            milliseconds < Self.numberMax, sequence < Self.numberMax
        else { return nil }
        self.init(milliseconds, sequence)
    }

    package static func < (a: ItemVersion, b: ItemVersion) -> Bool {
        (a.milliseconds, a.sequence) < (b.milliseconds, b.sequence)
    }

    package var description: String { "\(milliseconds)-\(sequence)" }
}
