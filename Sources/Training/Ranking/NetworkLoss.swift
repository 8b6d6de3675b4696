import Foundation

/// What a network is fitted to make small.
package enum NetworkLoss: String, Sendable, Codable, CaseIterable {
    /// The mean logistic loss of single examples.
    case logistic
    /// Of each list, the cross-entropy between its labels and the softmax of its logits (Cao et al. 2007, ListNet's top-one).
    case softmax
    /// Pairs of each list, weighed by how much ndcg changes when they change places (Burges 2010, LambdaRank).
    case lambdarank

    package var isListwise: Bool { self != .logistic }
}

/// Derivatives of one list's loss, with scratch that is used again.
struct ListLoss {
    let kind: NetworkLoss
    /// Places that count for ndcg.
    let k: Int
    private var order: [Int] = []
    private var places: [Int] = []

    init(_ kind: NetworkLoss, k: Int) {
        precondition(kind.isListwise, "\(kind) is of single examples")
        self.kind = kind
        self.k = k
    }

    /// - Parameters:
    ///   - logits: Of one list.
    ///   - labels: 0 or 1.
    ///   - scale: What derivatives are multiplied with.
    ///   - gradients: Where the derivatives by the logits go, as many.
    /// - Returns: The list's loss, not scaled; 0, and no derivative, without both labels.
    mutating func derive(
        _ logits: some RandomAccessCollection<Float>, _ labels: [Float], scale: Float, _ gradients: inout [Float]
    ) -> Double {
        let logits = Array(logits)
        gradients = [Float](repeating: 0, count: logits.count)
        let positives = labels.reduce(0) { $0 + ($1 > 0.5 ? 1 : 0) }
        guard positives > 0, positives < labels.count else { return 0 }
        switch kind {
        case .logistic, .softmax: return softmax(logits, labels, Float(positives), scale, &gradients)
        case .lambdarank: return pairs(logits, labels, positives, scale, &gradients)
        }
    }

    private func softmax(
        _ logits: [Float], _ labels: [Float], _ positives: Float, _ scale: Float, _ gradients: inout [Float]
    ) -> Double {
        let most = logits.max() ?? 0
        var sum: Float = 0
        for logit in logits { sum += exp(logit - most) }
        var loss = 0.0
        for at in logits.indices {
            let share = exp(logits[at] - most) / sum
            gradients[at] = (share - (labels[at] > 0.5 ? 1 / positives : 0)) * scale
            if labels[at] > 0.5 { loss -= Double((logits[at] - most - log(sum)) / positives) }
        }
        return loss
    }

    private mutating func pairs(
        _ logits: [Float], _ labels: [Float], _ positives: Int, _ scale: Float, _ gradients: inout [Float]
    ) -> Double {
        order = logits.indices.sorted { logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1] }
        places = [Int](repeating: 0, count: logits.count)
        for (place, at) in order.enumerated() { places[at] = place }
        func gain(_ place: Int) -> Float { place < k ? 1 / log2(Float(place + 2)) : 0 }
        let ideal = (0..<min(positives, k)).reduce(Float(0)) { $0 + gain($1) }
        var loss = 0.0
        for positive in logits.indices where labels[positive] > 0.5 {
            for negative in logits.indices where labels[negative] <= 0.5 {
                let weight = abs(gain(places[positive]) - gain(places[negative])) / ideal
                if weight == 0 { continue }
                let margin = logits[positive] - logits[negative]
                let slope = weight / (1 + exp(margin))
                gradients[positive] -= slope * scale
                gradients[negative] += slope * scale
                loss += Double(weight) * BinaryMetrics.logLoss(Double(margin), 1)
            }
        }
        return loss
    }

    /// ndcg@k of a list in the order of its logits; nil without a positive label. Ties stand in the order of the list.
    static func ndcg(_ logits: some RandomAccessCollection<Float>, _ labels: some RandomAccessCollection<Float>, k: Int)
        -> Double?
    {
        let (logits, labels) = (Array(logits), Array(labels))
        let positives = labels.reduce(0) { $0 + ($1 > 0.5 ? 1 : 0) }
        guard positives > 0 else { return nil }
        let order = logits.indices.sorted { logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1] }
        var (gain, ideal) = (0.0, 0.0)
        for (place, at) in order.prefix(k).enumerated() {
            let one = 1 / log2(Double(place + 2))
            if labels[at] > 0.5 { gain += one }
            if place < positives { ideal += one }
        }
        return gain / ideal
    }
}
