import Foundation

/// How well probabilities foretell labels of 0 and 1.
package struct BinaryMetrics: Sendable, Equatable {
    /// The chance that a positive example scores above a negative one, ties counted half; nil without both kinds.
    package var auc: Double?
    /// Mean negative log-likelihood, in nats.
    package var logLoss: Double
    /// Mean prediction over mean label; 1 is calibrated. Nil without positives.
    package var calibration: Double?
    package var count: Int
    package var positives: Int

    /// - Parameters:
    ///   - logits: Before the sigmoid, finite.
    ///   - labels: 0 or 1.
    /// - Complexity: O(n log n).
    package init(logits: [Float], labels: [Float]) {
        precondition(logits.count == labels.count, "\(logits.count) logits for \(labels.count) labels")
        count = logits.count
        let positives = labels.reduce(0) { $0 + ($1 > 0.5 ? 1 : 0) }
        self.positives = positives
        var (loss, predicted) = (0.0, 0.0)
        for (logit, label) in zip(logits, labels) {
            loss += Self.logLoss(Double(logit), Double(label))
            predicted += 1 / (1 + exp(-Double(logit)))
        }
        logLoss = count == 0 ? 0 : loss / Double(count)
        calibration = positives == 0 ? nil : predicted / Double(positives)
        auc = Self.auc(logits, labels, positives)
    }

    /// `-log p(label)` of a logit, without overflow.
    static func logLoss(_ logit: Double, _ label: Double) -> Double {
        max(logit, 0) - logit * label + log1p(exp(-abs(logit)))
    }

    private static func auc(_ logits: [Float], _ labels: [Float], _ positives: Int) -> Double? {
        let negatives = labels.count - positives
        guard positives > 0, negatives > 0 else { return nil }
        let order = logits.indices.sorted { logits[$0] < logits[$1] }
        // The sum of the positives' ranks; equal scores share the mean of theirs.
        var (sum, at) = (0.0, 0)
        while at < order.count {
            var (end, found) = (at, 0)
            while end < order.count, logits[order[end]] == logits[order[at]] {
                if labels[order[end]] > 0.5 { found += 1 }
                end += 1
            }
            sum += Double(found) * Double(at + 1 + end) / 2
            at = end
        }
        let least = Double(positives) * Double(positives + 1) / 2
        return (sum - least) / (Double(positives) * Double(negatives))
    }
}
