import Artifacts
import EventLog
import Foundation
import RankingModels
import Training
import Vocabulary

/// `martlet evaluate --slates`: what logged slates say of a bundle's ranker.
struct SlateJudge {
    let slates: String
    let log: LogArguments
    /// Milliseconds.
    let window: UInt64
    let k: Int
    let clip: Double

    func run(_ bundles: [String], json: Bool, _ cancellation: Cancellation) throws {
        let rankers = try bundles.map { path in
            let bundle = try Bundle(opening: path, verify: .sizes)
            guard bundle.has(RankerArtifact.fileName) else {
                throw DatasetError(.empty, "\(path): holds no ranker for slates to judge; train one with --ranker")
            }
            return try RankerArtifact(bundle.file(RankerArtifact.fileName))
        }
        let line = ProgressLine("slates")
        defer { line.clear() }
        let events = try LogArchive(path: log.fromLog ?? SlateLogArguments.parent(of: slates))
        let archive = try LogArchive(path: slates)
        let join = try SlateJoin(events: events, SlateLogArguments.options(log, window: window)) { seen in
            try cancellation.check()
            line.update(nil, seen.counted("event"))
        }
        var evaluations = rankers.map { SlateEvaluation($0, k: k, clip: clip) }
        var seen = 0
        let found = try join.forEach(archive) { joined in
            seen += 1
            if seen & 0xFF == 0 {
                try cancellation.check()
                line.update(nil, seen.counted("slate"))
            }
            for number in evaluations.indices { evaluations[number].add(joined) }
        }
        line.clear()
        LogCommand.tell(found.slates)
        let reports = evaluations.map { $0.finish(found) }
        for (path, report) in zip(bundles, reports) where report.slates == 0 {
            throw DatasetError(
                .empty,
                "\(slates): none of \(found.joined.counted("slate")) holds features as the ranker of \(path) takes them "
                    + "(\(report.otherSchema) of another schema, \(report.withoutFeatures) without, \(found.open) may still be answered); "
                    + "a ranker that is trained --from-log with slates keeps their schema")
        }
        if json {
            let all = zip(bundles, reports).map { path, report in Self.document(path, report) }
            return print(JSONText.print(all.count == 1 ? all[0] : .array(all), indented: true))
        }
        for (path, report) in zip(bundles, reports) { print(Self.text(path, report)) }
    }

    private static func value(_ value: OffPolicyEstimate.Value) -> JSONValue {
        ["mean": .double(value.mean), "low": .double(value.low), "high": .double(value.high)]
    }

    static func document(_ path: String, _ report: SlateEvaluation.Report) -> JSONValue {
        var estimate = JSONValue.null
        if let found = report.estimate, found.slates > 1 {
            estimate = [
                "logged": value(found.logged), "ips": value(found.ips), "snips": value(found.snips),
                "gain": value(found.gain), "slates": .int(Int64(found.slates)), "places": .int(Int64(found.places)),
                "matching_places": .int(Int64(found.matching)), "clipped_places": .int(Int64(found.clipped)),
                "effective_places": .double(found.effectivePlaces),
            ]
        }
        return [
            "bundle": .string(path), "k": .int(Int64(report.k)), "slates": .int(Int64(report.slates)),
            "answered": .int(Int64(report.answered)), "open": .int(Int64(report.join.open)),
            "other_schema": .int(Int64(report.otherSchema)), "without_features": .int(Int64(report.withoutFeatures)),
            "misfits": .int(Int64(report.misfits)), "same_places": .int(Int64(report.samePlaces)),
            "places": .int(Int64(report.places)), "served_ndcg": .double(report.servedNDCG),
            "ranked_ndcg": .double(report.rankedNDCG),
            "difference": [
                "mean": .double(report.difference.mean), "standard_error": .double(report.difference.standardError),
            ],
            "drawn_places": .int(Int64(report.drawnPlaces)), "unknown_pools": .int(Int64(report.unknownPools)),
            "estimate": estimate,
        ]
    }

    static func text(_ path: String, _ report: SlateEvaluation.Report) -> String {
        func range(_ value: OffPolicyEstimate.Value) -> String {
            "\(value.mean.text(digits: 4)) (\(value.low.text(digits: 4)) to \(value.high.text(digits: 4)))"
        }
        var lines = [
            "\(path): \(report.slates.counted("slate")), \(report.answered) with an answer"
                + "; left out: \(report.otherSchema) of another schema, \(report.withoutFeatures) without features, \(report.join.open) that may still be answered",
            "order of the shown items: ndcg@\(report.k) \(report.rankedNDCG.text(digits: 4)), as served "
                + "\(report.servedNDCG.text(digits: 4)); difference \(report.difference.words); "
                + "the served order has the advantage that what stood on top was seen",
            "the same item at \(report.samePlaces) of \(report.places.counted("place"))",
        ]
        if let found = report.estimate, found.slates > 1 {
            lines += [
                "clicks at a place that chance filled, 95 %: as logged \(range(found.logged)), ranker by SNIPS \(range(found.snips)), "
                    + "by IPS \(range(found.ips)); gain \(range(found.gain))",
                "  from \(found.places.counted("drawn place")) of \(found.slates.counted("slate")), \(found.matching) as the ranker would have it, worth "
                    + "\(found.effectivePlaces.text(digits: 0)) of its own; \(found.clipped) weights cut"
                    + (report.unknownPools > 0
                        ? "; \(report.unknownPools) places whose candidates were not all logged" : ""),
            ]
        } else {
            lines.append(
                report.drawnPlaces == 0
                    ? "no estimate of clicks: nothing in these slates was left to chance, so they say nothing of items that another order would have shown; let the scenario explore"
                    : report.unknownPools > report.drawnPlaces / 2
                        ? "no estimate of clicks: of \(report.unknownPools) of \(report.drawnPlaces.counted("drawn place")) not all candidates were logged; log and rank as many as exploration.among (slates.candidates_max above 0)"
                        : "no estimate of clicks: of \(report.drawnPlaces.counted("drawn place")) too few are as the ranker would have them"
            )
        }
        return lines.joined(separator: "\n")
    }
}
