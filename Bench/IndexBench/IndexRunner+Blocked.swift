import Dispatch
import NearestNeighbors
import Retrieval
import VectorMath

/// What a seen set of many rows adds to one search: the mask is begun, the rows are blocked, the rest is searched, and the
/// next begin mends the mask.
extension IndexRunner {
    /// Seen sets that take turns.
    private static let seenSets = 16

    func measureBlocked(_ planned: PlannedIndex, _ blocked: Int, k: Int, repeats: Int) throws -> IndexPoint {
        let mask = EligibilityMask(itemCount: planned.rowCount)
        let seen = (0..<Self.seenSets).map { Self.rows(blocked, of: planned.rowCount, seed: UInt64($0)) }
        let scratch = SearchScratch()
        var found: [ScoredRow] = []
        var rates: [Double] = []
        var (part, masks, added) = ([Double](), [Double](), [Double]())
        func clock() -> Double { Double(DispatchTime.now().uptimeNanoseconds) }
        for round in 0...max(1, repeats) {
            var sum = 0.0
            for query in 0..<queries.rowCount {
                let start = clock()
                mask.begin()
                try planned.search(
                    queries.row(query), k: k, where: mask.predicate, scratch: scratch, into: &found)
                let middle = clock()
                // Begins with what the query before blocked: mending is part of it.
                mask.begin()
                seen[query % Self.seenSets].withUnsafeBufferPointer { mask.block($0) }
                let masked = clock()
                try planned.search(
                    queries.row(query), k: k, where: mask.predicate, scratch: scratch, into: &found)
                let searched = clock()
                mask.begin()
                let end = clock()
                guard round > 0 else { continue }
                part.append((end - middle) / 1000)
                masks.append((masked - middle + end - searched) / 1000)
                added.append((end - middle - (middle - start)) / 1000)
                sum += end - middle
            }
            if round > 0 { rates.append(Double(queries.rowCount) / sum * 1e9) }
        }
        func quantile(_ values: [Double], _ share: Double) -> Double {
            let sorted = values.sorted()
            return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
        let rate = quantile(rates, 0.5)
        var point = IndexPoint(
            index: "blocked", k: k, recall: 1, recallByNorm: [nil, nil, nil, nil, nil], qps: rate, cpuQPS: rate,
            p50: quantile(part, 0.5), p99: quantile(part, 0.99))
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
