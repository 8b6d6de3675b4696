import Features
import LiveState
import Retrieval
import VectorMath
import Vocabulary

/// Computes the features of one request's candidates by a plan. One for each shard or thread, used again without allocation.
package final class CandidateFeatures {
    /// What is computed of a request.
    package enum Form {
        /// A whole row for each candidate.
        case rows
        /// What a cut network takes: the request's own row, and each candidate's row of items and cross numbers.
        case parts
        /// Both.
        case rowsAndParts
    }

    package let plan: FeaturePlan
    /// A row for each candidate, in their order; empty in the form of parts.
    package let rows: FeatureRows
    /// Candidates of the request.
    package private(set) var count = 0
    /// In the form of parts, one row with what is of the user and the request; the rest is unknown.
    package let own: FeatureRows
    /// In the form of parts, the candidates' rows of items, and their cross numbers `crossStride` apart, zeros between.
    private(set) var items: UnsafeMutablePointer<UInt32>
    private(set) var numbers: UnsafeMutablePointer<Float>
    private let crossStride: Int
    private var capacity = 256
    /// Values of the last request that were missing and became the declared ones, or stay missing to trees, by field of the
    /// schema; of user, context and the user's live state one a request, else one a candidate.
    package private(set) var missing: [Int]
    /// Numbers of cross fields before normalisation, `[candidates, cross fields]`; for fitting it.
    package private(set) var crossNumbers: [Double?] = []
    /// Of live features of the user, by field of the schema; for the same.
    package private(set) var liveNumbers: [(field: Int, number: Double?)] = []
    package var keepsCrossNumbers = false

    private var userIDs: [UInt32] = []
    private var query: [Float] = []
    private var products: [Float] = []
    private var ids: [UInt32] = []
    private var index = CandidateIndex()
    private var values: [Double?] = []
    private var shares: [UInt32: Int] = [:]
    /// Of each candidate, where live features ask for it.
    private var activity: [ItemActivityValues?] = []
    private let neighbors: HistoryNeighbors?

    /// - Parameter crossStride: Floats from one candidate's cross numbers to the next's, in the form of parts.
    package init(_ plan: FeaturePlan, crossStride: Int = 0) {
        precondition(crossStride == 0 || crossStride >= plan.crossFields.count, "\(crossStride) floats are too few")
        self.plan = plan
        self.crossStride = crossStride
        rows = FeatureRows(plan.layout, capacity: 256)
        own = FeatureRows(plan.layout, capacity: 1)
        missing = [Int](repeating: 0, count: plan.schema.fields.count)
        neighbors = HistoryNeighbors(plan)
        items = .allocate(capacity: capacity)
        numbers = .allocate(capacity: capacity * max(crossStride, 1))
    }

    deinit {
        items.deallocate()
        numbers.deallocate()
    }

    /// Encodes the candidates of a request.
    ///
    /// - Complexity: O(candidates * fields + history), in the form of parts O(candidates * cross fields + history); factors
    ///   are read where there are products of them.
    package func fill(_ request: RankingRequest, _ form: Form = .rows) {
        for field in missing.indices { missing[field] = 0 }
        rows.removeAll()
        own.removeAll()
        count = request.candidates.count
        let bags = contextBags(request)
        if form != .parts {
            for candidate in request.candidates { rows.append(copying: Int(candidate.row), of: plan.items, bags: bags) }
        }
        if form != .rows {
            own.append()
            own.setBags { bags[$0] ?? [] }
            makeRoom()
            for (place, candidate) in request.candidates.enumerated() { items[place] = candidate.row }
            numbers.update(repeating: 0, count: count * crossStride)
        }
        setUser(request)
        setContext(request)
        setLive(request)
        setCross(request)
    }

    private func makeRoom() {
        guard count > capacity else { return }
        items.deallocate()
        numbers.deallocate()
        capacity = count * 2
        items = .allocate(capacity: capacity)
        numbers = .allocate(capacity: capacity * max(crossStride, 1))
    }

    private func setAll(_ place: FeaturePlan.Place, _ id: UInt32, _ number: Float) {
        for rows in [rows, own] {
            switch place {
            case .categorical(let field, _):
                let fields = plan.layout.categorical.count
                for row in 0..<rows.count { rows.ids[row * fields + field] = id }
            case .dense(let field):
                let numbers = plan.layout.dense.count
                for row in 0..<rows.count { rows.dense[row * numbers + field] = number }
            }
        }
    }

    private func setUser(_ request: RankingRequest) {
        let name = request.user.map(plan.model.users.name)
        for field in plan.userFields {
            switch field.value {
            case .history:
                setAll(
                    field.place, field.encoder.row(of: "\(request.history.count)"),
                    field.encoder.number(Double(request.history.count)))
            case .idle(let times):
                let last = request.user.flatMap { plan.model.users.historyTimes(of: $0)?.last }
                let days = last.flatMap { times.days(since: $0) }
                if days == nil { missing[field.field] += 1 }
                setAll(field.place, field.encoder.unknown, field.encoder.number(days))
            case .id:
                var id = field.encoder.unknown
                if let name { id = field.encoder.row(of: name) }
                if id == field.encoder.unknown { missing[field.field] += 1 }
                setAll(field.place, id, 0)
            }
        }
    }

    private func setContext(_ request: RankingRequest) {
        for field in plan.contextFields {
            let text = request.context[field.value] ?? ""
            let number = Double(text)
            if case .dense = field.place, number == nil { missing[field.field] += 1 }
            if case .categorical = field.place, text.isEmpty { missing[field.field] += 1 }
            if case .categorical(_, isMultivalued: true) = field.place { continue }
            setAll(field.place, field.encoder.row(of: text), field.encoder.number(number))
        }
    }

    private func setLive(_ request: RankingRequest) {
        if keepsCrossNumbers { liveNumbers.removeAll(keepingCapacity: true) }
        for field in plan.liveFields {
            let number = field.value.number(request.live.user)
            if number == nil { missing[field.field] += 1 }
            setAll(field.place, field.encoder.unknown, field.encoder.number(number))
            if keepsCrossNumbers { liveNumbers.append((field.field, number)) }
        }
    }

    /// Values of the request that are several, with `|` between.
    private func contextBags(_ request: RankingRequest) -> [Int: [UInt32]] {
        var bags: [Int: [UInt32]] = [:]
        for field in plan.contextFields {
            guard case .categorical(let number, isMultivalued: true) = field.place else { continue }
            let values = (request.context[field.value] ?? "").split(separator: "|")
            bags[number] = values.isEmpty ? [field.encoder.unknown] : values.map { field.encoder.row(of: String($0)) }
        }
        return bags
    }

    /// Tells how many values were missing by where they come from, where there were any.
    package func forEachMissing(_ body: (FeatureGroup, Int) -> Void) {
        for (field, count) in missing.enumerated() where count > 0 {
            if let group = plan.schema.fields[field].source.group { body(group, count) }
        }
    }

    // MARK: Of user and item

    private func setCross(_ request: RankingRequest) {
        let width = plan.layout.dense.count
        let (hasRows, hasParts) = (rows.count > 0, own.count > 0 && crossStride > 0)
        if keepsCrossNumbers { crossNumbers = [Double?](repeating: nil, count: count * plan.crossFields.count) }
        index.begin(request.candidates)
        neighbors?.visit(request, index)
        readActivity(request)
        for (column, field) in plan.crossFields.enumerated() {
            values.removeAll(keepingCapacity: true)
            switch field.value {
            case .score:
                for candidate in request.candidates {
                    values.append(request.isRetrieved ? Double(candidate.score) : nil)
                }
            case .rank:
                for place in request.candidates.indices { values.append(request.isRetrieved ? Double(place + 1) : nil) }
            case .product(let factors): takeProducts(factors, request)
            case .source(let source): takeScores(source, request)
            case .sourceRank(let source): takeScores(source, request, isPlace: true)
            case .shared(let attribute): takeShares(attribute.numbers, request)
            case .affinity(let shares): takeLifts(shares, request)
            case .historySum(let items): takeNeighbors(request) { $0.sum(place: $1, newest: items) }
            case .historyMax: takeNeighbors(request) { $0.most(place: $1) }
            case .live(let value): takePairs(value, request)
            case .liveItem(let value): takeActivity(value, request)
            }
            for (row, value) in values.enumerated() {
                if value == nil { missing[field.field] += 1 }
                let number = field.encoder.number(value)
                if hasRows { rows.dense[row * width + field.number] = number }
                if hasParts { numbers[row * crossStride + column] = number }
                if keepsCrossNumbers { crossNumbers[row * plan.crossFields.count + column] = value }
            }
        }
    }

    private func takeProducts(_ factors: RetrievalModel.Factors, _ request: RankingRequest) {
        let rank = factors.model.rank
        if factors.model.kind == .als, request.factor.count == rank {
            query = request.factor
        } else if let user = request.user {
            if query.count != rank { query = [Float](repeating: 0, count: rank) }
            query.withUnsafeMutableBufferPointer { factors.model.userFactor(user, into: $0) }
        } else {
            for _ in request.candidates { values.append(nil) }
            return
        }
        ids.removeAll(keepingCapacity: true)
        for candidate in request.candidates { ids.append(candidate.row) }
        products = [Float](repeating: 0, count: ids.count)
        factors.rows.dotMany(query, ids: ids, into: &products)
        for product in products { values.append(Double(product)) }
    }

    /// - Parameter isPlace: Whether places are wanted in place of scores.
    private func takeScores(_ source: RetrievalSource, _ request: RankingRequest, isPlace: Bool = false) {
        for _ in request.candidates { values.append(nil) }
        guard let list = request.lists.first(where: { $0.entry.source == source }) else { return }
        for (rank, row) in list.rows.enumerated() {
            if let place = index.place(of: row.row) { values[place] = isPlace ? Double(rank + 1) : Double(row.score) }
        }
    }

    private func takeNeighbors(_ request: RankingRequest, _ value: (HistoryNeighbors, Int) -> Double) {
        for candidate in request.candidates {
            // An item that the caller named twice has its sums at the first place.
            let place = index.place(of: candidate.row)
            values.append(request.history.isEmpty ? nil : neighbors.flatMap { near in place.map { value(near, $0) } })
        }
    }

    /// Asks for the activity of each candidate once, for all features of it.
    private func readActivity(_ request: RankingRequest) {
        activity.removeAll(keepingCapacity: true)
        guard plan.live.items, let items = request.live.items else { return }
        for candidate in request.candidates { activity.append(items.reader.activity(of: candidate.row)) }
    }

    private func takeActivity(_ value: LiveItemValue, _ request: RankingRequest) {
        let isFresh = request.live.items.map(value.isFresh) ?? false
        for place in request.candidates.indices {
            values.append(isFresh ? activity[place].map(value.number) : nil)
        }
    }

    private func takePairs(_ value: LiveUserValue, _ request: RankingRequest) {
        for _ in request.candidates { values.append(nil) }
        guard value.pairs(request.live.user, index, into: &values) else { return }
        // An item that the caller named twice has its counts at the first place.
        for (place, candidate) in request.candidates.enumerated() {
            if let first = index.place(of: candidate.row), first < place { values[place] = values[first] }
        }
    }

    /// Items of the history that count for shared attributes, the newest.
    private static let historyMax = 500

    private func takeShares(_ texts: (UInt32) -> UnsafeBufferPointer<UInt32>, _ request: RankingRequest) {
        let history = request.history.suffix(Self.historyMax)
        guard !history.isEmpty else {
            for _ in request.candidates { values.append(nil) }
            return
        }
        countValues(texts, history)
        let whole = Double(history.count)
        for candidate in request.candidates {
            let most = texts(candidate.row).reduce(0) { max($0, shares[$1] ?? 0) }
            values.append(Double(most) / whole)
        }
    }

    private func countValues(
        _ texts: (UInt32) -> UnsafeBufferPointer<UInt32>, _ history: ArraySlice<UInt32>
    ) {
        shares.removeAll(keepingCapacity: true)
        for item in history { for value in texts(item) { shares[value, default: 0] += 1 } }
    }

    private func takeLifts(_ attribute: AttributeShares, _ request: RankingRequest) {
        let history = request.history.suffix(Self.historyMax)
        let texts = attribute.attribute.numbers
        countValues(texts, history)
        for candidate in request.candidates {
            let own = texts(candidate.row)
            guard !history.isEmpty, !own.isEmpty else {
                values.append(nil)
                continue
            }
            let sum = own.reduce(0) {
                $0 + attribute.lift($1, count: shares[$1] ?? 0, history: history.count)
            }
            values.append(sum / Double(own.count))
        }
    }
}
