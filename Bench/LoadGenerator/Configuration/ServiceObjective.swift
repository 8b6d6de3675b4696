import Foundation

/// What a run must hold: "p99=5ms,errors=0,throughput=50000".
///
/// ```
///  pNN, max, mean        client-side latency, at most;  a number with ns, us, ms or s
///  server-pNN            server-side time, at most
///  errors                failed, unsent and timed-out calls, at most; a count, or a share such as 0.1%
///  throughput            answers a second, at least
/// ```
///
/// A percentile is judged when at least ten calls lie above it: p99 needs 1000 answered calls, p99.9 needs 10000. With
/// fewer the term is not held, and its verdict says that it was not decided.
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
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw LoadError("--slo: nothing is asked for; an example: p99=5ms,errors=0")
        }
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let term = part.trimmingCharacters(in: .whitespaces)
            guard !term.isEmpty else {
                throw LoadError(
                    "--slo: '\(text)' has an empty term; write one comma between terms, as in p99=5ms,errors=0")
            }
            let bound = try ServiceObjective.bound(term)
            if let other = terms.first(where: { $0.bound.quantity == bound.quantity }) {
                throw LoadError("--slo: '\(other.text)' and '\(term)' bound the same; keep one of them")
            }
            terms.append(Term(text: term, bound: bound))
        }
        self.terms = terms
    }

    package var text: String { terms.map(\.text).joined(separator: ",") }

    /// Answered calls that the terms need to be decided.
    package var callsNeeded: Int { terms.map(\.bound.callsNeeded).max() ?? 1 }

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
        case "mean": return .mean(nanoseconds: try limit(value, of: term))
        case "max": return .maximum(nanoseconds: try limit(value, of: term))
        default:
            let server = name.hasPrefix("server-p")
            guard server || name.hasPrefix("p"), let percentile = Double(name.dropFirst(server ? 8 : 1)),
                percentile > 0, percentile < 100
            else {
                throw LoadError(
                    "--slo: '\(name)' is not known; known: p50 to p99.999, server-p50 ..., mean, max, errors, throughput"
                )
            }
            let bound = try limit(value, of: term)
            return server
                ? .serverPercentile(percentile, nanoseconds: bound) : .percentile(percentile, nanoseconds: bound)
        }
    }

    private static func limit(_ text: String, of term: String) throws(LoadError) -> Double {
        let limit: Double
        do throws(LoadError) { limit = try nanoseconds(text) } catch {
            throw LoadError("--slo: '\(term)': \(error.message)")
        }
        guard limit > 0 else { throw LoadError("--slo: '\(term)' can never hold; give a limit above 0") }
        return limit
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
        /// False when there were too few calls to tell; `held` is false then, too.
        package var decided = true

        package var word: String { held ? "held" : decided ? "MISSED" : "NOT DECIDED" }
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
                    term: term.text,
                    measured: DistinctText.of(report.failedShare * 100, bound * 100) {
                        String(format: "%.\($1 + 4)f%%", $0)
                    }, held: report.failedShare <= bound)
            case .throughput(let bound):
                Verdict(
                    term: term.text,
                    measured: DistinctText.of(report.throughput, bound) { String(format: "%.\($1)f", $0) },
                    held: report.throughput >= bound)
            }
        }
    }

    /// A run without a single answer holds no bound on latency.
    private func latency(_ term: Term, _ figures: LatencyFigures, _ measured: Double?, _ bound: Double) -> Verdict {
        guard let measured else { return Verdict(term: term.text, measured: "no answers", held: false) }
        let text = DistinctText.of(measured, bound) { figures.text($0, moreDigits: $1) }
        let needed = UInt64(term.bound.callsNeeded)
        guard figures.count >= needed else {
            return Verdict(
                term: term.text,
                measured:
                    "\(text), too few calls for \(term.bound.quantity): \(grouped(figures.count)) answers where it takes"
                    + " \(grouped(needed))", held: false, decided: false)
        }
        return Verdict(term: term.text, measured: text, held: measured <= bound)
    }
}

extension ServiceObjective.Bound {
    /// What is bounded, whatever the limit.
    var quantity: String {
        switch self {
        case .percentile(let percentile, _): "p\(percentile.formatted(.plain))"
        case .serverPercentile(let percentile, _): "server-p\(percentile.formatted(.plain))"
        case .mean: "mean"
        case .maximum: "max"
        case .errorCount, .errorShare: "errors"
        case .throughput: "throughput"
        }
    }

    /// Answered calls that let ten lie above a percentile; 1 for what needs no more.
    package var callsNeeded: Int {
        switch self {
        case .percentile(let percentile, _), .serverPercentile(let percentile, _):
            // The subtraction takes away what binary fractions add to a whole number.
            max(Int((1000 / (100 - percentile) - 0.001).rounded(.up)), 1)
        case .mean, .maximum, .errorCount, .errorShare, .throughput: 1
        }
    }
}

/// A figure beside the bound that it is held against: with as many digits as it takes to tell them apart.
enum DistinctText {
    private static let digitsMax = 6

    /// - Parameter text: Writes a value with so many more digits than usual.
    static func of(_ value: Double, _ bound: Double, _ text: (Double, Int) -> String) -> String {
        guard value != bound else { return text(value, 0) }
        let enough = (0..<digitsMax).first { text(value, $0) != text(bound, $0) }
        return text(value, enough ?? digitsMax)
    }
}
