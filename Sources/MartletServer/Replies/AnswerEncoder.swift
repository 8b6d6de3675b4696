import Retrieval
import Serving
import Vocabulary
import Wire

/// Encodes what shards answer into the bodies of replies, in memory that is used again and again.
///
/// IDs and titles are copied once, from the mapped catalogue to the body. A body that no frame could carry becomes the
/// refusal that says so, with its status: who counts or keeps the answer sees what the caller will get. Belongs to one
/// loop.
final class AnswerEncoder {
    private var memory: UnsafeMutableRawBufferPointer = .allocate(byteCount: 16 << 10, alignment: 16)
    private var count = 0
    /// Of them, what a cache keeps.
    private var keptCount = 0
    /// Of the newest few generations, what stands behind each slate.
    private var origins: [(generation: UInt64, fields: [UInt8])] = []
    private static let originsMax = 4
    private var ids: [UnsafeRawBufferPointer] = []
    private var titles: [UnsafeRawBufferPointer] = []
    private var scores: [Float] = []
    private var propensities: [Float] = []
    private let frameBytesMax: Int

    /// - Parameter frameBytesMax: The largest frame of the connections, without its length field.
    init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    deinit { memory.deallocate() }

    /// Hands out the body encoded last.
    func withBody<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(rebasing: memory[..<count]))
    }

    /// Hands out what is to be kept of the slate encoded last: all but what made it (`origin(of:)`).
    func withKept<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(rebasing: memory[..<keptCount]))
    }

    /// The fields that stand behind each slate of a generation; nil: none was encoded of late.
    @inline(__always)
    func origin(ofNumber generation: UInt64) -> [UInt8]? {
        for known in origins where known.generation == generation { return known.fields }
        return nil
    }

    /// The fields that stand behind each slate of a generation.
    func origin(of generation: Generation) -> [UInt8] {
        if let known = origin(ofNumber: generation.number) { return known }
        let message = RecommendReplyOrigin(generation: generation.number, model: generation.label)
        var fields = [UInt8](repeating: 0, count: message.encodedByteCount)
        fields.withUnsafeMutableBytes {
            if let base = $0.baseAddress { message.encode(into: base, byteCount: $0.count) }
        }
        origins.insert((generation.number, fields), at: 0)
        if origins.count > Self.originsMax { origins.removeLast() }
        return fields
    }

    /// Whether so many more bytes fit a frame.
    func hasRoom(_ bytes: Int) -> Bool { FrameHeader.byteCount - 4 + count + bytes <= frameBytesMax }

    /// Puts further fields behind the body encoded last.
    func append(_ fields: [UInt8]) {
        if count + fields.count > memory.count {
            let wider = UnsafeMutableRawBufferPointer.allocate(byteCount: count + fields.count + 1024, alignment: 16)
            wider.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<count]))
            memory.deallocate()
            memory = wider
        }
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyBytes(from: fields)
        count += fields.count
    }

    /// Encodes an answer of one shard.
    func encode(_ answer: ShardAnswer) -> (StatusCode, ReplyFlags) {
        switch answer {
        case .slate(let slate): encode(slate)
        case .similarItems(let similar): encode(similar)
        case .item(let details): encode(details)
        case .ranked(let ranked): encode(ranked)
        case .slates(let slates): write([slates])
        case .recorded: write(RecordEventsReply())
        case .rejected(let rejection): return encode(rejection)
        }
        return fitting()
    }

    /// Encodes the slates that several shards answered.
    func encode(_ parts: [ManySlates]) -> (StatusCode, ReplyFlags) {
        write(parts)
        return fitting()
    }

    /// Encodes any other message.
    func encode(_ message: some ProtoEncodable) -> (StatusCode, ReplyFlags) {
        write(message)
        return fitting()
    }

    /// The status of the good answer just encoded, after its replacement by a refusal if no frame can carry it.
    private func fitting() -> (StatusCode, ReplyFlags) {
        let frameBytes = FrameHeader.byteCount - 4 + count
        guard frameBytes > frameBytesMax else { return (.ok, []) }
        write(
            ErrorBody(
                message: "the answer has \(frameBytes) bytes, the limit is \(frameBytesMax): ask for fewer users or a"
                    + " smaller k"))
        return (.resourceExhausted, [])
    }

    private func encode(_ rejection: Rejection) -> (StatusCode, ReplyFlags) {
        write(
            ErrorBody(
                message: rejection.message, retryIsSafe: rejection.retryIsSafe,
                retryAfterMilliseconds: UInt32(clamping: rejection.retryAfterMilliseconds)))
        return (rejection.reason.code, rejection.retryIsSafe ? .retryIsSafe : [])
    }

    private func encode(_ slate: Slate) {
        clear()
        collect(slate.items, slate.generation, slate.overlay, withTitles: slate.includeDetails)
        ids.withUnsafeBufferPointer { ids in
            scores.withUnsafeBufferPointer { scores in
                titles.withUnsafeBufferPointer { titles in
                    slate.nextCursor.withUnsafeBytes { cursor in
                        var fields = RecommendReplyFields(items: ids, scores: scores)
                        fields.fallback = Wire.Fallback(rawValue: UInt32(slate.fallback.rawValue)) ?? .none
                        fields.degraded = Degradations(rawValue: UInt32(slate.degraded.rawValue))
                        fields.qualityLevel = UInt32(slate.quality.rawValue)
                        fields.nextCursor = cursor
                        fields.titles = titles
                        if let explanation = slate.explanation { fields.add(explanation) }
                        guard let draws = slate.draws else { return write(fields) }
                        fields.seed = draws.seed
                        draws.propensities.withUnsafeBufferPointer { propensities in
                            fields.propensities = propensities
                            write(fields)
                        }
                    }
                }
            }
        }
        keptCount = count
        append(origin(of: slate.generation))
    }

    private func encode(_ similar: SimilarItems) {
        clear()
        collect(similar.items, similar.generation, similar.overlay, withTitles: similar.includeDetails)
        var source = similar.source.rawValue
        source.withUTF8 { source in
            ids.withUnsafeBufferPointer { ids in
                scores.withUnsafeBufferPointer { scores in
                    titles.withUnsafeBufferPointer { titles in
                        similar.generation.withLabel { label in
                            var fields = SimilarItemsReplyFields(items: ids, scores: scores)
                            fields.generation = similar.generation.number
                            fields.model = label
                            fields.source = UnsafeRawBufferPointer(source)
                            fields.titles = titles
                            write(fields)
                        }
                    }
                }
            }
        }
    }

    private func encode(_ ranked: RankedItems) {
        var reply = RankReply()
        reply.places = ranked.places
        reply.scores = ranked.scores
        reply.unknown = ranked.unknown
        reply.generation = ranked.generation.number
        reply.model = ranked.generation.label
        reply.features = ranked.features
        reply.values = ranked.values
        reply.contributions = ranked.contributions
        write(reply)
    }

    private func encode(_ details: ItemDetails) {
        var items = details.generation.model.items
        var row = details.row
        let isAdded = Int(row) >= items.count
        if let added = details.overlay?.added, isAdded {
            items = added.catalog
            row -= added.firstRow
        }
        var reply = GetItemReply()
        reply.item = items.name(row)
        if let restated = details.overlay?.restated, let index = restated.index(of: details.row) {
            reply.title = restated.catalog.title(index)
            reply.tags = restated.catalog.tags(index)
        } else {
            reply.title = items.title(row)
            reply.tags = items.tags(row)
        }
        reply.interactions = items.interactions(row)
        reply.popularityRank = isAdded ? 0 : row + 1
        reply.generation = details.generation.number
        reply.model = details.generation.label
        write(reply)
    }

    private func write(_ parts: [ManySlates]) {
        let ordered = parts.flatMap { part in part.slates.map { (slate: $0, overlay: part.overlay) } }
            .sorted { $0.slate.position < $1.slate.position }
        let slates = ordered.map(\.slate)
        guard let generation = parts.first?.generation else {
            write(RecommendManyReply())
            return
        }
        clear()
        for (slate, overlay) in ordered { collect(slate.items, generation, overlay, withTitles: false) }
        let counts = slates.map { UInt32($0.items.count) }
        let fallbacks = slates.map { UInt32($0.fallback.rawValue) }
        let statuses = slates.map { UInt32($0.status.rawValue) }
        collectPropensities(parts, slates)
        generation.withLabel { label in
            ids.withUnsafeBufferPointer { ids in
                scores.withUnsafeBufferPointer { scores in
                    counts.withUnsafeBufferPointer { counts in
                        fallbacks.withUnsafeBufferPointer { fallbacks in
                            statuses.withUnsafeBufferPointer { statuses in
                                var fields = RecommendManyReplyFields(
                                    itemCounts: counts, items: ids, scores: scores, fallbacks: fallbacks,
                                    statuses: statuses)
                                fields.generation = generation.number
                                fields.model = label
                                fields.requestID = parts.first?.logID ?? ""
                                fields.qualityLevel = UInt32(parts.map(\.quality).max()?.rawValue ?? 0)
                                propensities.withUnsafeBufferPointer { propensities in
                                    fields.propensities = propensities
                                    write(fields)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// One for each item of all slates, where some are left to chance.
    private func collectPropensities(
        _ parts: [ManySlates],
        _ slates: [(position: Int, items: [SlateItem], fallback: Serving.Fallback, status: StatusCode)]
    ) {
        propensities.removeAll(keepingCapacity: true)
        guard parts.contains(where: { !$0.propensities.isEmpty }) else { return }
        let known = parts.reduce(into: [Int: [Float]]()) { $0.merge($1.propensities) { first, _ in first } }
        for slate in slates {
            propensities += known[slate.position] ?? Array(repeating: 1, count: slate.items.count)
        }
    }

    private func clear() {
        ids.removeAll(keepingCapacity: true)
        scores.removeAll(keepingCapacity: true)
        titles.removeAll(keepingCapacity: true)
    }

    /// - Parameter overlay: Names the items that are not the model's, and titles those that it describes anew.
    private func collect(
        _ items: [SlateItem], _ generation: Generation, _ overlay: ItemOverlay?, withTitles: Bool
    ) {
        let catalog = generation.model.items
        for item in items {
            var (source, row) = (catalog, item.row)
            if Int(row) >= catalog.count, let added = overlay?.added {
                source = added.catalog
                row -= added.firstRow
            }
            ids.append(source.nameBytes(row))
            scores.append(item.score)
            guard withTitles else { continue }
            if let restated = overlay?.restated, let index = restated.index(of: item.row) {
                titles.append(restated.catalog.titleBytes(index))
            } else {
                titles.append(source.titleBytes(row))
            }
        }
    }

    private func write(_ message: some ProtoEncodable) {
        count = message.encodedByteCount
        if count > memory.count {
            memory.deallocate()
            memory = .allocate(byteCount: count + count / 2, alignment: 16)
        }
        if let base = memory.baseAddress { message.encode(into: base, byteCount: count) }
    }
}

extension Generation {
    /// The label's bytes, for as long as `body` runs.
    fileprivate func withLabel<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        var label = label
        return try label.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}

extension RecommendReplyFields {
    fileprivate mutating func add(_ explanation: Explanation) {
        reasons = explanation.reasons
        placements = explanation.placements.map { item in
            var placement = Placement()
            placement.placeBefore = item.placeBefore
            placement.isPinned = item.isPinned
            placement.isExplored = item.isExplored
            placement.boost = item.boost
            placement.similarity = item.similarity
            return placement
        }
        eligibleItems = UInt32(clamping: explanation.eligibleItems)
        shares = explanation.shares.map {
            Wire.SourceShare(
                item: $0.item, source: $0.source.rawValue, rank: $0.rank, score: $0.score, contribution: $0.contribution
            )
        }
        if let found = explanation.features {
            ranking = RankerFeatures(
                features: found.features, items: found.items.map { UInt32($0) }, values: found.values,
                contributions: found.contributions)
        }
        timings = explanation.timings.map {
            StageTiming(stage: $0.stage, microseconds: UInt32(clamping: $0.microseconds))
        }
    }
}
