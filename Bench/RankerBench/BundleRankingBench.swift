import Artifacts
import CandidateRanking
import Features
import Foundation
import LiveState
import RankingModels
import Retrieval
import VectorMath

/// What does a bundle's ranker cost a request: features of its candidates, their scores, and an explanation? On one thread, as
/// a shard does it.
package struct BundleRankingBench {
    /// Medians over users and rounds, in microseconds.
    package struct Point: Sendable {
        package let candidates: Int
        package let features: Double
        package let scores: Double
        /// What explaining `explainedCount` of them takes, and the longest step of that.
        package let explanation: Double
        package let longestStep: Double
        /// What reading a user's live state takes, of `liveEvents` events; 0 where no feature asks.
        package let live: Double

        package var text: String {
            func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
            return
                "\(candidates) candidates: features \(short(features)) us, scores \(short(scores)) us, both \(short(features + scores)) us; "
                + (live > 0 ? "reading live state \(short(live)) us; " : "")
                + "explaining \(BundleRankingBench.explainedCount) of them \(short(explanation)) us, in steps of \(short(longestStep)) us at most"
        }
    }

    static let explainedCount = 20
    /// Events of each user, where features ask for live state.
    static let liveEvents = 50
    private let model: RetrievalModel
    private let ranker: CandidateRanker

    /// - Throws: `ArtifactError`; also where the bundle has no ranker.
    package init(bundle path: String, precision: RankerPrecision) throws {
        let bundle = try Bundle(opening: path, verify: .sizes)
        guard bundle.has(RankerArtifact.fileName) else {
            throw ArtifactError(
                .notFound, path: path, "the bundle holds no ranker; train it with --ranker or --ranker-file")
        }
        model = try RetrievalModel(bundle: bundle, options: RetrievalModel.Options(index: .scan))
        let file = try bundle.file(RankerArtifact.fileName)
        ranker = try RankerCalibration(precision: precision).ranker(RankerArtifact(file), model, path: file.path).ranker
    }

    /// Microseconds of the processor that this thread takes, whatever else the machine does.
    private static func processorTime(_ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
        }
        let start = now()
        body()
        return now() - start
    }

    package var heading: String {
        "\(ranker.model.word), \(ranker.plan.schema.fields.count) features, \(model.items.count) items, \(ranker.model.byteCount) bytes, "
            + "items' parts \(ranker.itemParts.kind.rawValue); \(Kernels.isa)"
    }

    /// - Parameter users: How many, spread over all; each is asked for once a round.
    package func measure(candidates: Int, users: Int, rounds: Int) throws -> Point {
        let generator = CandidateGenerator(model: model)
        let scorer = CandidateScorer(ranker)
        let clock = ContinuousClock()
        let needs = ranker.plan.live
        let states = try UserStates(types: EventTypes())
        let shown = try UserStates(types: EventTypes())
        var activity = UserActivity()
        let now: UInt32 = 1_700_000_000
        var lives: [Double] = []
        var (features, scores, explanations, longest) = ([Double](), [Double](), [Double](), [Double]())
        for round in 0...rounds {
            for user in stride(from: 0, to: model.users.count, by: max(1, model.users.count / users)) {
                let history = model.users.history(of: UInt32(user))
                generator.mask.begin()
                generator.mask.block(history)
                generator.begin(user: UInt32(user), history: history, mix: model.mix)
                while try !generator.step() {}
                var found: [ScoredRow] = []
                generator.select(candidates, into: &found)
                // Only whole lists are compared.
                guard found.count == candidates else { continue }
                var request = RankingRequest(
                    user: UInt32(user), history: history, candidates: found, lists: generator.lists)
                if needs.user {
                    let name = Array(model.users.name(UInt32(user)).utf8)
                    let reading = name.withUnsafeBytes { name in
                        if round == 0 { Self.tell(states, shown, name, found, now) }
                        return clock.measure {
                            activity.fill(
                                name, states, shown: shown, now: now, row: needs.pairs ? { $0 } : nil)
                        }
                    }
                    request.live.user = activity
                    if round > 0 { lives.append(reading / .microseconds(1)) }
                }
                let filling = clock.measure { scorer.begin(request) }
                let scoring = clock.measure { while !scorer.step() {} }
                // The first round warms up.
                guard round > 0 else { continue }
                features.append(filling / .microseconds(1))
                scores.append(scoring / .microseconds(1))
                scorer.begin(request, keepsRows: true)
                let explained = FeatureContributions(
                    ranker, scorer.features.rows, 0..<min(Self.explainedCount, candidates))
                var steps: [Double] = []
                var isDone = false
                while !isDone { steps.append(Self.processorTime { isDone = explained.step() }) }
                explanations.append(steps.reduce(0, +))
                longest.append(steps.max() ?? 0)
            }
        }
        func median(_ values: [Double]) -> Double { values.isEmpty ? .nan : values.sorted()[values.count / 2] }
        return Point(
            candidates: candidates, features: median(features), scores: median(scores),
            explanation: median(explanations),
            longestStep: median(longest), live: lives.isEmpty ? 0 : median(lives))
    }

    /// Gives a user events of the last minutes: clicks and impressions in turns.
    private static func tell(
        _ states: UserStates, _ shown: UserStates, _ user: UnsafeRawBufferPointer, _ candidates: [ScoredRow],
        _ now: UInt32
    ) {
        let (impression, click) = (
            states.types.code(named: "impression") ?? 0, states.types.code(named: "click") ?? 0
        )
        for number in 0..<liveEvents {
            let isShown = number % 2 == 0
            let event = HistoryEvent(
                item: candidates[number % candidates.count].row, type: isShown ? impression : click,
                seconds: now - UInt32(liveEvents - number) * 20)
            (isShown ? shown : states).apply(event, user: user, now: now)
        }
    }
}
