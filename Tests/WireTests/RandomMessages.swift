import Vocabulary

@testable import Wire

/// A random message of each kind; `n` bounds its lists.
extension SeededGenerator {
    mutating func filter() -> AttributeFilter {
        AttributeFilter(
            anyTag: texts(Int.random(in: 0...3, using: &self), least: 1),
            allTags: texts(Int.random(in: 0...3, using: &self), least: 1),
            noTag: texts(Int.random(in: 0...3, using: &self), least: 1),
            conditions: (0..<Int.random(in: 0...3, using: &self)).map { _ in condition() })
    }

    mutating func condition() -> AttributeCondition {
        let bounds: [Double?] = [nil, 0, -0.0, 1.5, -.infinity, Double.random(in: -1e9...1e9, using: &self)]
        var condition = AttributeCondition(
            text(least: 1), anyOf: texts(Int.random(in: 0...3, using: &self), least: 1),
            noneOf: texts(Int.random(in: 0...3, using: &self), least: 1),
            min: bounds.randomElement(using: &self) ?? nil, max: bounds.randomElement(using: &self) ?? nil)
        // A condition asks something.
        if condition.anyOf.isEmpty, condition.noneOf.isEmpty, condition.max == nil { condition.min = 0 }
        return condition
    }

    mutating func context() -> [ContextEntry] {
        (0..<Int.random(in: 0...3, using: &self)).map { _ in ContextEntry(key: text(least: 1), value: text()) }
    }

    mutating func recommendRequest() -> RecommendRequest {
        var request = RecommendRequest(user: text(least: 1), k: Int.random(in: 0...1000, using: &self))
        request.tenant = text()
        request.scenario = text()
        request.excludeItems = texts(Int.random(in: 0...40, using: &self), least: 1)
        request.filter = filter()
        request.context = context()
        request.explain = chance(2)
        request.cursor = bytes(Int.random(in: 0...40, using: &self))
        request.includeDetails = chance(2)
        request.noExploration = chance(2)
        request.seed = chance(2) ? 0 : integer(UInt64.self)
        request.pins = (0..<Int.random(in: 0...3, using: &self)).map { place in
            Pin(item: "\(place)" + text(), place: place * 300 + Int.random(in: 1...100, using: &self))
        }
        request.recentItems = texts(Int.random(in: 0...5, using: &self), least: 1)
        return request
    }

    mutating func recommendReply() -> RecommendReply {
        var reply = RecommendReply()
        let count = Int.random(in: 0...40, using: &self)
        reply.items = texts(count)
        reply.scores = floats(count)
        reply.generation = integer(UInt64.self)
        reply.model = text()
        reply.fallback = Fallback.allCases.randomElement(using: &self) ?? .none
        reply.degraded = Degradations(rawValue: integer(UInt32.self) & ~1)
        reply.nextCursor = bytes(Int.random(in: 0...40, using: &self))
        if chance(2) { reply.titles = texts(count) }
        if chance(2) { reply.reasons = texts(count) }
        reply.shares = (0..<Int.random(in: 0...5, using: &self)).map { _ in
            SourceShare(
                item: Int(integer(UInt32.self)), source: text(), rank: Int(integer(UInt32.self)),
                score: Float.random(in: -1...1, using: &self), contribution: 0)
        }
        reply.timings = (0..<Int.random(in: 0...5, using: &self)).map { _ in
            StageTiming(stage: text(), microseconds: integer(UInt32.self))
        }
        reply.arm = text()
        if chance(2) { reply.eligibleItems = Int(integer(UInt32.self)) }
        if chance(2) {
            reply.propensities = floats(count)
            reply.seed = integer(UInt64.self)
            reply.placements = (0..<count).map { _ in placement() }
        }
        if count > 0, chance(2) {
            let features = texts(Int.random(in: 1...6, using: &self))
            let items = (0..<Int.random(in: 0...count, using: &self)).map { UInt32($0) }
            reply.ranking = RankerFeatures(
                features: features, items: items, values: floats(items.count * features.count),
                contributions: floats(items.count * features.count))
        }
        reply.requestID = text()
        reply.qualityLevel = Int.random(in: 0...9, using: &self)
        return reply
    }

    mutating func placement() -> Placement {
        var placement = Placement()
        placement.placeBefore = Int(integer(UInt32.self))
        placement.isPinned = chance(2)
        placement.isExplored = chance(2)
        placement.boost = Float.random(in: -1...1, using: &self)
        placement.similarity = chance(2) ? 0 : Float.random(in: -1...1, using: &self)
        return placement
    }

    mutating func recommendManyRequest() -> RecommendManyRequest {
        var request = RecommendManyRequest(
            users: texts(Int.random(in: 1...30, using: &self), least: 1), k: Int.random(in: 0...1000, using: &self))
        request.tenant = text()
        request.scenario = text()
        request.excludeItems = texts(Int.random(in: 0...5, using: &self), least: 1)
        request.filter = filter()
        request.context = context()
        request.noExploration = chance(2)
        request.seed = chance(2) ? 0 : integer(UInt64.self)
        return request
    }

    mutating func recommendManyReply() -> RecommendManyReply {
        var reply = RecommendManyReply()
        let users = Int.random(in: 0...20, using: &self)
        reply.itemCounts = (0..<users).map { _ in UInt32.random(in: 0...9, using: &self) }
        let count = reply.itemCounts.reduce(0) { $0 + Int($1) }
        reply.items = texts(count)
        reply.scores = floats(count)
        if chance(2) { reply.propensities = floats(count) }
        reply.requestID = text()
        reply.qualityLevel = Int.random(in: 0...9, using: &self)
        reply.fallbacks = (0..<users).map { _ in Fallback.allCases.randomElement(using: &self) ?? .none }
        reply.statuses = (0..<users).map { _ in StatusCode.allCases.randomElement(using: &self) ?? .ok }
        reply.generation = integer(UInt64.self)
        reply.model = text()
        return reply
    }

    mutating func similarItemsRequest() -> SimilarItemsRequest {
        var request = SimilarItemsRequest(
            item: text(least: 1), k: Int.random(in: 0...1000, using: &self), source: text())
        request.tenant = text()
        request.excludeItems = texts(Int.random(in: 0...5, using: &self), least: 1)
        request.filter = filter()
        request.includeDetails = chance(2)
        return request
    }

    mutating func similarItemsReply() -> SimilarItemsReply {
        var reply = SimilarItemsReply()
        let count = Int.random(in: 0...40, using: &self)
        reply.items = texts(count)
        reply.scores = floats(count)
        reply.generation = integer(UInt64.self)
        reply.model = text()
        reply.source = text()
        if chance(2) { reply.titles = texts(count) }
        return reply
    }

    mutating func rankRequest() -> RankRequest {
        var request = RankRequest(user: text(least: 1), items: texts(Int.random(in: 1...40, using: &self), least: 1))
        request.tenant = text()
        request.context = (0..<Int.random(in: 0...4, using: &self)).map { _ in
            ContextEntry(key: text(least: 1), value: text())
        }
        request.explain = chance(2)
        return request
    }

    mutating func rankReply() -> RankReply {
        var reply = RankReply()
        let count = Int.random(in: 0...40, using: &self)
        reply.places = (0..<count).map { _ in integer(UInt32.self) }
        reply.scores = floats(count)
        reply.unknown = (0..<Int.random(in: 0...5, using: &self)).map { _ in integer(UInt32.self) }
        reply.generation = integer(UInt64.self)
        reply.model = text()
        if chance(2) {
            reply.features = texts(Int.random(in: 1...6, using: &self))
            reply.values = floats(count * reply.features.count)
            reply.contributions = floats(count * reply.features.count)
        }
        return reply
    }

    mutating func recordEventsRequest() -> RecordEventsRequest {
        var request = RecordEventsRequest(
            events: (0..<Int.random(in: 1...20, using: &self)).map { _ in
                var event = UserEvent(user: text(), item: text(), type: text())
                if chance(2) { event.value = Float.random(in: -5...5, using: &self) }
                if chance(5) { event.value = 0 }
                if chance(2) { event.timeMilliseconds = integer(UInt64.self) }
                event.scenario = text()
                event.requestID = text()
                event.id = text()
                return event
            })
        request.tenant = text()
        return request
    }

    mutating func recordEventsReply() -> RecordEventsReply {
        var reply = RecordEventsReply()
        reply.stored = Int(integer(UInt32.self))
        reply.duplicates = Int(integer(UInt32.self))
        reply.faults = (0..<Int.random(in: 0...5, using: &self)).map { _ in
            EventFault(
                event: Int(integer(UInt32.self)), status: EventStatus.allCases.randomElement(using: &self) ?? .invalid,
                message: text())
        }
        reply.durability = Durability.allCases.randomElement(using: &self) ?? .memory
        reply.unknownItems = Int(integer(UInt32.self))
        return reply
    }

    private mutating func seconds() -> Int64? { chance(2) ? nil : Int64(bitPattern: integer(UInt64.self)) }

    mutating func upsertItemsRequest() -> UpsertItemsRequest {
        var request = UpsertItemsRequest(
            items: (0..<Int.random(in: 1...8, using: &self)).map { _ in
                ItemDescription(
                    item: text(), title: text(), tags: texts(Int.random(in: 0...4, using: &self)),
                    attributes: (0..<Int.random(in: 0...3, using: &self)).map { _ in
                        ItemAttributeValue(
                            text(), texts: texts(Int.random(in: 0...3, using: &self)),
                            number: chance(2) ? nil : Double.random(in: -9...9, using: &self))
                    }, vector: floats(Int.random(in: 0...9, using: &self)), fromSeconds: seconds(),
                    untilSeconds: seconds())
            })
        request.tenant = text()
        return request
    }

    mutating func deleteItemsRequest() -> DeleteItemsRequest {
        var request = DeleteItemsRequest(items: texts(Int.random(in: 1...9, using: &self)), restore: chance(2))
        request.tenant = text()
        return request
    }

    mutating func setAvailabilityRequest() -> SetAvailabilityRequest {
        var request = SetAvailabilityRequest(
            items: (0..<Int.random(in: 1...9, using: &self)).map { _ in
                ItemWindow(item: text(), isHidden: chance(2), fromSeconds: seconds(), untilSeconds: seconds())
            })
        request.tenant = text()
        return request
    }

    mutating func changeItemsReply() -> ChangeItemsReply {
        var reply = ChangeItemsReply()
        reply.stored = Int(integer(UInt32.self))
        reply.faults = (0..<Int.random(in: 0...5, using: &self)).map { _ in
            ItemFault(
                item: Int(integer(UInt32.self)), status: ItemStatus.allCases.randomElement(using: &self) ?? .invalid,
                message: text())
        }
        reply.durability = Durability.allCases.randomElement(using: &self) ?? .memory
        reply.unknownItems = Int(integer(UInt32.self))
        reply.version = integer(UInt64.self)
        return reply
    }

    mutating func getItemRequest() -> GetItemRequest {
        var request = GetItemRequest(item: text(least: 1))
        request.tenant = text()
        return request
    }

    mutating func getItemReply() -> GetItemReply {
        var reply = GetItemReply()
        reply.item = text()
        reply.title = text()
        reply.tags = texts(Int.random(in: 0...5, using: &self))
        reply.interactions = integer(UInt64.self)
        reply.popularityRank = integer(UInt32.self)
        reply.generation = integer(UInt64.self)
        reply.model = text()
        return reply
    }

    mutating func healthReply() -> HealthReply {
        var reply = HealthReply()
        reply.state = HealthReply.State.allCases.randomElement(using: &self) ?? .unknown
        reply.generation = integer(UInt64.self)
        reply.model = text()
        reply.shardCount = integer(UInt32.self)
        reply.uptimeMilliseconds = integer(UInt64.self)
        reply.softwareVersion = text()
        reply.nodeName = text()
        return reply
    }

    mutating func listModelsReply() -> ListModelsReply {
        var reply = ListModelsReply()
        reply.models = (0..<Int.random(in: 0...5, using: &self)).map { _ in
            var model = ModelInfo()
            model.path = text()
            model.name = text()
            model.version = text()
            model.created = text()
            model.users = integer(UInt64.self)
            model.items = integer(UInt64.self)
            model.interactions = integer(UInt64.self)
            model.bytes = integer(UInt64.self)
            model.serving = chance(2)
            model.generation = integer(UInt64.self)
            model.fault = text()
            return model
        }
        return reply
    }

    mutating func loadModelReply() -> LoadModelReply {
        var reply = LoadModelReply()
        reply.generation = integer(UInt64.self)
        reply.model = text()
        reply.loadMilliseconds = integer(UInt64.self)
        return reply
    }

    mutating func hello() -> Hello {
        Hello(
            protocolVersion: integer(UInt32.self), partitionMapVersion: integer(UInt32.self),
            shard: chance(2) ? nil : Int.random(in: 0...100, using: &self), clientName: text(), token: text())
    }

    mutating func welcome() -> Welcome {
        Welcome(
            protocolVersion: integer(UInt32.self), partitionMapVersion: integer(UInt32.self),
            shardCount: Int(integer(UInt32.self)), shard: Int(integer(UInt32.self)),
            frameBytesMax: Int(integer(UInt32.self)), callsInFlightMax: Int(integer(UInt32.self)), nodeName: text(),
            softwareVersion: text())
    }

    mutating func errorBody() -> ErrorBody {
        ErrorBody(message: text(), retryIsSafe: chance(2), retryAfterMilliseconds: integer(UInt32.self))
    }
}
