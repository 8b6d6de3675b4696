import Catalog
import Features

/// Where an item feature reads.
enum ItemValue {
    case id(ItemCatalog)
    case texts(TextAttribute)
    case numbers(NumberAttribute)
    case popularity(ItemCatalog)
    case recent(ItemCatalog)
    case recentDays(InteractionTimes, Int)
    case age(InteractionTimes)
    case idle(InteractionTimes)

    /// - Parameter times: Nil where the bundle has none.
    init?(_ source: FeatureSource, _ items: ItemCatalog, _ times: InteractionTimes?) {
        switch source {
        case .itemID: self = .id(items)
        case .itemTags: self = .texts(items.tagValues)
        case .itemPopularity: self = .popularity(items)
        case .itemRecentPopularity: self = .recent(items)
        case .itemRecent, .itemAge, .itemIdle:
            guard let times else { return nil }
            switch source {
            case .itemRecent(let days): self = .recentDays(times, days)
            case .itemAge: self = .age(times)
            default: self = .idle(times)
            }
        case .itemAttribute(let name):
            if name == items.details.tagsName {
                self = .texts(items.tagValues)
                return
            }
            switch items.details.attributes.first(where: { $0.name == name })?.content {
            case .text(let texts): self = .texts(texts)
            case .number(let numbers): self = .numbers(numbers)
            case nil: return nil
            }
        default: return nil
        }
    }

    /// The item's values as texts; those of numbers as they print.
    func texts(_ row: UInt32) -> [String] {
        switch self {
        case .id(let items): [items.name(row)]
        case .texts(let texts): texts.numbers(row).map(texts.value)
        case .numbers, .popularity, .recent, .recentDays, .age, .idle: number(row).map { ["\($0)"] } ?? []
        }
    }

    /// The item's value as a number; nil where it has none.
    func number(_ row: UInt32) -> Double? {
        switch self {
        case .id: nil
        case .texts(let texts): texts.numbers(row).first.flatMap { Double(texts.value($0)) }
        case .numbers(let numbers): numbers.value(row)
        case .popularity(let items): Double(items.interactions(row))
        case .recent(let items): Double(items.recentScores[Int(row)])
        case .recentDays(let times, let days): times.recent(row, days: days)
        case .age(let times): times.age(row)
        case .idle(let times): times.idle(row)
        }
    }
}
