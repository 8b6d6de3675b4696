import Vocabulary

/// Where a page ended: the place after which the next one starts.
///
/// A cursor names the last item shown by its order key (pool, score, row), not by its number, so a page stays where it
/// was when items above it become ineligible.
///
/// ```
///  0  u8   version (1)
///  1  u8   pool: 0 the fused candidates, 1 the popular items that follow them
///  2  u64  generation
/// 10  u64  hash of the request's parameters (user, scenario, filter, exclusions; not k)
/// 18  u32  bits of the last score
/// 22  u32  last row
/// ```
/// All big-endian, 26 bytes. Opaque to clients.
package struct PageCursor: Equatable, Sendable {
    package enum Pool: UInt8, Sendable, Comparable {
        case candidates = 0
        case popular = 1

        package static func < (a: Pool, b: Pool) -> Bool { a.rawValue < b.rawValue }
    }

    package static let byteCount = 26

    package var pool: Pool
    package var generation: UInt64
    package var parameters: UInt64
    package var score: Float
    package var row: UInt32

    package init(pool: Pool, generation: UInt64, parameters: UInt64, score: Float, row: UInt32) {
        self.pool = pool
        self.generation = generation
        self.parameters = parameters
        self.score = score
        self.row = row
    }

    /// Nil unless `bytes` are a cursor of this version.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount, bytes[0] == 1, let pool = Pool(rawValue: bytes[1]) else { return nil }
        func integer(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let score = Float(bitPattern: UInt32(integer(18..<22)))
        guard score.isFinite else { return nil }
        self.init(
            pool: pool, generation: integer(2..<10), parameters: integer(10..<18), score: score,
            row: UInt32(integer(22..<26)))
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = [1, pool.rawValue]
        func append<Integer: FixedWidthInteger>(_ value: Integer) {
            withUnsafeBytes(of: value.bigEndian) { result.append(contentsOf: $0) }
        }
        append(generation)
        append(parameters)
        append(score.bitPattern)
        append(row)
        return result
    }

    /// A number that is the same for two requests that may share a cursor.
    package static func parameters(of request: RecommendationRequest) -> UInt64 {
        var text = ""
        func add(_ part: String) { text += "\(part.utf8.count):\(part)" }
        add(request.user)
        add(request.scenario)
        for list in [
            request.excludedItems, request.filter.anyTag, request.filter.allTags, request.filter.noTag,
        ] {
            text += "[\(list.count)]"
            list.forEach(add)
        }
        return XXH64.hash(text, seed: 1)
    }
}
