import Retrieval
import Vocabulary

/// Where a page ended: the place after which the next one starts.
///
/// A cursor names the last item shown by its order key (pool, score, row), not by its number, so a page stays where it
/// was when items above it become ineligible.
///
/// ```
///  0  u8   version (1; 2 with the moment; 3 of a re-ranked page)
///  1  u8   pool: 0 the fused candidates, 1 the popular items that follow them; in the upper four bits the quality level
///  2  u64  generation
/// 10  u64  hash of the request's parameters (user, scenario, filter, exclusions; not k)
/// 18  u32  bits of the last score
/// 22  u32  last row
/// 26  i64  moment: Unix seconds of the first page, where items have windows; in version 3 the least number for none
/// 34       version 3: the rows that were shown, ascending, each as its distance to the one before, in groups of seven
///          bits, the low ones first, the top bit set where more follow
/// ```
/// All big-endian. Opaque to clients.
///
/// A re-ranked page is no run of the order, so its cursor names the rows that were shown; score and row are then those of
/// the last candidate of those that all count as shown (`ShownItems`), or the greatest score where there are none.
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
    /// Ascending; nil where the page was not re-ranked.
    package var shownRows: [UInt32]?
    /// That of the first page: the order of another one is another order.
    package var quality = QualityLevel.full

    package init(
        pool: Pool, generation: UInt64, parameters: UInt64, score: Float, row: UInt32, moment: Int64? = nil,
        shownRows: [UInt32]? = nil, quality: QualityLevel = .full
    ) {
        self.quality = quality
        self.shownRows = shownRows
        self.pool = pool
        self.generation = generation
        self.parameters = parameters
        self.score = score
        self.row = row
        self.moment = moment
    }

    /// Nil unless `bytes` are a cursor of this version.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.byteCount, let pool = Pool(rawValue: bytes[1] & 15),
            let quality = QualityLevel(rawValue: bytes[1] >> 4)
        else { return nil }
        var rows: [UInt32]?
        let fixed = Self.byteCount + (bytes[0] == 1 ? 0 : Self.momentBytes)
        switch bytes[0] {
        case 1, 2: guard bytes.count == fixed else { return nil }
        case 3:
            guard bytes.count >= fixed, let read = Self.rows(bytes[fixed...]) else { return nil }
            rows = read
        default: return nil
        }
        func integer(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let score = Float(bitPattern: UInt32(integer(18..<22)))
        guard score.isFinite else { return nil }
        self.init(
            pool: pool, generation: integer(2..<10), parameters: integer(10..<18), score: score,
            row: UInt32(integer(22..<26)), shownRows: rows, quality: quality)
        if fixed > Self.byteCount {
            let moment = Int64(bitPattern: integer(26..<34))
            self.moment = rows != nil && moment == .min ? nil : moment
        }
    }

    /// Rows of version 3; nil unless they ascend and are not too many.
    private static func rows(_ bytes: ArraySlice<UInt8>) -> [UInt32]? {
        var rows: [UInt32] = []
        var (distance, shift) = (UInt64(0), UInt64(0))
        for byte in bytes {
            distance |= UInt64(byte & 0x7F) << shift
            shift += 7
            guard shift <= 35 else { return nil }
            if byte & 0x80 != 0 { continue }
            guard let row = UInt32(exactly: UInt64(rows.last ?? 0) + distance), rows.isEmpty || distance > 0,
                rows.count < ShownItems.rowsMax
            else { return nil }
            rows.append(row)
            (distance, shift) = (0, 0)
        }
        return shift == 0 ? rows : nil
    }

    package var bytes: [UInt8] {
        var result: [UInt8] = [shownRows != nil ? 3 : moment == nil ? 1 : 2, pool.rawValue | quality.rawValue << 4]
        func append<Integer: FixedWidthInteger>(_ value: Integer) {
            withUnsafeBytes(of: value.bigEndian) { result.append(contentsOf: $0) }
        }
        append(generation)
        append(parameters)
        append(score.bitPattern)
        append(row)
        if shownRows != nil || moment != nil { append(moment ?? .min) }
        var before: UInt32 = 0
        for row in shownRows ?? [] {
            var distance = row - before
            while distance >= 0x80 {
                result.append(UInt8(truncatingIfNeeded: distance) | 0x80)
                distance >>= 7
            }
            result.append(UInt8(distance))
            before = row
        }
        return result
    }

    /// A number that is the same for two requests that may share a cursor.
    package static func parameters(of request: RecommendationRequest) -> UInt64 {
        var text = ""
        func add(_ part: String) { text += "\(part.utf8.count):\(part)" }
        add(request.user)
        add(request.scenario)
        for list in [
            request.excludedItems, request.recentItems, request.filter.anyTag, request.filter.allTags,
            request.filter.noTag,
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
        for pin in request.pins {
            text += "@\(pin.place)"
            add(pin.item)
        }
        return XXH64.hash(text, seed: 1)
    }
}
