import Retrieval
import VectorMath

/// Makes pages of scored candidates by a configuration, for one model.
///
/// The order of the work: boosts change scores; what earlier pages showed is left out; the best candidates are the pool;
/// pins take their places; the other places are filled from first to last by relevance and diversity within the caps, or
/// by chance. Knows nothing of where the scores come from.
package struct Reranker: Sendable {
    /// Names of the configuration that the model does not have; what speaks of them does nothing.
    package let missing: [String]
    package let configuration: RerankingConfiguration
    private let diversity: (basis: LikenessBasis, strength: Float)?
    private let caps: [(values: ItemValues, most: Int)]
    private let boosts: Boosts
    /// What is said of items beside the model.
    let changed: ChangedItems

    /// - Parameter changed: With attributes and vectors as the model's items have.
    /// - Complexity: O(names).
    package init(
        _ configuration: RerankingConfiguration, model: RetrievalModel, changed: ChangedItems = ChangedItems()
    ) {
        self.configuration = configuration
        self.changed = changed
        var missing: [String] = []
        func values(_ attribute: String) -> ItemValues? {
            if let values = ItemValues(attribute, of: model.items, changed) { return values }
            missing.append("attribute '\(attribute)'")
            return nil
        }
        switch configuration.diversity?.by {
        case .none: diversity = nil
        case .factors:
            let rows = (model.als ?? model.spectral)?.rows
            if rows == nil { missing.append("factors") }
            diversity = rows.map { (.factors($0, added: changed.added), configuration.diversity?.strength ?? 0) }
        case .attribute(let name):
            diversity = values(name).map { (.values($0), configuration.diversity?.strength ?? 0) }
        }
        caps = configuration.caps.compactMap { cap in values(cap.attribute).map { ($0, cap.most) } }
        boosts = Boosts(configuration.boosts, of: model.items, changed, missing: &missing)
        for pin in configuration.pins where (model.items.row(of: pin.item) ?? changed.added?.row(of: pin.item)) == nil {
            missing.append("item '\(pin.item)'")
        }
        self.missing = missing.enumerated().filter { !missing[..<$0.offset].contains($0.element) }.map(\.element)
    }

    /// What a page is made of.
    package struct Request {
        /// Eligible candidates in any order, each once, with their scores before boosts.
        package var candidates: [ScoredRow]
        package var k: Int
        /// Eligible rows with their places, from 1, each row and place once.
        package var pins: [(row: UInt32, place: Int)] = []
        /// What earlier pages showed.
        package var shown = ShownItems()
        package var explores = true
        /// Whether `placeBefore` and `boost` are wanted.
        package var explains = false

        package init(candidates: [ScoredRow], k: Int) {
            self.candidates = candidates
            self.k = k
        }
    }

    /// The items that were chosen, without places: pins may stand behind items that nobody chose here.
    package struct Page {
        /// In the order of the free places.
        package var items: [RerankedItem] = []
        package var pins: [(item: RerankedItem, place: Int)] = []
        package var areCapsRelaxed = false
        /// Whether places may have been drawn.
        package var hasDrawn = false

        /// All of them, pins at their places, or as far down as there are items.
        ///
        /// - Parameter filling: What stands after the items.
        package func slate(filling: [RerankedItem] = []) -> [RerankedItem] {
            var slate = items + filling
            for pin in pins { slate.insert(pin.item, at: min(pin.place - 1, slate.count)) }
            return slate
        }
    }

    /// Makes a page.
    ///
    /// - Complexity: O(candidates * boosts + k * pool), times the rank with diversity by factors.
    package func page(_ request: Request, using random: inout some RandomNumberGenerator) -> Page {
        var page = Page()
        let exploration = request.explores ? configuration.exploration : nil
        page.hasDrawn = exploration != nil
        let pins = request.pins.filter { $0.place <= request.k }.sorted { $0.place < $1.place }
        let free = request.k - pins.count
        var scores: [UInt32: Float] = [:]
        let ordered = order(request, without: pins.map(\.row), scores: &scores)
        var draft = SlateDraft(
            ordered, poolCount: configuration.poolCount(request.k), diversity: diversity, caps: caps,
            exploration: exploration, chosen: pins.map(\.row))
        let places = (1...max(1, request.k)).lazy.filter { place in !pins.contains { $0.place == place } }
        for place in places.prefix(free) {
            guard let choice = draft.fill(place, using: &random) else { break }
            page.items.append(RerankedItem(choice))
        }
        page.areCapsRelaxed = draft.areCapsRelaxed
        page.pins = pins.map { pin in
            (RerankedItem(row: pin.row, score: scores[pin.row] ?? 0, isPinned: true), pin.place)
        }
        if request.explains { explain(request, &page) }
        return page
    }

    /// The candidates that may be chosen, by falling boosted score: as many as can matter.
    ///
    /// - Parameter scores: Gets the scores of the rows that are left out because they are pinned.
    private func order(
        _ request: Request, without pinned: [UInt32], scores: inout [UInt32: Float]
    ) -> [ScoredRow] {
        var count = configuration.poolCount(request.k)
        if !caps.isEmpty { count = max(count, RerankingConfiguration.poolMax) }
        var top = TopK(k: count)
        for candidate in boosted(request.candidates) {
            if !pinned.isEmpty, pinned.contains(candidate.row) {
                scores[candidate.row] = candidate.score
                continue
            }
            if request.shown.contains(candidate.row, score: candidate.score) { continue }
            top.push(row: candidate.row, score: candidate.score)
        }
        var ordered: [ScoredRow] = []
        top.drain(into: &ordered)
        return ordered
    }

    /// The candidates with their scores after all boosts that suit them.
    package func boosted(_ candidates: [ScoredRow]) -> [ScoredRow] {
        if boosts.isEmpty { return candidates }
        return zip(candidates, boosts.scores(of: candidates)).map { ScoredRow(row: $0.row, score: $1) }
    }

    private func explain(_ request: Request, _ page: inout Page) {
        let left = zip(request.candidates, boosted(request.candidates))
            .filter { !request.shown.contains($1.row, score: $1.score) }
            .sorted { ($1.0.score, $0.0.row) < ($0.0.score, $1.0.row) }
        var places: [UInt32: (place: Int, boost: Float)] = [:]
        for (index, (before, after)) in left.enumerated() {
            places[before.row] = (index + 1, after.score - before.score)
        }
        func told(_ item: RerankedItem) -> RerankedItem {
            var item = item
            if let known = places[item.row] { (item.placeBefore, item.boost) = known }
            return item
        }
        page.items = page.items.map(told)
        page.pins = page.pins.map { (told($0.item), $0.place) }
    }
}

/// An item of a page, and what re-ranking did to it.
package struct RerankedItem: Sendable, Equatable {
    package var row: UInt32
    /// After boosts; 0 of a pinned item that is no candidate.
    package var score: Float
    /// The probability that this item took this place, given the places before it.
    package var propensity: Float = 1
    package var isPinned = false
    /// Chance put another item here than the best one.
    package var isExplored = false
    /// To the most alike of the items chosen before it, where diversity was asked for.
    package var similarity: Float = 0
    /// Its place among the candidates of the page by score alone, from 1; 0: it is no candidate, or nobody asked.
    package var placeBefore = 0
    /// What boosts added to its score.
    package var boost: Float = 0

    package init(row: UInt32, score: Float, isPinned: Bool = false) {
        self.row = row
        self.score = score
        self.isPinned = isPinned
    }

    init(_ choice: SlateDraft.Choice) {
        row = choice.row
        score = choice.score
        propensity = choice.propensity
        isExplored = choice.isExplored
        similarity = choice.similarity
    }
}
