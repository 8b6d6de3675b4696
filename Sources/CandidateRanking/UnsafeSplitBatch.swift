import Features
import RankingModels

/// Scores candidates of several requests with a cut network: requests that have not begun in one product, then the rows of
/// all, `Network.rowsTogether` at a time.
package final class SplitBatch {
    private let split: SplitNetwork
    private let scratch: SplitScratch
    /// A row for each request that begins.
    private let beginning: FeatureRows
    private var seats: [SplitNetwork.Seat] = []
    private let logits: UnsafeMutablePointer<Float>

    init(_ split: SplitNetwork) {
        self.split = split
        scratch = SplitScratch(split)
        beginning = FeatureRows(split.network.layout, capacity: 16)
        logits = .allocate(capacity: Network.rowsTogether)
    }

    deinit { logits.deallocate() }

    /// Scores the parts of a batch; requests' own shares are computed with their first rows.
    func score(_ parts: [BatchScorer.Part]) {
        begin(parts.filter { $0.rows.lowerBound == 0 })
        var block: [BatchScorer.Part] = []
        var room = Network.rowsTogether
        for part in parts {
            var next = part.rows.lowerBound
            while next < part.rows.upperBound {
                let end = min(next + room, part.rows.upperBound)
                block.append(BatchScorer.Part(scorer: part.scorer, rows: next..<end))
                room -= end - next
                next = end
                if room == 0 {
                    scoreBlock(block)
                    block.removeAll(keepingCapacity: true)
                    room = Network.rowsTogether
                }
            }
        }
        if !block.isEmpty { scoreBlock(block) }
    }

    private func begin(_ parts: [BatchScorer.Part]) {
        guard let one = parts.first?.scorer else { return }
        if parts.count == 1 { return split.begin([one.own].compactMap(\.self), one.features.own, scratch) }
        beginning.removeAll()
        for part in parts { beginning.append(copying: 0, of: part.scorer.features.own) }
        split.begin(parts.compactMap(\.scorer.own), beginning, scratch)
    }

    private func scoreBlock(_ block: [BatchScorer.Part]) {
        seats.removeAll(keepingCapacity: true)
        for part in block {
            guard let own = part.scorer.own else { preconditionFailure("a scorer of whole rows") }
            let features = part.scorer.features
            seats.append(
                SplitNetwork.Seat(
                    request: own,
                    items: UnsafeBufferPointer(start: features.items + part.rows.lowerBound, count: part.rows.count),
                    numbers: UnsafePointer(features.numbers + part.rows.lowerBound * split.crossStride)))
        }
        split.score(seats, scratch, into: logits)
        var first = 0
        for part in block {
            part.scorer.take(logits + first, part.rows)
            first += part.rows.count
        }
    }
}
