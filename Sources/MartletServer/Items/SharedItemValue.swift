import EventLog
import RemoteCache
import Vocabulary

/// A change of an item as it lies in Redis: a `RemoteValue` of `u64 author, u64 token` and an `ItemChangeRecord` of one change.
struct SharedItemValue: Sendable, Equatable {
    static let kind: UInt8 = 2
    /// Larger values are neither written nor believed.
    static let bytesMax = 1 << 20

    var author: UInt64
    var token: UInt64
    var change: ItemChange

    /// - Parameter key: Of the hash, which binds the value to its place.
    func encoded(for key: [UInt8]) -> [UInt8] {
        var payload: [UInt8] = []
        for word in [author, token] {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                payload.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        payload += ItemChangeRecord.encode(CollectionOfOne(change))
        let value = RemoteValue(kind: Self.kind, stamp: 0, madeAt: 0, goodUntil: .max, payload: payload[...])
        return value.encoded(for: key)
    }

    /// Nil for bytes that are no such value.
    init?(_ bytes: [UInt8], key: [UInt8]) {
        guard
            case .success(let value) = RemoteValue.open(
                bytes, key: key, kind: Self.kind, stamp: 0, now: 0, bytesMax: Self.bytesMax),
            value.payload.count > 16,
            let changes = try? ItemChangeRecord.decode(value.payload.dropFirst(16)), changes.count == 1,
            (1...255).contains(changes[0].item.utf8.count)
        else { return nil }
        func word(_ place: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(value.payload[value.payload.startIndex + place + $1]) << UInt64(8 * $1) }
        }
        author = word(0)
        token = word(8)
        change = changes[0]
    }

    init(author: UInt64, token: UInt64, change: ItemChange) {
        self.author = author
        self.token = token
        self.change = change
    }

    /// d or w: which register of its item it is for.
    static func part(of change: ItemChange) -> UInt8 {
        if case .window = change { UInt8(ascii: "w") } else { UInt8(ascii: "d") }
    }
}
