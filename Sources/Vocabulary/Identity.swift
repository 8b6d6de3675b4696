/// Why a text cannot be an ID.
public enum IdentityError: Error, Equatable, CustomStringConvertible {
    case empty
    case tooLong(byteCount: Int)
    case notUTF8

    public var description: String {
        switch self {
        case .empty: "the ID is empty; an ID has 1 to \(Identity.bytesMax) bytes of UTF-8"
        case .tooLong(let count): "the ID has \(count) bytes; an ID has 1 to \(Identity.bytesMax) bytes of UTF-8"
        case .notUTF8: "the ID is not valid UTF-8"
        }
    }
}

/// The rule that user, item, tenant and scenario IDs share: UTF-8, 1 to 255 bytes.
public enum Identity {
    public static let bytesMax = 255

    /// Throws unless `text` may be an ID.
    public static func validate(_ text: String) throws(IdentityError) {
        let count = text.utf8.count
        if count == 0 { throw .empty }
        if count > bytesMax { throw .tooLong(byteCount: count) }
    }
}

/// A user as the outside names it.
public struct UserID: Hashable, Sendable, CustomStringConvertible {
    public let value: String

    public init(_ value: String) throws(IdentityError) {
        try Identity.validate(value)
        self.value = value
    }

    public var slot: Slot { Slot(user: value) }
    public var description: String { value }
}

/// An item as the outside names it.
public struct ItemID: Hashable, Sendable, CustomStringConvertible {
    public let value: String

    public init(_ value: String) throws(IdentityError) {
        try Identity.validate(value)
        self.value = value
    }

    public var description: String { value }
}

/// A user's place in one generation: the row of its factors and history.
public struct UserRow: Hashable, Comparable, Sendable {
    public let value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
    @inlinable public static func < (a: UserRow, b: UserRow) -> Bool { a.value < b.value }
}

/// An item's place in one generation: the row of its factors and attributes.
public struct ItemRow: Hashable, Comparable, Sendable {
    public let value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
    @inlinable public static func < (a: ItemRow, b: ItemRow) -> Bool { a.value < b.value }
}
