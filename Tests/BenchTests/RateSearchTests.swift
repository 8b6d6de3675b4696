import Foundation
import LoadGenerator
import TestSupport
import Testing

@Suite(.ownThreads) struct RateSearchTests {
    /// Runs a search to its end against a node that holds what `holds` says of a rate and the number of the try.
    private func searched(
        start: Int = 1000, rateMin: Int = 1, stepsMax: Int = 100, _ holds: (Int, Int) -> Bool
    ) -> RateSearch {
        var search = RateSearch(start: start, rateMin: rateMin, stepsMax: stepsMax)
        while let rate = search.next { search.record(holds(rate, search.steps.count) ? .held : .failed) }
        return search
    }

    @Test(arguments: [1, 2, 7, 250, 700, 1000, 1001, 123_456])
    func `A search ends close below the limit, every failure tried twice`(limit: Int) throws {
        let search = searched { rate, _ in rate <= limit }
        let held = try #require(search.held)
        let ceiling = try #require(search.ceiling)
        #expect(search.ending == .found)
        #expect(held <= limit && ceiling > limit)
        #expect(ceiling - held <= max(1, Int(0.03 * Double(ceiling))))
        for rate in search.steps.filter({ $0.outcome == .failed }).map(\.rate) {
            // Twice more where the first two were before any rate held, once more at the end.
            let tries = search.steps.filter { $0.rate == rate }.count
            #expect([2, 4].contains(rate == ceiling ? tries - 1 : tries))
        }
        #expect(search.steps.last?.rate == ceiling)
    }

    @Test(arguments: [3, 250, 5000])
    func `No rate is tried again that held, and none is below its minimum`(limit: Int) {
        let search = searched(rateMin: 2) { rate, _ in rate <= limit }
        let held = search.steps.filter { $0.outcome == .held }.map(\.rate)
        #expect(Set(held).count == held.count)
        #expect(search.steps.allSatisfy { $0.rate >= 2 })
    }

    @Test func `One failure alone decides nothing`() throws {
        // Every third try is spoilt by something beside.
        let search = searched { rate, step in rate <= 50_000 && step % 3 != 2 }
        #expect(try #require(search.held) > 48_000)
    }

    @Test func `A cold node's first failures are forgotten once a rate holds`() throws {
        let search = searched { rate, step in step >= 3 && rate <= 50_000 }
        #expect(search.steps.prefix(3).map(\.rate) == [1000, 1000, 250])
        #expect(search.steps[2].outcome == .failed && search.steps[3].rate == 250)
        #expect(try #require(search.held) > 48_000)
        #expect(search.ending == .found)
    }

    @Test func `A ceiling that holds when the search has closed in on it was none`() throws {
        // Something beside spoils the tries of 4000, the third and the fourth.
        let search = searched { rate, step in rate <= 50_000 && step != 2 && step != 3 }
        #expect(search.steps[2].rate == 4000 && search.steps[3].rate == 4000)
        #expect(try #require(search.held) > 48_000)
        #expect(search.ending == .found)
    }

    @Test func `Where nothing holds the search ends at its minimum`() {
        let search = searched(rateMin: 20) { _, _ in false }
        #expect(search.held == nil && search.ending == .nothingHeld)
        #expect(search.steps.map(\.rate) == [1000, 1000, 250, 250, 62, 62, 20, 20])
        #expect(searched(stepsMax: 3) { _, _ in false }.ending == .nothingHeld)
    }

    @Test func `Steps used up leave a lower bound, or a limit that is still wide`() {
        let bound = searched(start: 1, stepsMax: 5) { _, _ in true }
        #expect(bound.steps.map(\.rate) == [1, 2, 4, 8, 16] && bound.held == 16)
        #expect(bound.ending == .lowerBound)
        // The one failure was not confirmed.
        #expect(searched(stepsMax: 3) { rate, _ in rate < 3000 }.ending == .lowerBound)
        let wide = searched(stepsMax: 4) { rate, _ in rate < 3000 }
        #expect(wide.ending == .stepsUsed && wide.held == 2000 && wide.ceiling == 4000)
        #expect(searched { _, _ in true }.ending == .lowerBound)
    }

    @Test func `A lost node and a stop end the search at once`() {
        for (outcome, ending) in [(RateSearch.Outcome.nodeLost, RateSearch.Ending.nodeLost), (.stopped, .stopped)] {
            var search = RateSearch(stepsMax: 20)
            search.record(.held)
            search.record(outcome)
            #expect(search.next == nil && search.ending == ending && search.held == 1000)
            search.record(.held)
            #expect(search.steps.count == 2)
        }
    }
}

@Suite(.ownThreads) struct SearchJournalTests {
    /// A run of a second at the rate that is to be tried.
    private func run(
        _ rate: Int, latency: UInt64 = 1_000_000, failed: UInt64 = 0, _ change: (inout LoadReport) -> Void = { _ in }
    ) -> LoadReport {
        var report = LoadReport()
        report.mode = .open(rate: Double(rate))
        report.connections = 4
        report.duration = 1
        report.throughput = Double(rate) - Double(failed)
        report.succeeded = UInt64(rate) - failed
        for _ in 0..<report.succeeded { report.client.record(latency) }
        for _ in 0..<report.succeeded { report.server.record(70) }
        if failed > 0 { report.errors = [("CONNECTION_LOST", failed)] }
        change(&report)
        return report
    }

    private func journal(_ slo: String = "p99=5ms,errors=0", duration: Double = 1, stepsMax: Int = 20) throws
        -> SearchJournal
    {
        SearchJournal(try ServiceObjective(parsing: slo), duration: duration, stepsMax: stepsMax)
    }

    @Test func `The best run is kept, and rows show whole rates and the server's time`() throws {
        var journal = try journal(stepsMax: 3)
        journal.record(run(1000))
        journal.record(run(2000))
        journal.record(run(4000, latency: 5_000_100))
        #expect(journal.best?.mode == .open(rate: 2000) && journal.ending == .fine)
        let lines = journal.table.split(separator: "\n")
        #expect(lines.count == 4 && lines[0].contains("server p99") && lines[1].contains("70.0 us"))
        #expect(lines[3].contains("p99=5ms: 5.00") && !lines[3].hasSuffix("p99=5ms: 5.00 ms"))
        #expect(journal.conclusion.hasPrefix("at least 2,000 calls/s") && journal.conclusion.contains("lower bound"))
        let json = try #require(
            try JSONSerialization.jsonObject(with: LoadReport().json(search: journal)) as? [String: Any])
        let search = try #require(json["search"] as? [String: Any])
        #expect(search["heldRate"] as? Int == 2000 && search["ending"] as? String == "lower_bound")
        #expect((search["tries"] as? [Any])?.count == 3)
    }

    @Test func `A run is as long as its percentiles need, and no rate would take longer than a minute`() throws {
        let plain = try journal("errors=0", duration: 5)
        #expect(plain.duration(at: 100) == 5 && plain.duration(at: 1) == 10.5 && plain.search.rateMin == 1)
        let high = try journal("p99=5ms", duration: 5)
        #expect(high.duration(at: 1000) == 5)
        #expect(high.duration(at: 100) * 100 >= 1000 && high.duration(at: 100) < 12)
        #expect(high.search.rateMin == 18 && high.duration(at: 18) <= 60)
        let higher = try journal("p99.99=5ms", duration: 5)
        #expect(higher.search.next == higher.search.rateMin && higher.search.rateMin == 1750)
    }

    @Test func `A node that is gone ends the search with what held so far`() throws {
        var journal = try journal()
        journal.record(run(1000))
        #expect(journal.progressLabel == "try 2 of at most 20, 2,000 calls/s: ")
        journal.record(run(2000, failed: 100) { $0.lostConnections = 4 })
        #expect(journal.search.next == nil && journal.ending == .nodeLost)
        #expect(journal.conclusion.contains("lost at 2,000 calls/s (try 2)"))
        #expect(journal.conclusion.contains("held so far: 1,000 calls/s"))
        #expect(journal.table.contains("node lost"))
    }

    @Test func `Some lost connections are a failure like others`() throws {
        var journal = try journal()
        journal.record(run(1000, failed: 100) { $0.lostConnections = 1 })
        #expect(journal.search.next == 1000 && journal.search.isConfirming)
        #expect(journal.progressLabel.contains("again"))
    }

    @Test func `A stop and a search that nothing held say so`() throws {
        var stopped = try journal()
        stopped.record(run(1000) { $0.wasStopped = true })
        #expect(stopped.ending == .stopped && stopped.best == nil)
        #expect(stopped.conclusion == "stopped early; the search was not finished. No rate had held.")
        var before = try journal()
        before.stop()
        #expect(before.ending == .stopped)
        var hopeless = try journal("max=1us", stepsMax: 2)
        hopeless.record(run(1000))
        hopeless.record(run(1000))
        #expect(hopeless.ending == .objectiveMissed)
        #expect(hopeless.conclusion.hasPrefix("no rate held max=1us; the lowest that was tried: 1,000 calls/s."))
    }

    @Test func `A rate that was not reached was not held`() throws {
        var journal = try journal()
        journal.record(run(1000) { $0.throughput = 900 })
        #expect(journal.search.isConfirming && journal.table.contains("rate not reached"))
    }
}
