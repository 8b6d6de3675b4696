import Catalog
import VectorMath

#if canImport(Glibc)
    import Glibc
#endif

/// Which items are alike by what they are, not by who had them: tags, values of text attributes, classes of numbers.
///
/// An item is a vector over terms. A term that few items have says more: its weight is `log(items / items that have it)`,
/// and vectors have length 1. Likeness is the cosine; a candidate's score is that times the root of how many had it, as
/// among very many items that are alike in a few tags nothing else tells which are good. For each term the items that have
/// it stand by what they add to a score, so that of a long list the beginning is what counts.
///
/// Immutable; shared by all shards. Needs no interactions, so it knows new items as well as old ones.
/// - Note: Salton and Buckley 1988 (tf-idf); Anh and Moffat 2001 (lists by impact).
package final class ContentIndex: Sendable {
    package let itemCount: Int
    private let terms: ContentTerms
    /// By item: `sqrt(1 + interactions)`.
    private let appeal: [Float]
    /// By term; 0: it tells nothing (one item has it, or all do).
    private let significance: [Float]
    /// The terms of row `i` are `itemTerms[itemOffsets[i]..<itemOffsets[i + 1]]`, by falling weight.
    private let itemOffsets: [UInt32]
    private let itemTerms: [UInt32]
    private let itemWeights: [Float]
    /// The items of term `t` are `rows[termOffsets[t]..<termOffsets[t + 1]]`, by falling weight times appeal, then row.
    private let termOffsets: [UInt32]
    private let rows: [UInt32]
    private let weights: [Float]

    /// Terms of an item that count: those that say most.
    static let termsPerItemMax = 32
    /// Terms of a profile that are looked up.
    static let termsMax = 24
    /// Items of a term that are looked at.
    static let itemsPerTermMax = 8192
    /// Items of a history that make a profile: the newest.
    package static let historyItemsMax = 20

    /// - Complexity: O(items * terms of an item) and sorting the lists of the terms.
    package init(_ items: ItemCatalog) {
        let terms = ContentTerms(items)
        let itemCount = items.count
        var counts = [UInt32](repeating: 0, count: terms.count)
        for row in 0..<UInt32(itemCount) { terms.forEach(of: row) { counts[$0] += 1 } }
        let significance = counts.indices.map { term -> Float in
            let count = counts[term]
            if count < 2 || Int(count) == itemCount { return 0 }
            return Float(log(Double(itemCount) / Double(count)))
        }
        let appeal = (0..<UInt32(itemCount)).map { Float(1 + items.interactions($0)).squareRoot() }
        var itemOffsets: [UInt32] = [0]
        var itemTerms: [UInt32] = []
        var itemWeights: [Float] = []
        var listCounts = [UInt32](repeating: 0, count: terms.count)
        var own: [ScoredRow] = []
        for row in 0..<UInt32(itemCount) {
            own.removeAll(keepingCapacity: true)
            terms.forEach(of: row) {
                if significance[$0] > 0 { own.append(ScoredRow(row: UInt32($0), score: significance[$0])) }
            }
            Self.keepUnit(&own, most: Self.termsPerItemMax)
            for term in own {
                itemTerms.append(term.row)
                itemWeights.append(term.score)
                listCounts[Int(term.row)] += 1
            }
            itemOffsets.append(UInt32(itemTerms.count))
        }
        var termOffsets: [UInt32] = [0]
        for count in listCounts { termOffsets.append((termOffsets.last ?? 0) + count) }
        var next = termOffsets
        var lists = [ScoredRow](repeating: ScoredRow(row: 0, score: 0), count: itemTerms.count)
        for row in 0..<itemCount {
            for place in Int(itemOffsets[row])..<Int(itemOffsets[row + 1]) {
                let term = Int(itemTerms[place])
                lists[Int(next[term])] = ScoredRow(row: UInt32(row), score: itemWeights[place] * appeal[row])
                next[term] += 1
            }
        }
        for term in 0..<terms.count {
            lists[Int(termOffsets[term])..<Int(termOffsets[term + 1])].sort { ($1.score, $0.row) < ($0.score, $1.row) }
        }
        self.itemCount = itemCount
        self.terms = terms
        self.appeal = appeal
        self.significance = significance
        self.itemOffsets = itemOffsets
        self.itemTerms = itemTerms
        self.itemWeights = itemWeights
        self.termOffsets = termOffsets
        rows = lists.map(\.row)
        weights = lists.map(\.score)
    }

    package var byteCount: Int {
        (itemOffsets.count + itemTerms.count + itemWeights.count + significance.count + appeal.count + termOffsets.count
            + rows.count
            + weights.count) * 4
    }

    /// Whether no two items have anything in common.
    package var isEmpty: Bool { rows.isEmpty }

    /// The strongest `most` entries, by falling score, scaled to length 1.
    private static func keepUnit(_ entries: inout [ScoredRow], most: Int) {
        entries.sort { ($1.score, $0.row) < ($0.score, $1.row) }
        if entries.count > most { entries.removeSubrange(most...) }
        let length = entries.reduce(Float(0)) { $0 + $1.score * $1.score }.squareRoot()
        if length > 0 { for n in entries.indices { entries[n].score /= length } }
    }

    // MARK: Profiles

    /// What somebody wants: terms with weights, the strongest first, of length 1. With scratch for one thread.
    struct Profile {
        fileprivate(set) var terms: [ScoredRow] = []
        /// By term; all 0 between uses.
        fileprivate var sums: [Float]
        fileprivate var touched: [UInt32] = []
        /// The next term to look up.
        fileprivate var next = 0

        init(_ index: ContentIndex) { sums = Array(repeating: 0, count: index.terms.count) }

        mutating func make(of items: some BidirectionalCollection<UInt32>, _ index: ContentIndex) {
            index.make(&self, of: items)
        }

        mutating func advance(
            _ index: ContentIndex, sums: inout [Float], met: inout [UInt32], limit: Int
        ) -> Bool {
            index.advance(&self, sums: &sums, met: &met, limit: limit)
        }
    }

    /// Makes the profile of items: the sum of their vectors.
    ///
    /// - Parameter items: Of more than `historyItemsMax`, the last count.
    /// - Complexity: O(items * terms of an item), both bounded; allocates nothing once the profile has grown.
    func make(_ profile: inout Profile, of items: some BidirectionalCollection<UInt32>) {
        profile.terms.removeAll(keepingCapacity: true)
        profile.next = 0
        for item in items.suffix(Self.historyItemsMax) {
            precondition(Int(item) < itemCount, "item \(item) of \(itemCount)")
            for place in Int(itemOffsets[Int(item)])..<Int(itemOffsets[Int(item) + 1]) {
                let term = itemTerms[place]
                if profile.sums[Int(term)] == 0 { profile.touched.append(term) }
                profile.sums[Int(term)] += itemWeights[place]
            }
        }
        for term in profile.touched {
            profile.terms.append(ScoredRow(row: term, score: profile.sums[Int(term)]))
            profile.sums[Int(term)] = 0
        }
        profile.touched.removeAll(keepingCapacity: true)
        Self.keepUnit(&profile.terms, most: Self.termsMax)
    }

    /// Makes the profile of an item that is not in the catalogue.
    func make(_ profile: inout Profile, of values: ItemValues) {
        profile.next = 0
        profile.terms = terms.terms(of: values).compactMap {
            significance[$0] > 0 ? ScoredRow(row: UInt32($0), score: significance[$0]) : nil
        }
        Self.keepUnit(&profile.terms, most: Self.termsMax)
    }

    /// Adds the likeness of items, times their appeal, to `sums`, term after term.
    ///
    /// - Parameters:
    ///   - sums: By item row; 0 for what was not met.
    ///   - met: The rows whose sum this made more than 0.
    ///   - limit: Items to look at until the next return, about.
    /// - Returns: Whether all terms are looked up.
    func advance(
        _ profile: inout Profile, sums: inout [Float], met: inout [UInt32], limit: Int = .max
    ) -> Bool {
        var left = limit
        while profile.next < profile.terms.count {
            guard left > 0 else { return false }
            let (term, weight) = (profile.terms[profile.next].row, profile.terms[profile.next].score)
            profile.next += 1
            let first = Int(termOffsets[Int(term)])
            let end = min(Int(termOffsets[Int(term) + 1]), first + Self.itemsPerTermMax)
            for place in first..<end {
                let row = rows[place]
                if sums[Int(row)] == 0 { met.append(row) }
                sums[Int(row)] += weight * weights[place]
            }
            left -= end - first
        }
        return true
    }

    // MARK: Likeness

    /// The items most like an item that need not be in the catalogue.
    ///
    /// - Parameters:
    ///   - isEligible: Which may be found; nil: all.
    /// - Returns: At most `k` with something in common, best first, ties by ascending row.
    /// - Complexity: O(items) memory, and what `advance` costs: for new items, not for requests.
    package func nearest(
        to values: ItemValues, k: Int, where isEligible: ((UInt32) -> Bool)? = nil
    ) -> [ScoredRow] {
        var profile = Profile(self)
        make(&profile, of: values)
        return best(of: &profile, k: k) { isEligible?($0) ?? true ? $1 / appeal[Int($0)] : nil }
    }

    /// What the source brings for a history, whose own items are among them.
    package func candidates(for history: some BidirectionalCollection<UInt32>, k: Int) -> [ScoredRow] {
        var profile = Profile(self)
        make(&profile, of: history)
        return best(of: &profile, k: k) { _, sum in sum }
    }

    /// The items most like an item of the catalogue, itself left out.
    package func nearest(to item: UInt32, k: Int, where isEligible: ((UInt32) -> Bool)? = nil) -> [ScoredRow] {
        var profile = Profile(self)
        make(&profile, of: CollectionOfOne(item))
        return best(of: &profile, k: k) { $0 != item && isEligible?($0) ?? true ? $1 / appeal[Int($0)] : nil }
    }

    /// The likeness that is in a sum of `advance`.
    func likeness(_ row: UInt32, sum: Float) -> Float { sum / appeal[Int(row)] }

    /// The best by a score of their sums; nil: not wanted.
    private func best(of profile: inout Profile, k: Int, score: (UInt32, Float) -> Float?) -> [ScoredRow] {
        var sums = [Float](repeating: 0, count: itemCount)
        var met: [UInt32] = []
        _ = advance(&profile, sums: &sums, met: &met)
        var top = TopK(k: k)
        for row in met {
            if let score = score(row, sums[Int(row)]) { top.push(row: row, score: score) }
        }
        return top.sorted()
    }

    /// What an item has in common with others, in words, what says most first.
    ///
    /// - Parameter items: Of more than `historyItemsMax`, the last count.
    package func common(_ row: UInt32, with items: some BidirectionalCollection<UInt32>, most: Int) -> [String] {
        var theirs: Set<UInt32> = []
        for item in items.suffix(Self.historyItemsMax) where Int(item) < itemCount {
            theirs.formUnion(itemTerms[Int(itemOffsets[Int(item)])..<Int(itemOffsets[Int(item) + 1])])
        }
        let own = itemTerms[Int(itemOffsets[Int(row)])..<Int(itemOffsets[Int(row) + 1])]
        return own.filter(theirs.contains).prefix(most).map { terms.name(Int($0)) }
    }
}
