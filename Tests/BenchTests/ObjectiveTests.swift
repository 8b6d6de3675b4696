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

    @Test func `A percentile with too few calls above it is not decided, and so not held`() throws {
        var report = LoadReport()
        for _ in 0..<999 { report.client.record(1_000_000) }
        for _ in 0..<999 { report.server.record(10) }
        let objective = try ServiceObjective(parsing: "p99=5ms,p95=5ms,server-p99.9=1ms,max=5ms,errors=0")
        let verdicts = objective.verdicts(on: report)
        #expect(verdicts.map(\.held) == [false, true, false, true, true])
        #expect(verdicts.map(\.decided) == [false, true, false, true, true])
        #expect(verdicts[0].measured.contains("too few calls for p99: 999 answers where it takes 1,000"))
        #expect(verdicts[2].measured.contains("too few calls for server-p99.9"))
        report.client.record(1_000_000)
        #expect(objective.verdicts(on: report)[0].held)
    }

    @Test func `An objective tells how many calls it takes`() throws {
        for (text, calls) in [
            ("p50=1s", 20), ("p90=1s", 100), ("p99=1s", 1000), ("p99.9=1s", 10_000), ("p99.99=1s", 100_000),
            ("p99.999=1s", 1_000_000), ("max=1s,errors=0", 1), ("p50=1s,server-p99=1s", 1000),
        ] {
            #expect(try ServiceObjective(parsing: text).callsNeeded == calls, "\(text)")
        }
    }

    @Test func `A missed bound is told apart from what was measured`() throws {
        var report = LoadReport()
        for _ in 0..<1000 { report.client.record(5_000_100) }
        let verdict = try ServiceObjective(parsing: "p99=5ms").verdicts(on: report)[0]
        #expect(!verdict.held && verdict.measured != "5.00 ms" && verdict.measured.hasPrefix("5.00"))
        report.throughput = 499.7
        #expect(try ServiceObjective(parsing: "throughput=500").verdicts(on: report)[0].measured == "499.7")
    }

    @Test(arguments: [
        ("p99=5", "--slo: 'p99=5': '5' is not a time"), ("p99=0ms", "'p99=0ms' can never hold"),
        ("max=0s", "can never hold"), ("p99=5ms,,errors=0", "has an empty term"), ("p99=5ms,", "has an empty term"),
        ("p99=5ms,p99.0=6ms", "'p99=5ms' and 'p99.0=6ms' bound the same"), ("errors=0,errors=1%", "bound the same"),
    ])
    func `What is wrong with an objective is said with the flag`(text: String, words: String) {
        let error = #expect(throws: LoadError.self) { try ServiceObjective(parsing: text) }
        #expect(
            error?.message.hasPrefix("--slo: ") == true && error?.message.contains(words) == true, "\(error as Any)")
    }
}
