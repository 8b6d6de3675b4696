import VectorMath

/// A slate while its free places are filled, one after the other, from a list of scored candidates.
///
/// ```
///  candidates, best first   | pool: places are chosen among these | reserve: only where caps keep the pool out |
///  an item of the pool is   open -> taken;  open -> capped -> open again when the caps are relaxed
/// ```
struct SlateDraft {
    /// An item that got a place.
    struct Choice: Equatable {
        var row: UInt32
        var score: Float
        /// Of this item at this place, given the places before it.
        var propensity: Float = 1
        /// Chance put another item here than the best one.
        var isExplored = false
        /// To the most alike item that was there before it.
        var similarity: Float = 0
    }

    private let candidates: [ScoredRow]
    private let poolCount: Int
    private let strength: Float
    /// Scores from 0, the lowest of the pool, to 1, the highest.
    private let relevance: [Float]
    /// What an item is worth at the place that is being filled.
    private var values: [Float]
    private var isTaken: [Bool]
    private var isCapped: [Bool]
    private var similarities: Similarities?
    private var caps: CapCounts
    private var drawing: Drawing?
    /// The last place that diversity and chance reach.
    private let reach: Int
    /// All of the pool before it are taken.
    private var head = 0
    /// The next of the reserve that was not looked at since caps were relaxed.
    private var reserve: Int
    private var hasReserve = false
    private var takenCount = 0

    /// Whether caps were raised so that the slate could be filled.
    var areCapsRelaxed: Bool { caps.slack > 0 }

    /// - Parameters:
    ///   - candidates: By falling score, ties by ascending row; each row once.
    ///   - poolCount: Of them, the ones that places are chosen among.
    ///   - chosen: Rows that have places already: they count for caps and diversity.
    init(
        _ candidates: [ScoredRow], poolCount: Int, diversity: (basis: LikenessBasis, strength: Float)?,
        caps: [(values: ItemValues, most: Int)], exploration: RerankingConfiguration.Exploration?, chosen: [UInt32]
    ) {
        self.candidates = candidates
        let poolCount = min(poolCount, candidates.count)
        self.poolCount = poolCount
        let rows = candidates[..<poolCount].map(\.row)
        // Doubles: boosts may take scores so far apart that the difference is no float.
        let low = Double(poolCount > 0 ? candidates[poolCount - 1].score : 0)
        let width = Double(poolCount > 0 ? candidates[0].score : 0) - low
        relevance = candidates[..<poolCount].map { width > 0 ? Float((Double($0.score) - low) / width) : 0 }
        values = relevance
        isTaken = Array(repeating: false, count: candidates.count)
        isCapped = isTaken
        reach = RerankingConfiguration.reach(poolCount: poolCount)
        reserve = poolCount
        strength = diversity?.strength ?? 0
        if let diversity, diversity.strength > 0 { similarities = Similarities(diversity.basis, pool: rows) }
        self.caps = CapCounts(caps)
        drawing = exploration.map { Drawing($0) }
        self.caps.add(rows, from: 0, marking: &isCapped)
        for row in chosen {
            similarities?.choose(row)
            self.caps.choose(row, marking: &isCapped)
        }
    }

    /// Fills a free place.
    ///
    /// - Parameter place: From 1, pinned ones counted.
    /// - Returns: Nil when no candidate is left.
    /// - Complexity: O(pool * rank) with diversity by factors, O(pool) with exploration; else O(1), but for caps.
    mutating func fill(
        _ place: Int, using random: inout some RandomNumberGenerator
    ) -> Choice? {
        while true {
            let isReached = place <= reach
            if let best = best(byValue: isReached) {
                var outcome = Drawing.Outcome(index: best, propensity: 1)
                if isReached, var drawing, place > drawing.exploration.protected {
                    self.drawing = nil
                    outcome = drawing.fill(
                        best: best, values: values, isOpen: { !isTaken[$0] && !isCapped[$0] }, using: &random)
                    self.drawing = drawing
                }
                return take(outcome, best, at: place)
            }
            if let index = nextOfReserve() {
                return take(Drawing.Outcome(index: index, propensity: 1), index, at: place)
            }
            guard !caps.isEmpty, takenCount < candidates.count else { return nil }
            caps.relax(marking: &isCapped)
            reserve = poolCount
        }
    }

    private mutating func best(byValue: Bool) -> Int? {
        while head < poolCount, isTaken[head] { head += 1 }
        guard byValue, let similarities else { return (head..<poolCount).first { !isTaken[$0] && !isCapped[$0] } }
        var best: Int?
        let greatest = similarities.greatest
        for index in head..<poolCount {
            values[index] = relevance[index] * (1 - strength) - strength * greatest[index]
            if isTaken[index] || isCapped[index] { continue }
            if let known = best, values[index] <= values[known] { continue }
            best = index
        }
        return best
    }

    private mutating func take(_ outcome: Drawing.Outcome, _ best: Int, at place: Int) -> Choice {
        let candidate = candidates[outcome.index]
        isTaken[outcome.index] = true
        takenCount += 1
        var similarity: Float = 0
        if place <= reach, outcome.index < poolCount { similarity = similarities?.greatest[outcome.index] ?? 0 }
        // Nobody looks at likeness after the last place that it reaches.
        if place < reach { similarities?.choose(candidate.row) }
        caps.choose(candidate.row, marking: &isCapped)
        return Choice(
            row: candidate.row, score: candidate.score, propensity: outcome.propensity,
            isExplored: outcome.index != best, similarity: similarity)
    }

    /// The best candidate behind the pool that the caps let in.
    private mutating func nextOfReserve() -> Int? {
        guard !caps.isEmpty, poolCount < candidates.count else { return nil }
        if !hasReserve {
            hasReserve = true
            caps.add(candidates[poolCount...].map(\.row), from: poolCount, marking: &isCapped)
        }
        while reserve < candidates.count {
            if !isTaken[reserve], !isCapped[reserve] { return reserve }
            reserve += 1
        }
        return nil
    }
}
