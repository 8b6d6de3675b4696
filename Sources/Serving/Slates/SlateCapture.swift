import CandidateRanking
import EventLog
import Features
import Retrieval
import VectorMath
import Vocabulary

/// What is logged of a slate: rows, scores and features, copied while they are there. Names are looked up later, on the
/// log's thread.
package struct SlateCapture: Sendable {
    package let generation: Generation
    let overlay: ItemOverlay?
    /// Columns but for names, which `rows` stand for.
    var slate: LoggedSlate
    var rows: [UInt32]

    /// The record, with names.
    ///
    /// - Parameter schema: The hash of the generation's feature schema.
    /// - Complexity: O(items).
    package func record(schema: String) -> LoggedSlate {
        var record = slate
        let catalog = generation.model.items
        record.generation = generation.number
        record.model = generation.label
        record.items = rows.map { row in
            guard Int(row) >= catalog.count, let added = overlay?.added else { return catalog.name(row) }
            return added.catalog.name(row - added.firstRow)
        }
        record.features?.schema = schema
        return record
    }

    /// Says when it was shown, and whether it is one of several.
    package mutating func stamp(_ milliseconds: UInt64, isOfMany: Bool = false) {
        slate.timeMilliseconds = milliseconds
        if isOfMany { slate.marks.insert(.many) }
    }

    package var requestID: String { slate.requestID }

    /// Bytes that it holds, about.
    package var byteCount: Int {
        200 + rows.count * 24 + (slate.features.map { $0.items.count * ($0.numbers.count + $0.categories.count) } ?? 0)
            * 4
    }
}

/// What a slate was made of, while its run still holds it.
struct SlateSources {
    let request: RecommendationRequest
    let generator: CandidateGenerator
    /// Nil where retrieval's order serves.
    let ranked: RankedCandidates?
    /// In the order of the scorer's rows; empty where nothing was ranked.
    let rankedRows: ArraySlice<ScoredRow>
    let scorer: CandidateScorer?
    let reranker: Reranker?
    /// Of candidates that were not shown.
    let candidatesMax: Int

    /// - Complexity: O(candidates log candidates + rows of the sources' lists): for slates that are sampled.
    func capture(_ slate: Slate, _ placements: [RerankedItem]) -> SlateCapture {
        var logged = LoggedSlate(requestID: request.logID, user: request.user)
        logged.scenario = request.scenario
        logged.context = request.context
        logged.fallback = slate.fallback.rawValue
        logged.degraded = slate.degraded.rawValue
        if ranked != nil { logged.marks.insert(.ranked) }
        if !request.cursor.isEmpty { logged.marks.insert(.furtherPage) }
        logged.shownCount = slate.items.count
        logged.propensities = slate.draws?.propensities ?? slate.items.map { _ in 1 }
        logged.itemMarks = slate.items.indices.map { place in
            guard place < placements.count else { return [] }
            var marks: LoggedSlate.ItemMarks = placements[place].isPinned ? .pinned : []
            if placements[place].isExplored { marks.insert(.explored) }
            return marks
        }
        if slate.draws != nil, let exploration = reranker?.configuration.exploration {
            logged.drawnAmong = exploration.among
            logged.protectedPlaces = exploration.protected
        }
        var rows = slate.items.map(\.row)
        logged.scores = slate.items.map(\.score)
        addCandidates(&logged, &rows)
        addSources(&logged, rows)
        addFeatures(&logged, rows)
        return SlateCapture(generation: slate.generation, overlay: slate.overlay, slate: logged, rows: rows)
    }

    /// All candidates in the order from which places were filled.
    private var ordered: [ScoredRow] {
        var all: [ScoredRow] = []
        if let ranked { all = ranked.rows } else { generator.select(generator.candidateCount, into: &all) }
        guard let reranker else { return all }
        return reranker.boosted(all).sorted { ($1.score, $0.row) < ($0.score, $1.row) }
    }

    private func addCandidates(_ logged: inout LoggedSlate, _ rows: inout [UInt32]) {
        let shown = Dictionary(rows.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        logged.places = [UInt32](repeating: 0, count: rows.count)
        let all = ordered
        logged.candidateCount = all.count
        var others: [(place: Int, candidate: ScoredRow)] = []
        others.reserveCapacity(all.count)
        for (index, candidate) in all.enumerated() {
            if let slot = shown[candidate.row] {
                logged.places[slot] = UInt32(index + 1)
            } else {
                others.append((index + 1, candidate))
            }
        }
        // Half of them are the next best, from which chance and another ranker would have chosen; the others say what the
        // rest is like. Where chance fills places, all from which it draws: the propensities are of no use without them.
        let drawn = candidatesMax == 0 ? 0 : logged.drawnAmong
        let most = max(candidatesMax, drawn)
        let best = others.count <= most ? others.count : max((candidatesMax + 1) / 2, drawn)
        logged.bestCount = best
        var random = SlateRandom(seed: XXH64.hash(request.logID))
        for slot in best..<min(others.count, most) {
            others.swapAt(slot, Int.random(in: slot..<others.count, using: &random))
        }
        var kept = others.prefix(most)
        kept[best...].sort { $0.place < $1.place }
        for (place, candidate) in kept {
            rows.append(candidate.row)
            logged.scores.append(candidate.score)
            logged.places.append(UInt32(place))
        }
    }

    private func addSources(_ logged: inout LoggedSlate, _ rows: [UInt32]) {
        let slots = Dictionary(rows.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        logged.itemSources = [UInt32](repeating: 0, count: rows.count)
        for (number, list) in generator.lists.prefix(32).enumerated() {
            logged.sources.append(list.entry.source.rawValue)
            for row in list.rows { if let slot = slots[row.row] { logged.itemSources[slot] |= 1 << UInt32(number) } }
        }
    }

    private func addFeatures(_ logged: inout LoggedSlate, _ rows: [UInt32]) {
        guard ranked != nil, let features = scorer?.features.rows, features.count == rankedRows.count else { return }
        let slots = Dictionary(rows.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var found: [(item: UInt32, row: Int)] = []
        for (row, candidate) in rankedRows.enumerated() {
            if let slot = slots[candidate.row] { found.append((UInt32(slot), row)) }
        }
        found.sort { $0.item < $1.item }
        let layout = features.layout
        var columns = LoggedFeatures(schema: "")
        columns.items = found.map(\.item)
        columns.numbers = layout.dense.indices.map { number in found.map { features.number($0.row, number) } }
        columns.categories = layout.categorical.indices.map { number in
            let offset = UInt32(layout.categorical[number].tableOffset)
            return found.map { features.id($0.row, number) - offset }
        }
        columns.lists = features.bagFields.indices.map { place in
            let offset = UInt32(layout.categorical[features.bagFields[place]].tableOffset)
            return found.map { features.bag($0.row, place).map { $0 - offset } }
        }
        logged.features = columns
    }
}
