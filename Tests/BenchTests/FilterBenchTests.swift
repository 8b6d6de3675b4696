import ArgumentParser
import FilterBench
import TestSupport
import Testing

@testable import martlet_bench

@Suite(.ownThreads) struct FilterBenchTests {
    @Test func `Every step has a figure, and a look at every item finds what the index finds`() throws {
        let bench = try FilterBench(itemCount: 2000, repeats: 1)
        #expect(bench.heading.hasPrefix("2000 items: index of attributes "))
        var figures: [FilterBench.Figure] = []
        try bench.run { figures.append($0) }
        #expect(figures.count > 20 && figures.allSatisfy { $0.microseconds >= 0 })
        for (figure, next) in zip(figures, figures.dropFirst()) where next.name.contains("look at every item") {
            #expect(figure.rows == next.rows)
        }
        #expect(figures.first?.rows == 0 && figures.contains { $0.rows == 1800 })
    }

    @Test(arguments: [
        (["--items", "63"], "--items: '63' is not a count of 64 to 10000000"), (["--items", "100,,200"], "'' is not"),
        (["--repeats", "0"], "--repeats is 0; allowed: 1 to 10000"),
    ])
    func `Options that cannot be are refused with a sentence`(arguments: [String], words: String) {
        do {
            _ = try MartletBench.parseAsRoot(["filters"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(MartletBench.message(for: error).contains(words), "\(MartletBench.message(for: error))")
        }
    }
}
