import FactorModels
import Retrieval
import Synchronization
import TestSupport
import Testing
import Vocabulary

@testable import Training

@Suite(.ownThreads) struct TunerTests {
    /// Users of two tastes with their own items each, and everybody's favourites.
    private func interactions() throws -> (training: Interactions, validation: Interactions) {
        var random = SplitMix64(seed: 5)
        var builder = ""
        for user in 0..<120 {
            for _ in 0..<12 {
                let item = Int(random.next() % 40) + (random.unit() < 0.85 ? (user % 2) * 40 : 80)
                builder += "u\(user),i\(item)\n"
            }
        }
        let folder = try ScratchFolder()
        let path = try folder.write("pairs.csv", builder)
        let data = try InteractionImporter(ImportOptions(), onProgress: { _ in }).read(path).interactions
        let split = try data.split(.random, share: 0.25, seed: 2)
        return (split.training, split.test)
    }

    private func plan() -> TrainingPlan {
        var plan = TrainingPlan()
        plan.threads = 2
        plan.als?.rank = 16
        plan.als?.iterations = 2
        plan.spectral = nil
        plan.neighbors.lowPassRank = 8
        return plan
    }

    /// A clock that moves by a second each time it is read.
    private final class Ticks: Sendable {
        private let count = Mutex(0)
        var next: Duration {
            count.withLock {
                $0 += 1; return .seconds($0)
            }
        }
    }

    @Test func `without a budget the plan's fits get the best mix`() throws {
        let (training, validation) = try interactions()
        let outcome = try Tuner(plan(), budget: .zero, elapsed: { .seconds(1) })
            .tune(training: training, validation: validation)
        #expect(outcome.trials.map(\.change) == ["your settings"])
        let mix = try #require(outcome.plan.mix)
        #expect(mix.fault() == nil)
        #expect(outcome.plan.als == plan().als && outcome.plan.neighbors == plan().neighbors)
        #expect(outcome.ndcg > 0 && outcome.recall > 0 && outcome.users > 100)
    }

    @Test func `sources that the plan names besides are weighed too, and only they`() throws {
        let (training, validation) = try interactions()
        var attributes = ItemAttributes()
        for item in 0..<training.itemCount {
            let id = training.items.string(UInt32(item))
            let number = Int(id.dropFirst()) ?? 0
            attributes.entries[id] = .init(title: id, tags: ["taste \(number / 40)", "shelf \(number % 7)"])
        }
        func outcome(_ sources: Set<RetrievalSource>) throws -> Tuner.Outcome {
            var plan = plan()
            plan.extraSources = sources
            return try Tuner(plan, budget: .zero, elapsed: { .seconds(1) })
                .tune(training: training, validation: validation, attributes: attributes)
        }
        let (usual, all) = (try outcome([]), try outcome([.content, .userToUser]))
        #expect(all.ndcg >= usual.ndcg)
        let mix = try #require(all.plan.mix)
        #expect(mix.fault() == nil)
        #expect(mix.sources.contains { [.content, .userToUser].contains($0.source) })
        #expect(usual.plan.mix?.sources.contains { [.content, .userToUser].contains($0.source) } == false)
    }

    @Test func `trials and outcome are the same each time, kept trials only rise, and a longer budget goes on`() throws
    {
        let (training, validation) = try interactions()
        func tune(_ seconds: Int, threads: Int) throws -> Tuner.Outcome {
            var plan = plan()
            plan.threads = threads
            // Time passes by the trial, so that the machine's speed decides nothing.
            let trials = Mutex(0)
            return try Tuner(
                plan, budget: .seconds(seconds), elapsed: { .seconds(trials.withLock { $0 }) },
                onTrial: { _ in trials.withLock { $0 += 1 } }
            ).tune(training: training, validation: validation)
        }
        let (short, again, long) = (try tune(3, threads: 1), try tune(3, threads: 2), try tune(6, threads: 2))
        #expect(short.trials == again.trials)
        #expect(Array(long.trials.prefix(short.trials.count)) == short.trials)
        #expect(short.trials.count == 3 && long.trials.count == 6)
        let kept = long.trials.filter(\.isKept).map(\.ndcg)
        #expect(zip(kept, kept.dropFirst()).allSatisfy { $0 < $1 })
        #expect(long.ndcg == kept.last && long.ndcg >= short.ndcg)
        #expect(long.trials.filter { !$0.isKept }.allSatisfy { $0.ndcg <= long.ndcg })
        #expect(try long.json["trials"] != nil)
    }

    @Test func `a budget that ends inside a trial leaves the best so far`() throws {
        let (training, validation) = try interactions()
        let ticks = Ticks()
        let outcome = try Tuner(plan(), budget: .seconds(30), elapsed: { ticks.next })
            .tune(training: training, validation: validation)
        #expect(!outcome.trials.isEmpty && outcome.plan.mix != nil)
    }

    @Test func `cancellation ends a tuning, and nobody to ask is an error`() throws {
        let (training, validation) = try interactions()
        let cancellation = Cancellation()
        cancellation.cancel()
        #expect(throws: CancellationError.self) {
            try Tuner(plan(), budget: .seconds(5), elapsed: { .zero }, cancellation: cancellation)
                .tune(training: training, validation: validation)
        }
        #expect(throws: DatasetError.self) {
            try Tuner(plan(), budget: .seconds(5), elapsed: { .zero }).tune(training: training, validation: training)
        }
    }
}
