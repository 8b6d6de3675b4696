/// Who goes first, and who is turned away first.
package enum CallPriority: Int, CaseIterable, Comparable, Sendable {
    /// What must be answered as long as anything is.
    case critical = 0
    case normal = 1
    /// What a caller can do without.
    case sheddable = 2
    /// What nobody waits for.
    case background = 3

    package static func < (a: CallPriority, b: CallPriority) -> Bool { a.rawValue < b.rawValue }
}
