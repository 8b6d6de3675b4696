import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct RankingMetricsTests {
    @Test func `Two users by hand`() {
        var metrics = RankingMetrics(k: 4, itemCounts: [8, 4, 2, 1, 1, 0], trainingUsers: 8)
        // Hits at ranks 2 and 4 of 3 relevant; nothing found of 1.
        metrics.add(ranking: [0, 1, 2, 3], relevant: [1, 3, 5])
        metrics.add(ranking: [0, 1, 4, 2], relevant: [5])
        let result = metrics.result()
        #expect(result.users == 2)
        #expect(abs(result.recall - (2.0 / 3) / 2) < 1e-12)
        #expect(abs(result.precision - 0.25) < 1e-12)
        let gain = 1 / log2(3.0) + 1 / log2(5.0)
        let ideal = 1 + 1 / log2(3.0) + 1 / log2(4.0)
        #expect(abs(result.ndcg - gain / ideal / 2) < 1e-12)
        #expect(result.hitRate == 0.5)
        #expect(abs(result.mrr - 0.25) < 1e-12)
        #expect(abs(result.map - (1.0 / 2 + 2.0 / 4) / 3 / 2) < 1e-12)
        #expect(abs(result.coverage - 5.0 / 6) < 1e-12)
        // Shown 2, 2, 2, 1, 1, 0 times; ascending 0 1 1 2 2 2 with weights -5 -3 -1 1 3 5, over 6 * 8.
        #expect(abs(result.gini - 14.0 / 48) < 1e-12)
        #expect(abs(result.popularity - (8 + 4 + 2 + 1 + 8 + 4 + 1 + 2) / 8.0) < 1e-12)
        #expect(abs(result.novelty - (0 + 1 + 2 + 3 + 0 + 1 + 3 + 2) / 8.0) < 1e-12)
    }

    @Test func `A perfect ranking has the best value of everything`() {
        var metrics = RankingMetrics(k: 3, itemCounts: [1, 1, 1, 1, 1], trainingUsers: 1)
        metrics.add(ranking: [4, 2, 0], relevant: [0, 1, 2, 4])
        metrics.add(ranking: [1, 0, 2], relevant: [1])
        let result = metrics.result()
        #expect(result.recall == (0.75 + 1) / 2 && result.ndcg == 1 && result.map == 1 && result.mrr == 1)
    }

    @Test func `A list shorter than k, and a longer one, count as they are`() {
        var metrics = RankingMetrics(k: 2, itemCounts: [1, 1, 1], trainingUsers: 1)
        metrics.add(ranking: [UInt32](), relevant: [0])
        metrics.add(ranking: [1, 2, 0], relevant: [0])
        #expect(metrics.result().recall == 0)
        #expect(metrics.result().coverage == 2.0 / 3)
    }

    @Test func `The Gini coefficient runs from even to all in one`() {
        #expect(RankingMetrics.gini([3, 3, 3, 3]) == 0)
        #expect(RankingMetrics.gini([0, 0, 0, 12]) == 0.75)
        #expect(RankingMetrics.gini([]) == 0 && RankingMetrics.gini([0, 0]) == 0)
    }

    @Test func `Parts merged are the whole`() {
        let rankings = randomRankings(seed: 21, users: 40, items: 60)
        let counts = (0..<60).map { UInt32(60 - $0) }
        var whole = RankingMetrics(k: 10, itemCounts: counts, trainingUsers: 100)
        var parts = [whole, whole, whole]
        for (n, user) in rankings.enumerated() {
            whole.add(ranking: user.ranking, relevant: user.relevant)
            parts[n % 3].add(ranking: user.ranking, relevant: user.relevant)
        }
        parts[0].merge(parts[1])
        parts[0].merge(parts[2])
        for (a, b) in zip(parts[0].result().named, whole.result().named) {
            #expect(abs(a.value - b.value) < 1e-9, "\(a.name)")
        }
    }

    @Test(
        .enabled(
            if: PythonEnvironment.safetensors.mayRun, "\(PythonEnvironment.safetensors.commentText)"))
    func `An independent implementation in numpy agrees`() throws {
        let rankings = randomRankings(seed: 22, users: 200, items: 300)
        let counts = (0..<300).map { UInt32($0 * $0 % 97) }
        var metrics = RankingMetrics(k: 20, itemCounts: counts, trainingUsers: 150)
        for user in rankings { metrics.add(ranking: user.ranking, relevant: user.relevant) }
        let input = try JSONSerialization.data(withJSONObject: [
            "k": 20, "counts": counts.map(Int.init), "users": 150,
            "rankings": rankings.map { $0.ranking.map(Int.init) },
            "relevant": rankings.map { $0.relevant.map(Int.init) },
        ])
        let folder = try TemporaryFolder()
        try input.write(to: URL(fileURLWithPath: folder.file("rankings.json")))
        let output = try PythonEnvironment.safetensors.run(PythonWithNumpy.metrics, [folder.file("rankings.json")])
        try #require(output.status == 0, "\(output.output)")
        let theirs = try #require(JSONSerialization.jsonObject(with: Data(output.output.utf8)) as? [String: Double])
        for (name, value) in metrics.result().named {
            let other = try #require(theirs[name], "\(name)")
            #expect(abs(value - other) < 1e-9 * max(1, abs(other)), "\(name): \(value), numpy says \(other)")
        }
    }

    private func randomRankings(
        seed: UInt64, users: Int, items: Int
    ) -> [(ranking: [UInt32], relevant: Set<UInt32>)] {
        var random = SplitMix64(seed: seed)
        return (0..<users).map { _ in
            let order = (0..<UInt32(items)).shuffled(using: &random)
            let relevant = order.shuffled(using: &random).prefix(Int.random(in: 1...30, using: &random))
            return (Array(order.prefix(Int.random(in: 15...25, using: &random))), Set(relevant))
        }
    }
}

enum PythonWithNumpy {
    static let metrics = """
        import json, sys
        import numpy as np
        d = json.load(open(sys.argv[1]))
        k, counts = d["k"], np.array(d["counts"], float)
        rows = {n: [] for n in ["recall", "precision", "ndcg", "hit_rate", "mrr", "map"]}
        shown = np.zeros(len(counts)); pop = []
        for L, R in zip(d["rankings"], d["relevant"]):
            L = np.array(L[:k], int)
            hit = np.isin(L, R).astype(float)
            padded = np.zeros(k); padded[:len(hit)] = hit
            disc = 1 / np.log2(np.arange(2, k + 2))
            best = np.zeros(k); best[:min(k, len(R))] = 1
            rows["recall"].append(hit.sum() / len(R)); rows["precision"].append(hit.sum() / k)
            rows["ndcg"].append((padded * disc).sum() / (best * disc).sum())
            rows["hit_rate"].append(float(hit.any()))
            where = np.flatnonzero(hit); rows["mrr"].append(1 / (where[0] + 1) if len(where) else 0)
            p = np.cumsum(padded) / np.arange(1, k + 1)
            rows["map"].append((p * padded).sum() / min(k, len(R)))
            np.add.at(shown, L, 1); pop.append(counts[L])
        out = {f"{n}@{k}": float(np.mean(v)) for n, v in rows.items()}
        pop = np.concatenate(pop)
        out[f"coverage@{k}"] = float((shown > 0).mean())
        out[f"gini@{k}"] = float(np.abs(shown[:, None] - shown[None, :]).sum() / (2 * len(shown) * shown.sum()))
        out[f"popularity@{k}"] = float(pop.mean())
        out[f"novelty@{k}"] = float((-np.log2(np.maximum(pop, 0.5) / d["users"])).mean())
        print(json.dumps(out))
        """
}
