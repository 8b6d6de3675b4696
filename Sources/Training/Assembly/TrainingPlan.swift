import Artifacts
import FactorModels
import NearestNeighbors
import Retrieval
import Vocabulary

/// What a training makes, and how: everything that decides the bundle besides the data.
package struct TrainingPlan: Sendable {
    /// The model's name in the manifest.
    package var name = "model"
    /// What tells this training from the next; nil for the time it was made.
    package var version: String?
    package var seed: UInt64 = 1
    package var threads = 1
    /// Nil: no ALS factors.
    package var als: ALSConfiguration? = ALSConfiguration()
    /// Nil: no spectral factors.
    package var spectral: SpectralConfiguration? = SpectralConfiguration()
    package var neighbors = ItemNeighborsConfiguration()
    package var graph = HNSWParameters()
    /// How sure an interaction is taken to be.
    package var confidence = Confidence.equal
    /// Sources to weigh beside those that always are: `content` and `userToUser`, which cost memory and time of a node.
    package var extraSources: Set<RetrievalSource> = []
    /// Nil: the default for the sources there are.
    package var mix: RetrievalMix?

    package init() {}

    /// Where the weight of an interaction in the fit comes from.
    package enum Confidence: String, CaseIterable, Sendable {
        /// Every user and item pair counts the same.
        case equal
        /// The value of the pair.
        case value
        /// How often the pair stands in the file.
        case count
    }
}

/// One piece of news of a training under way.
package enum TrainingEvent: Sendable {
    /// A step has come to `fraction` of 1; `detail` is for people (the objective, say).
    case progress(step: String, fraction: Double, detail: String)
    /// A step is over.
    case finished(step: String, summary: String)
}

extension Interactions {
    /// The interactions as a matrix of users by items.
    package func matrix(_ confidence: TrainingPlan.Confidence) -> SparseMatrix {
        let weights: [Float] =
            switch confidence {
            case .equal: [Float](repeating: 1, count: count)
            case .value: values
            case .count: repeats.map { $0.map { Float($0) } } ?? [Float](repeating: 1, count: count)
            }
        // Histories are in the order of time; a matrix row is in the order of items.
        var columns: [UInt32] = []
        var values: [Float] = []
        columns.reserveCapacity(count)
        values.reserveCapacity(count)
        for user in 0..<userCount {
            let places = range(of: user).sorted { itemRows[$0] < itemRows[$1] }
            for place in places {
                columns.append(itemRows[place])
                values.append(weights[place])
            }
        }
        return SparseMatrix(
            rowCount: userCount, columnCount: itemCount, offsets: offsets, columns: columns, values: values)
    }
}
