import Dispatch
import NearestNeighbors
import Retrieval
import VectorMath

/// What a seen set of many rows adds to one search: the mask is begun, the rows are blocked, the rest is searched, and the
/// next begin mends the mask.
extension IndexRunner {
    /// Seen sets that take turns where they are drawn.
    private static let seenSets = 16
    /// Queries where each has a seen set of its own.
    private static let queriesOfBest = 200

    /// - Parameter best: Whether each query's own best rows are blocked, the dearest seen set there is; else rows drawn evenly.
    func measureBlocked(
        _ planned: PlannedIndex, _ blocked: Int, best: Bool, k: Int, repeats: Int
    ) throws -> IndexPoint {
        let mask = EligibilityMask(itemCount: planned.rowCount)
        let scratch = SearchScratch()
        var found: [ScoredRow] = []
        let count = best ? min(Self.queriesOfBest, queries.rowCount) : queries.rowCount
        let seen = try (0..<(best ? count : Self.seenSets)).map { place in
            guard best else { return Self.rows(blocked, of: planned.rowCount, seed: UInt64(place)) }
            try planned.scan.search(queries.row(place), k: blocked, scratch: scratch, into: &found)
            return found.map(\.row)
        }
        var (part, masks, added, rates) = ([Double](), [Double](), [Double](), [Double]())
        func clock() -> Double { Double(DispatchTime.now().uptimeNanoseconds) }
        /// Microseconds of a search of all rows, the mask begun.
        func whole(_ query: Int) throws -> Double {
            let start = clock()
            mask.begin()
            try planned.search(queries.row(query), k: k, where: mask.predicate, scratch: scratch, into: &found)
            return (clock() - start) / 1000
        }
        /// The same of the rest, the mask begun, blocked and mended; and the mask's part of it.
        func rest(_ query: Int) throws -> (all: Double, mask: Double) {
            let start = clock()
            mask.begin()
            seen[query % seen.count].withUnsafeBufferPointer { mask.block($0) }
            let masked = clock()
            try planned.search(queries.row(query), k: k, where: mask.predicate, scratch: scratch, into: &found)
            let searched = clock()
            mask.begin()
            let end = clock()
            return ((end - start) / 1000, (masked - start + end - searched) / 1000)
        }
        for round in 0...max(1, repeats) {
            var sum = 0.0
            for query in 0..<count {
                // The second search of a query finds its rows in the caches: each is the second as often.
                let before = (query + round) % 2 == 0 ? try whole(query) : nil
                let (all, mask) = try rest(query)
                let without = try before ?? whole(query)
                guard round > 0 else { continue }
                part.append(all)
                masks.append(mask)
                added.append(all - without)
                sum += all
            }
            if round > 0 { rates.append(Double(count) / sum * 1e6) }
        }
        func quantile(_ values: [Double], _ share: Double) -> Double {
            let sorted = values.sorted()
            return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
        var point = IndexPoint(
            index: best ? "seen" : "blocked", k: k, recall: 1, recallByNorm: [nil, nil, nil, nil, nil],
            qps: quantile(rates, 0.5), cpuQPS: quantile(rates, 0.5), p50: quantile(part, 0.5), p99: quantile(part, 0.99)
        )
        point.blocked = blocked
        point.added = quantile(added, 0.5)
        point.mask = quantile(masks, 0.5)
        point.plan = planned.planner.decide(k: k, eligible: planned.rowCount - blocked).plan.rawValue
        return point
    }

    /// Different rows, drawn evenly, in the order of the draw: as a history is.
    private static func rows(_ count: Int, of rowCount: Int, seed: UInt64) -> [UInt32] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        var all = Array(0..<UInt32(rowCount))
        for place in 0..<min(count, rowCount) {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let other = place + Int((state >> 33) % UInt64(rowCount - place))
            all.swapAt(place, other)
        }
        return Array(all.prefix(count))
    }
}
