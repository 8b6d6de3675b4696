import Foundation

/// What a run must hold: "p99=5ms,errors=0,throughput=50000".
///
/// ```
///  pNN, max, mean        client-side latency, at most;  a number with ns, us, ms or s
///  server-pNN            server-side time, at most
///  errors                failed, unsent and timed-out calls, at most; a count, or a share such as 0.1%
///  throughput            answers a second, at least
/// ```
package struct ServiceObjective: Sendable, Equatable {
    package enum Bound: Sendable, Equatable {
        case percentile(Double, nanoseconds: Double)
        case serverPercentile(Double, nanoseconds: Double)
        case mean(nanoseconds: Double)
        case maximum(nanoseconds: Double)
        case errorCount(UInt64)
        case errorShare(Double)
        case throughput(Double)
    }

    package struct Term: Sendable, Equatable {
        package let text: String
        package let bound: Bound
    }

    package let terms: [Term]

    package init(parsing text: String) throws(LoadError) {
        var terms: [Term] = []
        for part in text.split(separator: ",") {
            let term = part.trimmingCharacters(in: .whitespaces)
            terms.append(Term(text: term, bound: try ServiceObjective.bound(term)))
        }
        guard !terms.isEmpty else { throw LoadError("--slo: nothing is asked for; an example: p99=5ms,errors=0") }
        self.terms = terms
    }

    private static func bound(_ term: String) throws(LoadError) -> Bound {
        let sides = term.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
        guard sides.count == 2 else { throw LoadError("--slo: '\(term)' should be a name and a bound, as in p99=5ms") }
        let (name, value) = (sides[0].lowercased(), sides[1])
        switch name {
        case "errors":
            if value.hasSuffix("%"), let share = Double(value.dropLast()), (0...100).contains(share) {
                return .errorShare(share / 100)
            }
            guard let count = UInt64(value) else {
                throw LoadError("--slo: '\(value)' is not a number of errors; give a count or a share such as 0.1%")
            }
            return .errorCount(count)
        case "throughput":
            guard let rate = Double(value), rate > 0, rate.isFinite else {
                throw LoadError("--slo: '\(value)' is not a number of answers a second")
            }
            return .throughput(rate)
        case "mean": return .mean(nanoseconds: try nanoseconds(value))
        case "max": return .maximum(nanoseconds: try nanoseconds(value))
        default:
            let server = name.hasPrefix("server-p")
            guard server || name.hasPrefix("p"), let percentile = Double(name.dropFirst(server ? 8 : 1)),
                percentile > 0, percentile < 100
            else {
                throw LoadError(
                    "--slo: '\(name)' is not known; known: p50 to p99.999, server-p50 ..., mean, max, errors, throughput"
                )
            }
            let bound = try nanoseconds(value)
            return server
                ? .serverPercentile(percentile, nanoseconds: bound) : .percentile(percentile, nanoseconds: bound)
        }
    }

    /// A time with its unit, in nanoseconds.
    package static func nanoseconds(_ text: String) throws(LoadError) -> Double {
        let units: [(suffix: String, factor: Double)] = [("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)]
        for unit in units where text.hasSuffix(unit.suffix) {
            let number = text.dropLast(unit.suffix.count).trimmingCharacters(in: .whitespaces)
            if let value = Double(number), value >= 0, value.isFinite { return value * unit.factor }
        }
        throw LoadError("'\(text)' is not a time; write a number and ns, us, ms or s, as in 5ms")
    }

    /// One term held against a run.
    package struct Verdict: Sendable, Equatable, Codable {
        package let term: String
        package let measured: String
        package let held: Bool
    }

    package func verdicts(on report: LoadReport) -> [Verdict] {
        terms.map { term in
            switch term.bound {
            case .percentile(let percentile, let bound):
                latency(term, report.client, report.client.valueAt(percentile), bound)
            case .serverPercentile(let percentile, let bound):
                latency(term, report.server, report.server.valueAt(percentile), bound)
            case .mean(let bound): latency(term, report.client, report.client.mean, bound)
            case .maximum(let bound): latency(term, report.client, report.client.max, bound)
            case .errorCount(let bound):
                Verdict(term: term.text, measured: "\(report.failed)", held: report.failed <= bound)
            case .errorShare(let bound):
                Verdict(
                    term: term.text, measured: String(format: "%.4f%%", report.failedShare * 100),
                    held: report.failedShare <= bound)
            case .throughput(let bound):
                Verdict(
                    term: term.text, measured: String(format: "%.0f", report.throughput),
                    held: report.throughput >= bound)
            }
        }
    }

    /// A run without a single answer holds no bound on latency.
    private func latency(_ term: Term, _ figures: LatencyFigures, _ measured: Double?, _ bound: Double) -> Verdict {
        guard let measured else { return Verdict(term: term.text, measured: "no answers", held: false) }
        return Verdict(term: term.text, measured: figures.text(measured), held: measured <= bound)
    }
}
