import Artifacts
import VectorMath

/// Why a history cannot be folded in. The caller's fault but for `unsolvable`.
package enum FoldInError: Error, Equatable, CustomStringConvertible {
    /// The row at this place of the history is not one of the items.
    case noSuchItem(place: Int, row: UInt32, items: Int)
    /// The weight at this place is negative, infinite or no number.
    case badWeight(place: Int)
    /// Longer than `FoldIn.historyMax`.
    case tooLong(Int)
    /// The weights are so large or so far apart that Float32 cannot hold the numbers on the way.
    case unsolvable

    package var description: String {
        switch self {
        case .noSuchItem(let place, let row, let items):
            "history[\(place)] is row \(row); the model has \(items) items"
        case .badWeight(let place): "weights[\(place)] is negative, infinite or not a number"
        case .tooLong(let count): "a history of \(count) items; at most \(FoldIn.historyMax) can be folded in"
        case .unsolvable: "the weights are too large or too far apart to be solved for in Float32"
        }
    }
}

/// Solves for the ALS factor of a user, or of a session that no user belongs to, from items and their weights: exactly what
/// a half step of the fit would find with the item factors held.
///
/// ```
/// (u Y^T Y + sum w y y^T + lambda I) x = sum w y       lambda = regularization * (sum w + u * items)^exponent
/// ```
/// `u` is the weight of unobserved pairs. In the words of Hu, Koren and Volinsky 2008 the confidence of an observed pair is
/// `u + w`, and its preference is drawn to `w / (u + w)` instead of 1: this fit counts unobserved zeros for observed pairs
/// too (Rendle et al. 2021, arXiv:2110.14037).
///
/// One for each generation, shared by all shards. The item rows may be floats or halves; the answer is exact for the rows
/// as they are held.
package final class FoldIn: Sendable {
    /// Longest history; a longer one's newest items are what to fold in.
    package static let historyMax = 100_000

    package let parameters: FoldInParameters
    package let itemCount: Int
    package let rank: Int
    private let system: RidgeSystem

    /// Makes the Gram matrix of the items and what few items are solved with.
    ///
    /// - Parameters:
    ///   - items: Rows of the items; finite.
    ///   - threads: That share the Gram matrix. It does not depend on their number.
    /// - Complexity: O(items * rank^2 / threads + rank^3): 12 ms for 100 000 items of rank 64 on two cores.
    package init(items: RowMatrix, parameters: FoldInParameters, threads: Int) {
        precondition(parameters.isSound, "fold-in with \(parameters)")
        self.parameters = parameters
        itemCount = items.rowCount
        rank = items.columnCount
        var gram = DenseAlgebra.gram(items, threads: threads)
        for i in 0..<rank { for j in 0..<rank { gram[i, j] *= parameters.unobservedWeight } }
        system = RidgeSystem(rows: items, gram: gram)
    }

    /// Bytes beside the item rows.
    package var byteCount: Int { system.byteCount }

    /// What one thread needs to solve.
    package func makeScratch() -> RidgeScratch { RidgeScratch(rank: rank) }

    /// Which way a history of `count` items is solved: see `RidgeSystem`.
    package func form(for count: Int) -> RidgeSystem.Form { system.form(for: count) }

    /// Solves for the factor of a history.
    ///
    /// - Parameters:
    ///   - rows: Items, in any order; the weights of one that stands there twice add up.
    ///   - weights: One for each row, as the fit weighed interactions: 1 where every pair counted the same. An item of
    ///     weight 0 is as if it were not there. Nil: all 1.
    ///   - factor: Becomes the factor, `rank` floats; zeros for a history without weight, and when this throws.
    ///   - form: For measurements; nil: the quicker one.
    /// - Returns: Whether there is a factor: false for a history without weight.
    /// - Throws: `FoldInError`.
    /// - Complexity: O(rows * rank^2 + rank^3), or O(rows * rank^2 + rows^2 * rank) for few rows; allocates nothing.
    @discardableResult
    package func solve(
        rows: UnsafeBufferPointer<UInt32>, weights: UnsafeBufferPointer<Float>? = nil,
        into factor: UnsafeMutableBufferPointer<Float>, scratch: RidgeScratch, form: RidgeSystem.Form? = nil
    ) throws(FoldInError) -> Bool {
        precondition(
            weights == nil || weights?.count == rows.count, "\(weights?.count ?? 0) weights, \(rows.count) rows")
        precondition(factor.count == rank, "room for \(factor.count) of \(rank)")
        factor.update(repeating: 0)
        guard rows.count <= Self.historyMax else { throw .tooLong(rows.count) }
        for place in rows.indices where Int(rows[place]) >= itemCount {
            throw .noSuchItem(place: place, row: rows[place], items: itemCount)
        }
        var observed = Double(rows.count)
        if let weights {
            observed = 0
            for place in weights.indices {
                // A weight that is no number is not at least 0.
                guard weights[place] >= 0, weights[place].isFinite else { throw .badWeight(place: place) }
                observed += Double(weights[place])
            }
        }
        guard observed > 0 else { return false }
        let lambda = Float(parameters.lambda(observed: observed, items: itemCount))
        guard lambda > 0, lambda.isFinite,
            system.solve(
                ids: rows, weights: weights?.baseAddress, lambda: lambda, form: form, into: factor, scratch)
        else {
            factor.update(repeating: 0)
            throw .unsolvable
        }
        return true
    }

    /// The same for arrays, for callers that do not mind an allocation.
    package func factor(rows: [UInt32], weights: [Float]? = nil) throws(FoldInError) -> [Float] {
        let scratch = makeScratch()
        var result = [Float](repeating: 0, count: rank)
        var fault: FoldInError?
        result.withUnsafeMutableBufferPointer { result in
            rows.withUnsafeBufferPointer { rows in
                func solve(_ weights: UnsafeBufferPointer<Float>?) {
                    do throws(FoldInError) {
                        try self.solve(rows: rows, weights: weights, into: result, scratch: scratch)
                    } catch {
                        fault = error
                    }
                }
                if let weights { weights.withUnsafeBufferPointer { solve($0) } } else { solve(nil) }
            }
        }
        if let fault { throw fault }
        return result
    }
}

extension FactorModel {
    /// How users are folded in to these ALS factors: as their file says or, where it does not, by
    /// `FoldInParameters.fallback`; `origin` tells which, for a node to say at load.
    package func foldIn(
        manifest: Manifest
    ) -> (parameters: FoldInParameters, origin: FoldInParameters.Origin) {
        if let foldIn { return (foldIn, .factors) }
        return FoldInParameters.fallback(manifest)
    }
}
