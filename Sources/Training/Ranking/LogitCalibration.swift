import Foundation
import RankingModels

/// Makes a network's scores logits: finds `a` and `b` for which `a * score + b` foretells labels best, and puts them into
/// the weights. Orders stay as they are.
///
/// A loss of lists leaves scores without a zero, and one of sampled negatives has the wrong one. Source: Platt 1999.
struct LogitCalibration {
    private(set) var factor: Double = 1
    private(set) var offset: Double = 0

    /// Examples of each label that are needed for both numbers.
    private static let labelsMin = 20

    /// Newton's method on the logistic loss, which is convex; stays at 1 and 0 where that leads nowhere.
    init(logits: [Float], labels: [Float]) {
        let positives = labels.reduce(0) { $0 + ($1 > 0.5 ? 1 : 0) }
        guard positives >= Self.labelsMin, labels.count - positives >= Self.labelsMin else { return }
        // Begin where the mean is right, so that the first step is a short one.
        var (a, b) = (1.0, log(Double(positives) / Double(labels.count - positives)))
        let mean = logits.reduce(0.0) { $0 + Double($1) } / Double(logits.count)
        b -= a * mean
        for _ in 0..<50 {
            var (ga, gb, haa, hab, hbb) = (0.0, 0.0, 1e-9, 0.0, 1e-9)
            for (logit, label) in zip(logits, labels) {
                let x = Double(logit)
                let p = 1 / (1 + exp(-(a * x + b)))
                let (g, h) = (p - Double(label), p * (1 - p))
                ga += g * x
                gb += g
                haa += h * x * x
                hab += h * x
                hbb += h
            }
            let determinant = haa * hbb - hab * hab
            guard determinant > 0, determinant.isFinite else { return }
            let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant)
            // Short steps: a full one may overshoot far from the end.
            let length = min(1, 1 / max(abs(da), abs(db) / 4))
            a -= da * length
            b -= db * length
            if abs(da) < 1e-7, abs(db) < 1e-7 { break }
        }
        guard a > 1e-3, a < 1e3, b.isFinite else { return }
        (factor, offset) = (a, b)
    }

    /// The network with scores `factor * score + offset`.
    func apply(_ weights: NetworkWeights, denseCount: Int) -> NetworkWeights {
        var result = weights
        let (factor, root) = (Float(factor), Float(factor.squareRoot()))
        for at in result.linear.indices { result.linear[at] *= factor }
        for at in result.denseLinear.indices { result.denseLinear[at] *= factor }
        for at in result.output.indices { result.output[at] *= factor }
        if weights.shape.hasPairs {
            // A pair is a product of two embeddings; what the first layer reads of them stays.
            for at in result.table.indices { result.table[at] *= root }
            if !result.layers.isEmpty {
                let inputs = result.layers[0].inputs
                for at in result.layers[0].weights.indices where at % inputs < inputs - denseCount {
                    result.layers[0].weights[at] /= root
                }
            }
        }
        result.bias = result.bias * factor + Float(offset)
        return result
    }
}
