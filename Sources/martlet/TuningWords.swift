import Foundation
import Training
import Vocabulary

/// What `train` says of the choice of settings and mix.
struct TuningWords {
    let k: Int
    /// Where the held-out interactions come from.
    let source: String
    /// Whether settings are tried; else only the sources are weighed.
    let triesSettings: Bool

    var label: String { triesSettings ? "tune" : "mix" }

    /// The line before the work.
    func opening(budget: Duration, now: Date, timeZone: TimeZone = .current) -> String {
        guard triesSettings else {
            return "mix: weighs the sources by \(source); the training on the whole input comes after"
        }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = timeZone
        format.dateFormat = "HH:mm:ss"
        let end = format.string(from: now.addingTimeInterval(budget / .seconds(1)))
        return
            "tune: trials until \(end) (\(ProgressLine.seconds(budget)); the first runs whatever the time), measured on"
            + " \(source); the final training comes on top"
    }

    /// What came of it.
    func summary(_ outcome: Tuner.Outcome) -> String {
        let gain = triesSettings ? Self.gain(outcome).map { ", \($0) over the first trial" } ?? "" : ""
        var parts = [
            "ndcg@\(k) \(outcome.ndcg.text(digits: 4))\(gain), recall@\(k) \(outcome.recall.text(digits: 4)) for"
                + " \(outcome.users.counted("user")) of \(source)"
        ]
        if triesSettings {
            let chosen = Self.chosen(outcome)
            let settings = chosen.isEmpty ? "your settings" : chosen.joined(separator: ", ")
            parts.append(
                outcome.trials.count == 1
                    ? "--tune-minutes left no time for a second trial, so your settings stay"
                    : "\(outcome.trials.count.counted("trial")), chosen: \(settings)")
        }
        parts.append("\(triesSettings ? "mix" : "weights"): \(Self.mix(outcome))")
        parts.append("the model is now trained on the whole input")
        return parts.joined(separator: "; ")
    }

    /// The settings that stayed, the last of each name.
    static func chosen(_ outcome: Tuner.Outcome) -> [String] {
        var names: [String] = []
        var values: [String: String] = [:]
        for trial in outcome.trials.dropFirst() where trial.isKept {
            let name = String(trial.change.prefix { $0 != " " })
            if values[name] == nil { names.append(name) }
            values[name] = trial.change
        }
        return names.compactMap { values[$0] }
    }

    /// "+1.0 %"; nil where nothing was tried or the first trial found nothing.
    static func gain(_ outcome: Tuner.Outcome) -> String? {
        guard outcome.trials.count > 1, let first = outcome.trials.first?.ndcg, first > 0 else { return nil }
        return "+\(((outcome.ndcg / first - 1) * 100).text(digits: 1)) %"
    }

    static func mix(_ outcome: Tuner.Outcome) -> String {
        let sources = outcome.plan.mix?.sources ?? []
        return sources.map { "\($0.source.rawValue) \(String(format: "%g", Double($0.weight)))" }.joined(
            separator: ", ")
    }
}
