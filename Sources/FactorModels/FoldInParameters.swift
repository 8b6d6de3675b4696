import Artifacts

/// What a fit must say of itself so that one more user can be solved for as the fit would have done: see `ALSConfiguration`.
///
/// Stands in the metadata of `als.safetensors`.
package struct FoldInParameters: Sendable, Equatable {
    /// The weight of every pair, observed or not.
    package var unobservedWeight: Double
    package var regularization: Double
    package var regularizationExponent: Double

    package init(unobservedWeight: Double, regularization: Double, regularizationExponent: Double) {
        self.unobservedWeight = unobservedWeight
        self.regularization = regularization
        self.regularizationExponent = regularizationExponent
    }

    /// What a fit to `interactions` takes.
    init(_ configuration: ALSConfiguration, interactions: SparseMatrix) {
        unobservedWeight = configuration.unobservedWeight(for: interactions)
        regularization = Double(configuration.regularization)
        regularizationExponent = Double(configuration.regularizationExponent)
    }

    /// What regularises a user whose items weigh `observed` together, of a model of `items`.
    package func lambda(observed: Double, items: Int) -> Double {
        regularization * power(observed + unobservedWeight * Double(items), regularizationExponent)
    }

    /// Whether a system with these is one that can be solved.
    package var isSound: Bool {
        unobservedWeight.isFinite && unobservedWeight >= 0 && regularization.isFinite && regularization > 0
            && (0...2).contains(regularizationExponent)
    }

    // MARK: In a bundle

    private static let names = ["unobserved_weight", "regularization", "regularization_exponent"]

    /// As texts of a tensor file; they read back to the same numbers.
    var metadata: [String: String] {
        Dictionary(
            uniqueKeysWithValues: zip(
                Self.names, [unobservedWeight, regularization, regularizationExponent].map { String($0) }))
    }

    /// Nil: the file says nothing of it.
    ///
    /// - Throws: `ArtifactError` where it says a part, or what cannot be.
    init?(metadata: [String: String], path: String) throws(ArtifactError) {
        let texts = Self.names.map { metadata[$0] }
        if texts.allSatisfy({ $0 == nil }) { return nil }
        let numbers = texts.compactMap { $0.flatMap { Double($0) } }
        if numbers.count == Self.names.count {
            self.init(
                unobservedWeight: numbers[0], regularization: numbers[1], regularizationExponent: numbers[2])
            if isSound { return }
        }
        let said = zip(Self.names, texts).map { "\($0) \($1 ?? "nothing")" }.joined(separator: ", ")
        throw ArtifactError(
            .invalidContent, path: path,
            "its metadata says \(said); three numbers are needed to fold users in: a weight of at least 0, a regularization "
                + "above 0 and an exponent of 0 to 2")
    }

    /// Where the numbers come from, for those who look after a node.
    package enum Origin: String, Sendable {
        /// The factors' own file: exact.
        case factors
        /// What the manifest says of the training; the unobserved weight is exact where every pair weighed 1.
        case training
        /// Nothing in the bundle tells: `ALSConfiguration`'s defaults and the bundle's counts.
        case defaults
    }

    /// For a bundle whose factors do not say it: from the manifest's `training.als`, and for what is missing there the
    /// defaults of `ALSConfiguration`.
    package static func fallback(_ manifest: Manifest) -> (parameters: FoldInParameters, origin: Origin) {
        let defaults = ALSConfiguration()
        let values = manifest.training["als"]
        func number(_ name: String) -> Double? { values?[name]?.doubleValue }
        var configuration = defaults
        if let scale = number("unobservedScale"), scale > 0 { configuration.unobservedScale = Float(scale) }
        let counts = manifest.counts
        var parameters = FoldInParameters(
            unobservedWeight: number("unobservedWeight")
                ?? configuration.unobservedWeight(
                    observed: Double(counts.interactions), pairs: Double(counts.users) * Double(counts.items)),
            regularization: number("regularization") ?? Double(defaults.regularization),
            regularizationExponent: number("regularizationExponent") ?? Double(defaults.regularizationExponent))
        let isTold = number("regularization") != nil && parameters.isSound
        if !parameters.isSound {
            parameters = FoldInParameters(
                unobservedWeight: defaults.unobservedWeight(
                    observed: Double(counts.interactions), pairs: Double(counts.users) * Double(counts.items)),
                regularization: Double(defaults.regularization),
                regularizationExponent: Double(defaults.regularizationExponent))
        }
        return (parameters, isTold ? .training : .defaults)
    }
}
