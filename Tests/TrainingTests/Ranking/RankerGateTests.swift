import Artifacts
import CandidateRanking
import Features
import RankingModels
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Training

@Suite(.ownThreads) struct RankerGateTests {
    @Test func `a gain counts when it is beyond chance and enough users were asked`() {
        let sure = PairedDifference((0..<400).map { $0 % 2 == 0 ? 0.1 : 0 })
        #expect(abs(sure.mean - 0.05) < 1e-12 && sure.isGain)
        // sqrt of the sample variance over n.
        #expect(abs(sure.standardError - (0.0025 * 400 / 399 / 400).squareRoot()) < 1e-12)
        // The same mean from fewer users, or from differences that scatter, is none.
        #expect(!PairedDifference((0..<50).map { $0 % 2 == 0 ? 0.1 : 0 }).isGain)
        #expect(!PairedDifference((0..<400).map { $0 % 2 == 0 ? 1.05 : -0.95 }).isGain)
        #expect(!PairedDifference([Double](repeating: 0, count: 400)).isGain)
        #expect(!PairedDifference([]).isGain && PairedDifference([1]).standardError == 0)
    }

    @Test func `a refusal names both figures, the margin and why`() {
        func report(_ differences: [Double]) -> RankerReport {
            let result = RankingMetrics(k: 20, itemCounts: [1], trainingUsers: 1).result()
            var ranked = result
            ranked.ndcg = 0.3254
            var retrieval = result
            retrieval.ndcg = 0.3246
            return RankerReport(
                k: 20, examples: 0, difference: PairedDifference(differences),
                classification: BinaryMetrics(logits: [], labels: []), retrieval: retrieval, ranked: ranked)
        }
        let few = report((0..<50).map { $0 % 2 == 0 ? 0.1 : 0 })
        #expect(few.refusal?.contains("50 users to judge the ranker by are too few to tell, 100 are needed") == true)
        let chance = report((0..<400).map { $0 % 2 == 0 ? 1.05 : -0.95 })
        #expect(
            chance.refusal
                == "the ranker's gain is within what chance would do (ndcg@20 0.3254 against retrieval's 0.3246: +0.0500 with a "
                + "standard error of 0.0501 over 400 users, and a gain of more than 0.0824 is needed)",
            "\(chance.refusal ?? "")")
        #expect(report((0..<400).map { _ in -0.1 }).refusal?.contains("no better than retrieval") == true)
        #expect(report((0..<400).map { $0 % 2 == 0 ? 0.1 : 0 }).refusal == nil)
    }

    // MARK: Cuts

    private func imported(_ lines: [String]) throws -> Interactions {
        let folder = try ScratchFolder()
        return try InteractionImporter().read(folder.write("pairs.csv", lines.joined(separator: "\n") + "\n"))
            .interactions
    }

    @Test func `with times the cut is a moment, and nothing after it is known`() throws {
        var random = SeededGenerator(seed: 8)
        var lines = ["user,item,value,timestamp"]
        for user in 0..<500 {
            for _ in 0..<12 {
                let time = 1_600_000_000 + Int.random(in: 0..<10_000_000, using: &random)
                lines.append("u\(user),i\(Int.random(in: 0..<200, using: &random)),1,\(time)")
            }
        }
        let cuts = try RankerCuts(imported(lines), share: 0.2, seed: 1)
        #expect(cuts.arePast)
        let earlier = try #require(cuts.earlier)
        for split in [cuts.newest, earlier] {
            let (before, after) = (try #require(split.training.times), try #require(split.test.times))
            #expect(before.max() ?? 0 < after.min() ?? 0)
        }
        // The earlier stretch ends where the newest begins.
        #expect(earlier.training.count + earlier.test.count == cuts.newest.training.count)
        #expect(earlier.test.times?.max() ?? 0 < cuts.newest.test.times?.min() ?? 0)
        #expect(abs(earlier.test.count - cuts.newest.test.count) < 50)
    }

    @Test func `where users do not come back, or there are no times, a part of each is held out`() throws {
        var lines = ["user,item,value,timestamp"]
        // Each user comes once, in a minute of their own.
        for user in 0..<500 {
            for n in 0..<10 { lines.append("u\(user),i\((user + n * 7) % 90),1,\(1_600_000_000 + user * 60 + n)") }
        }
        for isTimed in [true, false] {
            let data = try imported(
                isTimed ? lines : lines.map { $0.split(separator: ",").prefix(2).joined(separator: ",") })
            let cuts = try RankerCuts(data, share: 0.2, seed: 1)
            #expect(!cuts.arePast && cuts.earlier == nil)
            #expect(abs(Double(cuts.newest.test.count) / Double(data.count) - 0.2) < 0.03)
        }
    }
}
