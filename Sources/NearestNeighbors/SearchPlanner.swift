import Vocabulary

/// Decides how a search is done, by what the ways cost on this machine with these rows.
///
/// The costs are measured when an index is loaded (`PlannedIndex`), on queries of its own users: nanoseconds of a scan by
/// how many rows it keeps, of a look-up by eligible rows, and what the wanted recall takes: the confidence of a scan that
/// need not be exact, the breadth of a walk.
package struct SearchPlanner: Sendable, Equatable, Codable {
    /// What a search may use.
    package enum Mode: String, Sendable, Codable, CaseIterable {
        /// Whatever is cheapest and reaches the recall.
        case auto
        /// Exact, whatever it costs.
        case scan
        /// The graph, wherever there is one, as wide as `efSearch`.
        case hnsw
    }

    /// One measured width.
    package struct Point: Sendable, Equatable, Codable {
        package var k: Int
        /// Median of a scan.
        package var scanNanoseconds: Double
        /// The same where one row in eight is eligible.
        package var filteredScanNanoseconds: Double
        /// The confidence of a scan that reaches the recall; 1 where none below does, or none is cheaper.
        package var confidence: Float = 1
        /// Median of such a scan.
        package var approximateNanoseconds: Double?
        /// The least breadth of a walk that reached the recall; nil when none did, or none was cheaper than the scan.
        package var efSearch: Int?
        package var walkNanoseconds: Double?
        package var walkRecall: Double?

        package init(k: Int, scanNanoseconds: Double) {
            self.k = k
            self.scanNanoseconds = scanNanoseconds
            filteredScanNanoseconds = scanNanoseconds
        }
    }

    /// A decision.
    package struct Decision: Sendable, Equatable {
        package var plan: SearchPlan
        /// Of a walk.
        package var efSearch = 0
        /// Of a scan.
        package var confidence: Float = 1
        package var expectedNanoseconds = 0.0

        package init(
            plan: SearchPlan, efSearch: Int = 0, confidence: Float = 1, expectedNanoseconds: Double = 0
        ) {
            self.plan = plan
            self.efSearch = efSearch
            self.confidence = confidence
            self.expectedNanoseconds = expectedNanoseconds
        }
    }

    package var mode = Mode.auto
    package var rowCount: Int
    /// By rising `k`; at least one.
    package var points: [Point]
    /// Of a look-up: for each 64 rows of the catalogue, for each eligible row up to an eighth of all, for each past that,
    /// and for each row kept.
    package var nanosecondsPerWord = 0.5
    package var nanosecondsPerEligibleRow = 4.0
    package var nanosecondsPerDenseRow = 4.0
    package var nanosecondsPerKeptRow = 20.0
    /// Breadth of every walk in `hnsw` mode.
    package var efSearch = 200
    package var hasGraph: Bool
    /// What walks read of the rows.
    package var graphRows: GraphRows?

    /// A filtered walk costs that much more than the rows it passes through would say.
    private static let filteredWalkFactor = 1.3
    /// Below this share of eligible rows a walk is not considered: it may end among rows that are not.
    private static let filteredShareMin = 0.05
    /// A walk that drops rows afterwards may be asked for at most this many times the rows wanted.
    private static let droppedFactorMax = 2

    package init(mode: Mode = .auto, rowCount: Int, points: [Point], hasGraph: Bool, efSearch: Int = 200) {
        precondition(!points.isEmpty, "a planner without a measured point")
        self.mode = mode
        self.rowCount = rowCount
        self.points = points
        self.hasGraph = hasGraph
        self.efSearch = efSearch
    }

    /// How to find `k` of `eligible` rows.
    package func decide(k: Int, eligible: Int) -> Decision {
        var best = Decision(plan: .scan, expectedNanoseconds: .infinity)
        for plan in SearchPlan.allCases where !plan.isApproximate {
            guard let option = option(plan, k: k, eligible: eligible) else { continue }
            if option.expectedNanoseconds < best.expectedNanoseconds { best = option }
        }
        var limit = best.expectedNanoseconds * Self.missingShareMax
        for plan in SearchPlan.allCases where plan.isApproximate {
            guard let option = option(plan, k: k, eligible: eligible) else { continue }
            // A walk that a mode forces has no price.
            if option.expectedNanoseconds <= limit {
                best = option
                limit = option.expectedNanoseconds
            }
        }
        return best
    }

    /// A search that may miss rows is worth that where it costs at most this share of the exact one's cost.
    static let missingShareMax = 0.8

    /// How `plan` would find `k` of `eligible` rows, and what that would cost; nil where it is not considered.
    package func option(_ plan: SearchPlan, k: Int, eligible: Int) -> Decision? {
        let share = Double(max(eligible, 1)) / Double(max(rowCount, 1))
        switch plan {
        case .scan:
            return Decision(plan: .scan, expectedNanoseconds: scanNanoseconds(k: k, share: share))
        case .lookUp:
            guard eligible < rowCount else { return nil }
            return Decision(plan: .lookUp, expectedNanoseconds: lookUpNanoseconds(k: k, eligible: eligible))
        case .approximateScan:
            guard mode == .auto, k > 0, let (confidence, gain) = approximation(k: k) else { return nil }
            return Decision(
                plan: .approximateScan, confidence: confidence,
                expectedNanoseconds: scanNanoseconds(k: k, share: share) * gain)
        case .walk, .filteredWalk:
            guard mode != .scan, k > 0, hasGraph, let walk = walk(k: k, eligible: eligible, share: share) else {
                return nil
            }
            return walk.plan == plan ? walk : nil
        }
    }

    /// Cost of a look-up.
    func lookUpNanoseconds(k: Int, eligible: Int) -> Double {
        let dense = max(0, eligible - rowCount / 8)
        return nanosecondsPerWord * Double(rowCount / 64) + nanosecondsPerEligibleRow * Double(eligible - dense)
            + max(nanosecondsPerDenseRow, nanosecondsPerEligibleRow) * Double(dense)
            + nanosecondsPerKeptRow * Double(min(k, eligible))
    }

    /// The confidence of a scan for `k` rows and the share of the exact one's cost that it takes; nil where none is worth it.
    ///
    /// Between two widths the more careful one's: the fewer rows are wanted, the more confidence they take.
    private func approximation(k: Int) -> (confidence: Float, share: Double)? {
        let above = points.firstIndex { $0.k >= k } ?? points.count - 1
        let used = points[max(0, points[above].k > k ? above - 1 : above)...above]
        guard let confidence = used.map(\.confidence).max(), confidence < 1 else { return nil }
        let shares = used.compactMap { point in point.approximateNanoseconds.map { $0 / point.scanNanoseconds } }
        guard let share = shares.max() else { return nil }
        return (confidence, share)
    }

    private func walk(k: Int, eligible: Int, share: Double) -> Decision? {
        let blocked = rowCount - eligible
        let drops = k + blocked <= k * Self.droppedFactorMax
        let wanted = drops ? k + blocked : k
        guard drops || share >= Self.filteredShareMin, let breadth = breadth(k: wanted) else { return nil }
        if drops {
            return Decision(plan: .walk, efSearch: breadth.efSearch, expectedNanoseconds: breadth.nanoseconds)
        }
        return Decision(
            plan: .filteredWalk, efSearch: breadth.efSearch,
            expectedNanoseconds: breadth.nanoseconds * Self.filteredWalkFactor / share)
    }

    /// Breadth and cost of a walk for `k` rows.
    private func breadth(k: Int) -> (efSearch: Int, nanoseconds: Double)? {
        if mode == .hnsw { return (max(efSearch, k), 0) }
        func measured(_ index: Int) -> (k: Int, efSearch: Double, nanoseconds: Double)? {
            guard points.indices.contains(index), let efSearch = points[index].efSearch,
                let nanoseconds = points[index].walkNanoseconds
            else { return nil }
            return (points[index].k, Double(efSearch), nanoseconds)
        }
        let upper = points.firstIndex { $0.k >= k } ?? points.count
        let (below, above) = (measured(upper - 1), measured(upper))
        if let below, let above {
            let share = Double(k - below.k) / Double(above.k - below.k)
            let efSearch = below.efSearch + (above.efSearch - below.efSearch) * share
            return (
                max(Int(efSearch.rounded(.up)), k), below.nanoseconds + (above.nanoseconds - below.nanoseconds) * share
            )
        }
        if let above { return (max(Int(above.efSearch), k), above.nanoseconds) }
        // Past the last width that walks reach, a little: in proportion.
        guard let below, k <= below.k * Self.stretchMax else { return nil }
        let stretch = Double(k) / Double(below.k)
        return (max(Int((below.efSearch * stretch).rounded(.up)), k), below.nanoseconds * stretch)
    }

    /// A walk for more rows than were ever measured to walk well is considered up to so many times as many.
    private static let stretchMax = 2

    /// Cost of a scan that keeps `k` rows of a share that is eligible.
    ///
    /// Between measured widths it grows with the logarithm of the width, beyond them in proportion; from a whole to an
    /// eighth of the rows with the logarithm of the share. Where fewer are eligible it reads as far as where an eighth is
    /// and as many more rows are wanted.
    func scanNanoseconds(k: Int, share: Double) -> Double {
        func cost(_ measured: KeyPath<Point, Double>, _ k: Int) -> Double {
            let last = points[points.count - 1]
            guard let upper = points.firstIndex(where: { $0.k >= k }) else {
                return last[keyPath: measured] * Double(k) / Double(last.k)
            }
            guard upper > 0 else { return points[0][keyPath: measured] }
            let (a, b) = (points[upper - 1], points[upper])
            let steps = logarithm(Double(b.k)) - logarithm(Double(a.k))
            let part = (logarithm(Double(k)) - logarithm(Double(a.k))) / steps
            return a[keyPath: measured] + (b[keyPath: measured] - a[keyPath: measured]) * part
        }
        if share < 0.125 { return cost(\.filteredScanNanoseconds, Int((Double(max(k, 1)) * 0.125 / share).rounded())) }
        let whole = cost(\.scanNanoseconds, k)
        let eighth = max(whole, cost(\.filteredScanNanoseconds, k))
        return whole + (eighth - whole) * logarithm(1 / share) / 3
    }

    /// Base 2, good to a few percent: costs are no better known than that.
    private func logarithm(_ value: Double) -> Double {
        value < 1 ? 0 : Double(value.exponent) + value.significand - 1
    }
}
