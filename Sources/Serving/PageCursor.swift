import Retrieval
import Vocabulary

/// Where a page ended: the place after which the next one starts.
///
/// A cursor names the last item shown by its order key (pool, score, row), not by its number, so a page stays where it
/// was when items above it become ineligible.
///
/// ```
///  0  u8   version (1; 2 with the moment)
///  1  u8   pool: 0 the fused candidates, 1 the popular items that follow them
///  2  u64  generation
/// 10  u64  hash of the request's parameters (user, scenario, filter, exclusions; not k)
/// 18  u32  bits of the last score
/// 22  u32  last row
/// 26  i64  moment: Unix seconds of the first page, where items have windows
/// ```
/// All big-endian, 26 or 34 bytes. Opaque to clients.
///
/// All pages choose among the items that were available at the moment of the first one, so that what comes and goes
/// moves no item to another page; those that have gone are left out.
package struct PageCursor: Equatable, Sendable {
    package enum Pool: UInt8, Sendable, Comparable {
        case candidates = 0
        case popular = 1

        package static func < (a: Pool, b: Pool) -> Bool { a.rawValue < b.rawValue }
    }

    private static let byteCount = 26
    private static let momentBytes = 8

    package var pool: Pool
    package var generation: UInt64
    package var parameters: UInt64
    package var score: Float
    package var row: UInt32
    package var moment: Int64?

    package init(
        pool: Pool, generation: UInt64, parameters: UInt64, score: Float, row: UInt32, moment: Int64? = nil
    ) {
        self.pool = pool
        self.generation = generation
        self.parameters = parameters
        self.score = score
        self.row = row
        self.moment = moment
    }

    /// Nil unless `bytes` are a cursor of this version.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.byteCount, let pool = Pool(rawValue: bytes[1]) else { return nil }
        let hasMoment = bytes[0] == 2
        guard hasMoment || bytes[0] == 1, bytes.count == Self.byteCount + (hasMoment ? Self.momentBytes : 0) else {
            return nil
        }
        func integer(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let score = Float(bitPattern: UInt32(integer(18..<22)))
        guard score.isFinite else { return nil }
        self.init(
            pool: pool, generation: integer(2..<10), parameters: integer(10..<18), score: score,
            row: UInt32(integer(22..<26)), moment: hasMoment ? Int64(bitPattern: integer(26..<34)) : nil)
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = [moment == nil ? 1 : 2, pool.rawValue]
        func append<Integer: FixedWidthInteger>(_ value: Integer) {
            withUnsafeBytes(of: value.bigEndian) { result.append(contentsOf: $0) }
        }
        append(generation)
        append(parameters)
        append(score.bitPattern)
        append(row)
        if let moment { append(moment) }
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
        for condition in request.filter.conditions {
            add(condition.attribute)
            for list in [condition.anyOf, condition.noneOf] {
                text += "[\(list.count)]"
                list.forEach(add)
            }
            for bound in [condition.min, condition.max] { text += bound.map { "=\($0.bitPattern)" } ?? "-" }
        }
        for (key, value) in request.context.sorted(by: { $0.key < $1.key }) {
            add(key)
            add(value)
        }
        return XXH64.hash(text, seed: 1)
    }
}
