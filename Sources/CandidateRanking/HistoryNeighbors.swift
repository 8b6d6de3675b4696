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
    }

    /// Goes through the history of a request.
    ///
    /// - Parameter index: Of the request's candidates.
    /// - Complexity: O(`itemsMax` * neighbours of an item + candidates).
    func visit(_ request: RankingRequest, _ index: CandidateIndex) {
        sums.removeAll(keepingCapacity: true)
        sums.append(contentsOf: repeatElement(0, count: request.candidates.count * lengths.count))
        largest.removeAll(keepingCapacity: true)
        largest.append(contentsOf: repeatElement(0, count: request.candidates.count))
        for (age, item) in request.history.suffix(Self.itemsMax).reversed().enumerated() {
            let (rows, weights) = lists.neighbors(of: item)
            for (row, weight) in zip(rows, weights) {
                guard let place = index.place(of: row) else { continue }
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
