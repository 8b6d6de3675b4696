/// What a file of trees says, whoever wrote it.
struct TreeModel: Sendable {
    /// As the file names it.
    var objective: String
    var transform: ScoreTransform
    var featureNames: [String]
    /// Outputs before the transform.
    var outputCount: Int
    /// What each output begins with.
    var base: [Double]
    /// Whether the library adds leaves in Float32.
    var isSingle: Bool
    /// What sums are divided by: 1, or the iterations of a random forest.
    var divisor = 1.0
    var trees: [DecisionTree]
    /// Sets of categories.
    var words: [UInt32]
}
