import RankingModels
import Retrieval

/// Which of a window's users, in the order that a seed decides, judge a ranker, say when its fit stops, and teach it.
///
/// One rule for who fits here and for who learns elsewhere from what `ExampleExport` writes, so that nobody judges what they
/// taught.
struct UserDeal: Equatable {
    struct Limits: Equatable {
        var judging = 5000
        var stopping = 2000
        var learning = 20_000
    }

    let judging: Range<Int>
    let stopping: Range<Int>
    let learning: Range<Int>

    /// Three tenths judge where they are to, one stops, the rest teach; nobody past the limits does anything.
    ///
    /// Who judges depends neither on how many stop nor on how many teach.
    init(_ count: Int, judges: Bool, _ limits: Limits) {
        let judged = judges ? min(count * 3 / 10, limits.judging) : 0
        let stopped = min(count / 10, limits.stopping)
        judging = 0..<judged
        stopping = judged..<judged + stopped
        learning = judged + stopped..<judged + stopped + min(count - judged - stopped, limits.learning)
    }
}

extension FittedCandidates {
    /// Candidates of the mix of a model.
    package init(count: Int, of model: RetrievalModel) {
        self.init(count: count, sources: model.mix.sources.map(\.source).filter(model.has).map(\.rawValue))
    }
}
