import Artifacts
import Glibc

extension XGBoostFile {
    /// How `base_score`, which is a prediction, becomes a sum of leaves.
    enum Link: Sendable {
        case identity
        case logit
        case logarithm

        /// nil for what cannot be a prediction.
        func margin(_ score: Float) -> Float? {
            switch self {
            case .identity: score
            case .logit: score > 0 && score < 1 ? -logf(1 / score - 1) : nil
            case .logarithm: score > 0 ? logf(score) : nil
            }
        }
    }

    /// - Parameter version: `[major, minor, ...]` of the writer, where the file says it.
    static func objective(
        _ field: ModelField, version: [Int]
    ) throws(ArtifactError) -> (name: String, transform: ScoreTransform, link: Link) {
        let name = try field.text()
        switch name {
        case "binary:logistic", "reg:logistic": return (name, .singleSigmoid, .logit)
        case "binary:logitraw":
            // Its base score became a sum with 1.3.
            let isOld = !version.isEmpty && version.lexicographicallyPrecedes([1, 3])
            return (name, .identity, isOld ? .logit : .identity)
        case "binary:hinge": return (name, .aboveZero, .identity)
        case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
            return (name, .singleExponential, .logarithm)
        case "reg:squarederror", "reg:linear", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror",
            "reg:quantileerror", "rank:pairwise", "rank:ndcg", "rank:map":
            return (name, .identity, .identity)
        case "multi:softmax": return (name, .largest, .identity)
        case "multi:softprob": return (name, .singleSoftmax, .identity)
        default:
            throw field.fail(
                "'\(name.prefix(60))' is not known; known: binary:*, reg:*, count:poisson, rank:*, multi:*, survival:cox, "
                    + "survival:aft")
        }
    }
}
