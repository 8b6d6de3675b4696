/// A setting that cannot be used, in words for the person who gave it.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }

    /// Throws unless `isFine`.
    static func check(_ isFine: Bool, _ description: @autoclosure () -> String) throws(ConfigurationError) {
        if !isFine { throw ConfigurationError(description()) }
    }
}

/// How ALS factors are fitted. The loss, over observed pairs `o` with weight `w` and all pairs:
///
/// ```
/// sum_o w (1 - x.y)^2 + unobservedWeight * sum_all (x.y)^2 + sum_rows lambda(row) |row|^2
/// lambda(user) = regularization * (weight of the user's items + unobservedWeight * items)^regularizationExponent
/// ```
/// and the same for items, with users for items.
/// - Note: Hu, Koren, Volinsky 2008; frequency-scaled regularisation as in Rendle et al. 2021, arXiv:2110.14037.
package struct ALSConfiguration: Codable, Sendable, Equatable {
    /// How the least squares of a row are solved.
    package enum Solver: String, Codable, Sendable, CaseIterable {
        /// A few steps from the last iteration's solution, eight rows together.
        case conjugateGradients = "cg"
        /// Exactly. For comparison: several times slower, and no better after a few iterations.
        case cholesky
    }

    package var rank = 64
    package var iterations = 16
    package var regularization: Float = 0.002
    package var regularizationExponent: Float = 1
    /// Nil: `unobservedScale` times the share of pairs that are observed, at most 1.
    package var unobservedWeight: Float?
    /// How many times what the observed pairs weigh all unobserved pairs weigh together, without `unobservedWeight`. Near 30
    /// is best on sets as different as MovieLens and check-ins.
    package var unobservedScale: Float = 30
    package var solver = Solver.conjugateGradients
    /// Steps per row and iteration of conjugate gradients.
    package var steps = 3
    package var seed: UInt64 = 1

    package static let rankMin = 1
    package static let rankMax = 512

    package init() {}

    /// The weight of unobserved pairs that a fit to `interactions` takes.
    package func unobservedWeight(for interactions: SparseMatrix) -> Double {
        unobservedWeight(
            observed: interactions.values.reduce(0.0) { $0 + Double($1) },
            pairs: Double(interactions.rowCount) * Double(interactions.columnCount))
    }

    /// The same for a fit to pairs of which the observed ones weigh `observed` together.
    package func unobservedWeight(observed: Double, pairs: Double) -> Double {
        if let unobservedWeight { return Double(unobservedWeight) }
        return min(1, max(1e-5, Double(unobservedScale) * observed / max(pairs, 1)))
    }

    package func validate() throws(ConfigurationError) {
        try ConfigurationError.check(
            (Self.rankMin...Self.rankMax).contains(rank),
            "the ALS rank is \(rank); allowed: \(Self.rankMin) to \(Self.rankMax)")
        try ConfigurationError.check(
            (1...1000).contains(iterations), "the ALS iterations are \(iterations); allowed: 1 to 1000")
        try ConfigurationError.check(
            regularization.isFinite && regularization > 0,
            "the ALS regularization is \(regularization); it must be above 0")
        try ConfigurationError.check(
            (0...2).contains(regularizationExponent),
            "the ALS regularization exponent is \(regularizationExponent); allowed: 0 to 2")
        if let weight = unobservedWeight {
            try ConfigurationError.check(
                weight.isFinite && weight > 0, "the ALS weight of unobserved pairs is \(weight); it must be above 0")
        }
        try ConfigurationError.check(
            unobservedScale.isFinite && unobservedScale > 0,
            "the ALS unobserved scale is \(unobservedScale); it must be above 0")
        try ConfigurationError.check((1...100).contains(steps), "the ALS steps are \(steps); allowed: 1 to 100")
    }
}

/// How spectral factors are made: a truncated SVD `u s v^T` of `users^-userExponent R items^-itemExponent`, where users
/// and items stand for how many interactions they have. A user's factor is the sum of `items^-scaling v` over the
/// history, an item's factor is `items^scaling v`.
/// - Note: Shen et al. 2021 (GF-CF), arXiv:2108.07567, where all exponents are 1/2.
package struct SpectralConfiguration: Codable, Sendable, Equatable {
    package var rank = 256
    package var userExponent: Float = 0.3
    package var itemExponent: Float = 0.4
    package var scaling: Float = 0.3
    /// Rounds of subspace iteration.
    package var iterations = 4
    package var seed: UInt64 = 1

    package static let rankMax = 512

    package init() {}

    package func validate() throws(ConfigurationError) {
        try ConfigurationError.check(
            (1...Self.rankMax).contains(rank), "the spectral rank is \(rank); allowed: 1 to \(Self.rankMax)")
        for exponent in [userExponent, itemExponent, scaling] {
            try ConfigurationError.check(
                (0...1).contains(exponent), "a spectral exponent is \(exponent); allowed: 0 to 1")
        }
        try ConfigurationError.check(
            (1...50).contains(iterations), "the spectral iterations are \(iterations); allowed: 1 to 50")
    }
}

/// How item-to-item weights are made, with `N = users^-userExponent R items^-itemExponent` scaled to largest singular
/// value 1 and `N ~ u s v^T` to `lowPassRank`:
///
/// ```
/// W = N^T N  -  sharpening * v s^4 v^T  +  lowPass * items^-lowPassScaling v v^T items^lowPassScaling
/// ```
/// The first part is co-occurrence. The second takes back what the broadest patterns say twice (as far as `N^T N` is its
/// own blur). The third adds what neighbours of neighbours say. Of each row the `count` largest weights stay.
///
/// A user's score for an item is the plain sum of `W[i][item]` over the items `i` of the history.
/// - Note: Shen et al. 2021 (GF-CF), arXiv:2108.07567; Choi et al. 2022 (BSPM), arXiv:2211.09949. The exponents and the
///   low-rank form of the sharpening are our own measurements.
package struct ItemNeighborsConfiguration: Codable, Sendable, Equatable {
    /// Neighbours kept for each item.
    package var count = 300
    package var userExponent: Float = 0.3
    package var itemExponent: Float = 0.4
    /// 0: co-occurrence only. Lowered to what the matrix allows.
    package var lowPassRank = 512
    package var lowPass: Float = 0.1
    package var lowPassScaling: Float = 0.4
    package var sharpening: Float = 1
    /// Rounds of subspace iteration.
    package var iterations = 4
    package var seed: UInt64 = 1

    package static let countMax = 2000

    package init() {}

    package func validate() throws(ConfigurationError) {
        try ConfigurationError.check(
            (1...Self.countMax).contains(count), "the neighbours are \(count); allowed: 1 to \(Self.countMax)")
        try ConfigurationError.check(
            (0...SpectralConfiguration.rankMax).contains(lowPassRank),
            "the low-pass rank is \(lowPassRank); allowed: 0 to \(SpectralConfiguration.rankMax)")
        for exponent in [userExponent, itemExponent, lowPassScaling] {
            try ConfigurationError.check(
                (0...1).contains(exponent), "an item-to-item exponent is \(exponent); allowed: 0 to 1")
        }
        for weight in [lowPass, sharpening] {
            try ConfigurationError.check(
                (0...10).contains(weight), "an item-to-item weight is \(weight); allowed: 0 to 10")
        }
        try ConfigurationError.check(
            (1...50).contains(iterations), "the item-to-item iterations are \(iterations); allowed: 1 to 50")
    }
}
