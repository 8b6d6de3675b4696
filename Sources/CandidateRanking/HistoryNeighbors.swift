import FactorModels
import Retrieval
import VectorMath

/// What the newest items of a history say of each candidate, as their neighbour. One for each shard or thread.
///
/// Retrieval sums over the whole history; what a user did last, and how near a candidate is to any one item, is lost in that.
final class HistoryNeighbors {
    /// Items of a history that are looked at, the newest.
    static let itemsMax = 50

    private let lists: ItemNeighbors
    /// How many newest items the sums are over, ascending, each once.
    private let lengths: [Int]
    /// By item row, the place of the candidate plus 1; all 0 between requests.
    private var places: [UInt16]
    /// Shape `[candidates, lengths]`.
    private var sums: [Float] = []
    private var largest: [Float] = []

    /// Nil where no feature needs it, or the model has no neighbours.
    init?(_ plan: FeaturePlan) {
        var (lengths, isNeeded) = (Set<Int>(), false)
        for field in plan.crossFields {
            switch field.value {
            case .historySum(let items):
                lengths.insert(min(items, Self.itemsMax))
                isNeeded = true
            case .historyMax: isNeeded = true
            default: break
            }
        }
        guard isNeeded, let lists = plan.model.neighbors else { return nil }
        self.lists = lists
        self.lengths = lengths.sorted()
        places = [UInt16](repeating: 0, count: plan.model.items.count)
    }

    /// Goes through the history of a request.
    ///
    /// - Complexity: O(`itemsMax` * neighbours of an item + candidates).
    func visit(_ request: RankingRequest) {
        let candidates = request.candidates.prefix(Int(UInt16.max) - 1)
        sums.removeAll(keepingCapacity: true)
        sums.append(contentsOf: repeatElement(0, count: request.candidates.count * lengths.count))
        largest.removeAll(keepingCapacity: true)
        largest.append(contentsOf: repeatElement(0, count: request.candidates.count))
        for (place, candidate) in candidates.enumerated() { places[Int(candidate.row)] = UInt16(place + 1) }
        defer { for candidate in candidates { places[Int(candidate.row)] = 0 } }
        for (age, item) in request.history.suffix(Self.itemsMax).reversed().enumerated() {
            let (rows, weights) = lists.neighbors(of: item)
            for (row, weight) in zip(rows, weights) {
                let place = Int(places[Int(row)]) - 1
                if place < 0 { continue }
                largest[place] = max(largest[place], weight)
                for (number, length) in lengths.enumerated() where age < length {
                    sums[place * lengths.count + number] += weight
                }
            }
        }
    }

    func sum(place: Int, newest items: Int) -> Double {
        let number = lengths.firstIndex(of: min(items, Self.itemsMax)) ?? 0
        return Double(sums[place * lengths.count + number])
    }

    func most(place: Int) -> Double { Double(largest[place]) }
}
