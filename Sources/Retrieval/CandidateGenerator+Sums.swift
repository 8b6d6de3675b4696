import NearestNeighbors
import VectorMath
import Vocabulary

// Sources whose candidates' scores are sums over what something else names: the items of the history, terms, or users.

extension CandidateGenerator {
    /// What generators use while they work, one at a time.
    package final class Scratch {
        let search = SearchScratch()
        /// By item row; all 0 between uses.
        var sums: [Float]
        var summed: [UInt32] = []
        var profile: ContentIndex.Profile?

        package init(model: RetrievalModel) {
            sums = Array(repeating: 0, count: model.items.count)
            profile = model.content.map { ContentIndex.Profile($0) }
        }

        /// Bytes held.
        package var byteCount: Int { Self.byteCount(items: sums.count) + search.byteCount }

        /// What is as large as the catalogue.
        package static func byteCount(items: Int) -> Int { items * 4 }

        /// Adds what the profile has in common with items to the sums; whether all of it is added.
        func addContent(of model: RetrievalModel, limit: Int) -> Bool {
            guard let content = model.content else { return true }
            return profile?.advance(content, sums: &sums, met: &summed, limit: limit) ?? true
        }

        func forgetSums() {
            for row in summed { sums[Int(row)] = 0 }
            summed.removeAll(keepingCapacity: true)
        }
    }

    /// Items of a history whose neighbours are summed in one step: about 100 microseconds.
    private static let historyItemsPerStep = 128

    /// A candidate's score is the sum of its weights among the neighbours of the items of the history.
    func sumNeighbors(_ entry: RetrievalMix.Entry, from first: Int) {
        guard let neighbors = model.neighbors else { return }
        let end = min(history.count, first + Self.historyItemsPerStep)
        for item in history[first..<end] {
            let (rows, weights) = neighbors.neighbors(of: item)
            for position in rows.indices {
                let row = rows[position]
                if scratch.sums[Int(row)] == 0 { scratch.summed.append(row) }
                scratch.sums[Int(row)] += weights[position]
            }
        }
        if end < history.count {
            work = .sum(entry, next: end)
            return
        }
        takeSums(SourceList(entry: entry))
    }

    /// Items of postings that are summed in one step: about 100 microseconds.
    private static let contentItemsPerStep = 16_384

    /// A candidate's score is how much it has in common with the newest items of the history.
    func sumContent(_ entry: RetrievalMix.Entry) {
        let isDone = scratch.addContent(of: model, limit: Self.contentItemsPerStep)
        if isDone { takeSums(SourceList(entry: entry)) } else { work = .content(entry) }
    }

    /// Items of users that are summed in one step: about 100 microseconds.
    private static let userItemsPerStep = 8_192

    /// A candidate's score is the sum of the weights of the users like this one that had it.
    func sumUsers(_ list: SourceList, from first: Int) {
        var left = Self.userItemsPerStep
        var next = first
        while next < likeUsers.count {
            guard left > 0 else {
                work = .users(list, next: next)
                return
            }
            let like = likeUsers[next]
            next += 1
            let weight = UserNeighbors.weight(like.score)
            if like.row == user || weight == 0 { continue }
            let items = model.users.history(of: like.row).suffix(UserNeighbors.itemsPerUserMax)
            for row in items {
                if scratch.sums[Int(row)] == 0 { scratch.summed.append(row) }
                scratch.sums[Int(row)] += weight
            }
            left -= items.count
        }
        takeSums(list)
    }

    /// Ends a source that summed: the best eligible rows by their sums, which are forgotten.
    private func takeSums(_ list: SourceList) {
        var list = list
        var top = TopK(k: list.entry.limit)
        for row in scratch.summed {
            let sum = scratch.sums[Int(row)]
            // A row may stand here twice when its sum passed through 0; the first visit takes it.
            if sum != 0, mask.isEligible(row) { top.push(row: row, score: sum) }
            scratch.sums[Int(row)] = 0
        }
        scratch.summed.removeAll(keepingCapacity: true)
        top.drain(into: &list.rows)
        append(list)
    }
}
