import RankingModels

/// How a network is fitted.
package struct NetworkConfiguration: Sendable, Equatable, Codable {
    package var shape: NetworkShape
    /// Passes over the examples, at most.
    package var epochs = 20
    /// Examples of one step.
    package var batchRows = 1024
    package var learningRate = 1e-3
    /// Of layers and linear weights, decoupled from the gradient: the share lost each step is this times the rate.
    package var weightDecay = 0.0
    /// The same of embeddings, of those that a step touches.
    package var embeddingDecay = 0.0
    /// The share of a layer's outputs that a step leaves out, 0..<1.
    package var dropout = 0.0
    /// Standard deviation of fresh embeddings.
    package var embeddingScale = 0.01
    /// Epochs without a better AUC on the validation examples after which fitting stops.
    package var patience = 2
    package var seed: UInt64 = 1
    /// What is made small. Those of lists need examples in lists.
    package var loss = NetworkLoss.logistic
    /// Places that count where lists are compared: ndcg@k decides when to stop.
    package var listK = 20

    package init(shape: NetworkShape) { self.shape = shape }

    /// What is wrong with it; nil: nothing.
    package func fault() -> String? {
        if let fault = shape.fault() { return fault }
        guard (1...10_000).contains(epochs) else { return "\(epochs) epochs; 1 to 10000 are possible" }
        guard (1...(1 << 16)).contains(batchRows) else {
            return "\(batchRows) rows in a batch; 1 to 65536 are possible"
        }
        guard learningRate > 0, learningRate <= 10 else { return "a learning rate of \(learningRate)" }
        guard weightDecay >= 0, embeddingDecay >= 0, weightDecay < 100, embeddingDecay < 100 else {
            return "a weight decay of \(weightDecay) or \(embeddingDecay)"
        }
        guard (0..<1).contains(dropout) else { return "a dropout of \(dropout); 0 or more and below 1 is possible" }
        guard embeddingScale >= 0, embeddingScale <= 1 else { return "an embedding scale of \(embeddingScale)" }
        guard listK > 0 else { return "lists of \(listK) places" }
        return patience >= 0 ? nil : "a patience of \(patience)"
    }
}
