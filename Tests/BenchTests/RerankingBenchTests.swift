import ArgumentParser
import RerankingBench
import TestSupport
import Testing

@testable import martlet_bench

@Suite(.ownThreads) struct RerankingBenchTests {
    @Test func `Every part has a figure`() throws {
        let bench = try RerankingBench(itemCount: 2000, candidateCount: 60, repeats: 2)
        var figures: [RerankingBench.Figure] = []
        bench.run(k: 8, pool: 30) { figures.append($0) }
        #expect(figures.count == 9 && figures.allSatisfy { $0.microseconds.median > 0 })
    }

    @Test(arguments: [
        (["--k", "0"], "--k is 0; allowed: 1 to 1000"), (["--pool", "1001"], "--pool is 1001; allowed: 1 to 1000"),
    ])
    func `Options that cannot be are refused with a sentence`(arguments: [String], words: String) {
        do {
            _ = try MartletBench.parseAsRoot(["reranking"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(MartletBench.message(for: error).contains(words), "\(MartletBench.message(for: error))")
        }
    }
}
