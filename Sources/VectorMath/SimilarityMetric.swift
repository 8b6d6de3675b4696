/// How near two vectors are. Scores are always "higher is better".
package enum SimilarityMetric: String, Codable, Sendable, CaseIterable {
    /// The dot product.
    case innerProduct = "inner_product"
    /// The dot product of the normalised vectors; 0 when one of them is zero.
    case cosine
    /// The negated squared Euclidean distance.
    case l2
}
