import MartletClient
import TestSupport
import Vocabulary
import Wire

/// What a node should answer while its items change: everything is looked up by definition.
struct ItemChangeOracle {
    let world: FilterWorld
    private struct State {
        var description: ItemDescription?
        var isDeleted = false
        var window: ItemWindow?
    }
    private var states: [String: State] = [:]
    /// The order in which items came that the model does not know: their rows.
    private(set) var newItems: [String] = []

    init(_ world: FilterWorld) { self.world = world }

    func row(_ item: String) -> Int? {
        guard let row = Int(item.dropFirst()), item.first == "i", row < world.itemCount else { return nil }
        return row
    }

    mutating func apply(_ change: ItemChange) {
        switch change {
        case .upsert(let description):
            if row(description.item) == nil, !newItems.contains(description.item) { newItems.append(description.item) }
            states[description.item] = State(description: description)
        case .delete(let item): states[item] = State(isDeleted: true)
        case .window(let window): states[window.item, default: State()].window = window
        case .restore(let item): states[item] = nil
        }
    }

    func isDeleted(_ item: String) -> Bool {
        guard let state = states[item] else { return row(item) == nil }
        return state.isDeleted || row(item) == nil && state.description == nil
    }

    private func isOpen(_ item: String, _ now: Int64) -> Bool {
        if let window = states[item]?.window {
            return !window.isHidden && (window.fromSeconds ?? .min) <= now && now < (window.untilSeconds ?? .max)
        }
        if let description = states[item]?.description,
            description.fromSeconds != nil || description.untilSeconds != nil
        {
            return (description.fromSeconds ?? .min) <= now && now < (description.untilSeconds ?? .max)
        }
        guard let row = row(item), let window = world.windows?[row] else { return true }
        return (window.from ?? .min) <= now && now < (window.until ?? .max)
    }

    private func place(_ item: String) -> Double? {
        if let said = states[item]?.description?.attributes.first(where: { $0.attribute == "place" }) {
            return said.number
        }
        return row(item).flatMap { world.places[$0] }
    }

    private func brands(_ item: String) -> [String] {
        if let said = states[item]?.description?.attributes.first(where: { $0.attribute == "brand" }) {
            return said.texts
        }
        return row(item).map { world.brands[$0] } ?? []
    }

    /// Nil: as the model has it.
    func title(_ item: String) -> String? {
        states[item]?.description.flatMap { $0.title.isEmpty ? nil : $0.title }
    }

    private func passes(_ item: String, _ filter: AttributeFilter) -> Bool {
        filter.conditions.allSatisfy { condition in
            if condition.attribute == "place" {
                guard let place = place(item) else { return false }
                return (condition.min ?? -.infinity) <= place && place <= (condition.max ?? .infinity)
            }
            let own = Set(brands(item))
            return (condition.anyOf.isEmpty || !own.isDisjoint(with: condition.anyOf))
                && own.isDisjoint(with: condition.noneOf)
        }
    }

    /// What may be shown to a user.
    func eligible(_ user: Int, _ filter: AttributeFilter, excluded: [String], at now: Int64) -> Set<String> {
        let history = Set(world.histories[user].map { world.item(Int($0)) })
        let all = (0..<world.itemCount).map(world.item) + newItems
        return Set(
            all.filter {
                !isDeleted($0) && isOpen($0, now) && passes($0, filter) && !history.contains($0)
                    && !excluded.contains($0)
            })
    }

    /// The best of them, best first; rows of new items follow those of the model.
    func best(_ k: Int, of user: Int, among items: Set<String>) -> [String] {
        let scored = items.map { item in
            let vector = row(item).map { world.itemFactors[$0] } ?? states[item]?.description?.vector ?? []
            let order = row(item) ?? world.itemCount + (newItems.firstIndex(of: item) ?? 0)
            return (
                item: item, row: order,
                score: zip(vector, world.userFactors[user]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            )
        }
        return scored.sorted { ($1.score, $0.row) < ($0.score, $1.row) }.prefix(k).map(\.item)
    }
}

extension SeededGenerator {
    /// A change of some item, known to the model or not.
    mutating func itemChange(_ world: FilterWorld, around now: Int64) -> ItemChange {
        let isNew = Int.random(in: 0..<3, using: &self) == 0
        let item =
            isNew
            ? "new \(Int.random(in: 0..<40, using: &self))"
            : world.item(Int.random(in: 0..<world.itemCount, using: &self))
        func seconds() -> Int64? {
            Bool.random(using: &self) ? nil : now + Int64.random(in: -50...50, using: &self)
        }
        func window() -> (Int64?, Int64?) {
            let (from, until) = (seconds(), seconds())
            if let from, let until, from >= until { return (from, nil) }
            return (from, until)
        }
        switch Int.random(in: 0..<(isNew ? 10 : 7), using: &self) {
        case 0, 1: return .delete(item)
        case 2: return .restore(item)
        case 3, 4:
            let (from, until) = window()
            return .window(
                ItemWindow(
                    item: item, isHidden: Int.random(in: 0..<3, using: &self) == 0, fromSeconds: from,
                    untilSeconds: until))
        default:
            var description = ItemDescription(item: item, title: "title of \(item)")
            description.vector = (0..<world.rank).map { _ in Float.random(in: -1...1, using: &self) }
            if Bool.random(using: &self) {
                description.attributes.append(
                    ItemAttributeValue("place", number: Double.random(in: 0..<Double(world.itemCount), using: &self)))
            }
            description.attributes.append(
                ItemAttributeValue("brand", texts: ["b1", "b2", "b3"].filter { _ in Bool.random(using: &self) }))
            if Int.random(in: 0..<4, using: &self) == 0 {
                (description.fromSeconds, description.untilSeconds) = window()
            }
            return .upsert(description)
        }
    }
}

extension TestNode {
    /// Sends changes, one call for each run of one kind, and expects all to be stored.
    func change(_ changes: [ItemChange]) async throws -> Bool {
        var isStored = true
        for change in changes {
            let reply =
                switch change {
                case .upsert(let description): try await client.upsertItems(UpsertItemsRequest(items: [description]))
                case .delete(let item): try await client.deleteItems(DeleteItemsRequest(items: [item]))
                case .restore(let item): try await client.deleteItems(DeleteItemsRequest(items: [item], restore: true))
                case .window(let window):
                    try await client.setAvailability(SetAvailabilityRequest(items: [window]))
                }
            isStored = isStored && reply.stored == 1 && reply.faults.isEmpty
        }
        return isStored
    }
}
