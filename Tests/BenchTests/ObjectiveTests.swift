import LoadGenerator
import Testing

@Suite struct ObjectiveTests {
    @Test func `An objective is read term by term`() throws {
        let objective = try ServiceObjective(
            parsing: "p99=5ms, p99.9=1.5s,server-p50=80us,mean=900ns,max=2s,errors=0,throughput=5e4")
        #expect(
            objective.terms.map(\.bound) == [
                .percentile(99, nanoseconds: 5e6), .percentile(99.9, nanoseconds: 1.5e9),
                .serverPercentile(50, nanoseconds: 8e4), .mean(nanoseconds: 900), .maximum(nanoseconds: 2e9),
                .errorCount(0), .throughput(50_000),
            ])
        #expect(try ServiceObjective(parsing: "errors=0.1%").terms[0].bound == .errorShare(0.001))
    }

    @Test(arguments: [
        "", "p99", "p99=5", "p99=-1ms", "p0=1ms", "p100=1ms", "q99=1ms", "errors=-1", "errors=101%", "throughput=0",
        "p99=5ms,errors=many", "server-p=1ms", "p99=infms",
    ])
    func `What cannot be understood is refused`(text: String) {
        #expect(throws: LoadError.self) { try ServiceObjective(parsing: text) }
    }

    @Test func `A run is held against each term`() throws {
        var report = LoadReport()
        for _ in 0..<990 { report.client.record(1_000_000) }
        for _ in 0..<10 { report.client.record(9_000_000) }
        report.succeeded = 1000
        report.throughput = 500
        let objective = try ServiceObjective(parsing: "p99=2ms,p99.9=5ms,errors=0,throughput=400,server-p50=1ms")
        #expect(objective.verdicts(on: report).map(\.held) == [true, false, true, true, false])
        report.errors = [("UNSENT", 3)]
        #expect(try ServiceObjective(parsing: "errors=2").verdicts(on: report).map(\.held) == [false])
        #expect(try ServiceObjective(parsing: "errors=0.5%").verdicts(on: report).map(\.held) == [true])
    }

    @Test(arguments: [700.0, 1000, 1001, 123_456, 3.5])
    func `The search for a rate ends close below the limit`(limit: Double) throws {
        var search = RateSearch(start: 1000, stepsMax: 40)
        while let rate = search.next { search.record(held: rate <= limit) }
        let held = try #require(search.held)
        #expect(held <= limit)
        #expect(held >= limit * 0.9)
    }

    @Test func `The search stops after its steps`() {
        var search = RateSearch(start: 1, stepsMax: 5)
        var steps = 0
        while search.next != nil {
            search.record(held: true)
            steps += 1
        }
        #expect(steps == 5)
        var hopeless = RateSearch(start: 1000, stepsMax: 14)
        while hopeless.next != nil { hopeless.record(held: false) }
        #expect(hopeless.held == nil)
    }
}
