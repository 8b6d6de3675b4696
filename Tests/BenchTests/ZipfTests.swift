import LoadGenerator
import Testing

@Suite struct ZipfTests {
    @Test(arguments: [(50, 0.0), (50, 0.5), (50, 1.0), (200, 1.3), (3, 2.5), (1, 1.0)])
    func `Drawn frequencies follow the law`(count: Int, exponent: Double) {
        let sampler = ZipfSampler(count: count, exponent: exponent)
        var generator = SeededGenerator(seed: 7)
        let draws = 200_000
        var found = [Int](repeating: 0, count: count)
        for _ in 0..<draws { found[sampler.draw(&generator)] += 1 }
        // Pearson's statistic over ranks that are expected at least 20 times, the rest as one class.
        var statistic = 0.0
        var classes = 0
        var (restFound, restExpected) = (0.0, 0.0)
        for (rank, probability) in sampler.probabilities.enumerated() {
            let expected = probability * Double(draws)
            if expected < 20 {
                restFound += Double(found[rank])
                restExpected += expected
            } else {
                statistic += (Double(found[rank]) - expected) * (Double(found[rank]) - expected) / expected
                classes += 1
            }
        }
        if restExpected >= 20 {
            statistic += (restFound - restExpected) * (restFound - restExpected) / restExpected
            classes += 1
        }
        // Mean `classes - 1`, standard deviation `sqrt(2 (classes - 1))`: five of those are far out of reach of chance.
        let freedom = Double(max(classes - 1, 1))
        #expect(statistic < freedom + 5 * (2 * freedom).squareRoot())
    }

    @Test func `The same seed draws the same ranks`() {
        let sampler = ZipfSampler(count: 1000, exponent: 0.9)
        var (first, second) = (SeededGenerator(seed: 3), SeededGenerator(seed: 3))
        #expect((0..<1000).allSatisfy { _ in sampler.draw(&first) == sampler.draw(&second) })
    }

    @Test func `Ranks stay in range for a million users`() {
        let sampler = ZipfSampler(count: 1_000_000, exponent: 1.0)
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<100_000 {
            let rank = sampler.draw(&generator)
            #expect((0..<1_000_000).contains(rank))
        }
    }
}
