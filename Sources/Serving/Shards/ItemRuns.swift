import NearestNeighbors
import Retrieval
import VectorMath
import Vocabulary

/// Items like one item, from its neighbours or from its factors.
final class SimilarItemsRun: ShardRun {
    private let engine: Engine
    private let row: UInt32
    private let k: Int
    private let source: RetrievalSource
    private let request: SimilarItemsRequest
    private let filter: FilteredRows
    private let overlay: ItemOverlay
    private(set) var times = StageTimes()
    private(set) var answer = ShardAnswer.rejected(Rejection(.internalFault, "the run has not ended"))

    /// - Throws: `Rejection` when the item, the source, the filter or `k` cannot be served.
    init(engine: Engine, configuration: ServingConfiguration, request: SimilarItemsRequest) throws {
        self.engine = engine
        self.request = request
        let model = engine.generation.model
        k = request.k == 0 ? 20 : request.k
        if k > configuration.itemsMax {
            throw Rejection(.invalidArgument, "k is \(k); the largest is \(configuration.itemsMax)")
        }
        guard let row = engine.row(of: request.item, engine.overlay), !engine.overlay.isDeleted(row) else {
            throw Rejection(.unknownItem, "no item is named '\(request.item)'")
        }
        self.row = row
        let isAdded = Int(row) >= model.items.count
        overlay = engine.overlay
        filter = try engine.rows(of: request.filter)
        let similar: [RetrievalSource] = [.itemToItem, .als, .spectral, .content]
        if request.source.isEmpty {
            guard let first = similar.first(where: { model.has($0) && (!isAdded || $0 == model.addedSource) }) else {
                throw Rejection(.failedPrecondition, "the bundle holds neither neighbours nor factors")
            }
            source = first
        } else {
            guard let named = RetrievalSource(rawValue: request.source), similar.contains(named) else {
                throw Rejection(
                    .invalidArgument,
                    "source '\(request.source)' cannot compare items; use item_to_item, als, spectral or content")
            }
            guard model.has(named) else {
                throw Rejection(.failedPrecondition, "the bundle holds no \(named.rawValue)")
            }
            if isAdded, named != model.addedSource {
                throw Rejection(
                    .failedPrecondition,
                    "'\(request.item)' was added after the model was made: it has no \(named.rawValue); leave source empty"
                )
            }
            source = named
        }
    }

    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool {
        let available = engine.availableItems(overlay, at: engine.now(overlay))
        engine.generator.added = overlay.added
        Eligibility.apply(
            available: available, filter: filter, excluded: request.excludedItems, seen: nil, engine: engine,
            overlay: overlay, mask: engine.generator.mask)
        let generator = engine.generator
        generator.mask.block(row)
        let retrievalStarted = clock()
        times.filter = retrievalStarted &- now
        let rows: [ScoredRow]
        do {
            rows = try generator.similarItems(to: row, k: k, source: source)
        } catch {
            answer = .rejected(Rejection(.internalFault, "similar items: \(error)"))
            return true
        }
        times.retrieve = clock() &- retrievalStarted
        answer = .similarItems(
            SimilarItems(
                items: rows.map { SlateItem(row: $0.row, score: $0.score) }, generation: engine.generation,
                source: source, includeDetails: request.includeDetails, overlay: overlay))
        return true
    }
}

/// One item's details.
final class ItemRun: ShardRun {
    let answer: ShardAnswer
    let times = StageTimes()

    /// - Throws: `Rejection` when there is no such item, or it was deleted.
    init(engine: Engine, item: String) throws {
        guard let row = engine.row(of: item, engine.overlay), !engine.overlay.isDeleted(row) else {
            throw Rejection(.unknownItem, "no item is named '\(item)'")
        }
        answer = .item(ItemDetails(row: row, generation: engine.generation, overlay: engine.overlay))
    }

    func step(now: UInt64, deadline: UInt64, clock: () -> UInt64) -> Bool { true }
}
