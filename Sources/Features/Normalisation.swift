import Foundation

/// How a number is brought to a scale that networks learn well on.
package enum Normalisation: Sendable, Equatable {
    case none
    /// `(x - mean) / deviation`.
    case standard(mean: Double, deviation: Double)
    /// `(sign(x) log(1 + |x|) - mean) / deviation`: for counts and prices.
    case log(mean: Double, deviation: Double)
    /// The share of training values below x, in -1...1: edges are quantiles at equal distances, ascending.
    case quantile(edges: [Double])

    /// Most edges of a quantile normalisation.
    package static let edgesMax = 1024
    /// Values that an edge counts for when it is fitted.
    private static let edgesFitted = 100

    /// - Parameter x: Finite.
    /// - Complexity: O(log edges).
    package func apply(_ x: Double) -> Float {
        switch self {
        case .none: Float(x)
        case .standard(let mean, let deviation): Float((x - mean) / deviation)
        case .log(let mean, let deviation): Float((Self.logarithm(x) - mean) / deviation)
        case .quantile(let edges): Self.quantile(x, edges)
        }
    }

    private static func logarithm(_ x: Double) -> Double { x < 0 ? -log1p(-x) : log1p(x) }

    private static func quantile(_ x: Double, _ edges: [Double]) -> Float {
        guard let first = edges.first, let last = edges.last, x > first else { return -1 }
        guard x < last else { return 1 }
        // The last edge that is not above x, and where between it and the next x lies.
        var (low, high) = (0, edges.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if edges[middle] <= x { low = middle } else { high = middle }
        }
        let width = edges[low + 1] - edges[low]
        let place = Double(low) + (width > 0 ? (x - edges[low]) / width : 0)
        return Float(place / Double(edges.count - 1) * 2 - 1)
    }

    package enum Form: String, Sendable, CaseIterable, Codable {
        case none, standard, log, quantile
    }

    package var form: Form {
        switch self {
        case .none: .none
        case .standard: .standard
        case .log: .log
        case .quantile: .quantile
        }
    }

    /// Fits a form to values; those that are not finite do not count.
    package static func fit(_ form: Form, to values: some Sequence<Double>) -> Normalisation {
        let finite = values.filter(\.isFinite)
        switch form {
        case .none: return .none
        case .standard:
            let (mean, deviation) = moments(finite)
            return .standard(mean: mean, deviation: deviation)
        case .log:
            let (mean, deviation) = moments(finite.map(logarithm))
            return .log(mean: mean, deviation: deviation)
        case .quantile:
            let sorted = finite.sorted()
            guard let first = sorted.first, let last = sorted.last, first < last else {
                return .standard(mean: sorted.first ?? 0, deviation: 1)
            }
            return .quantile(
                edges: (0...edgesFitted).map { sorted[$0 * (sorted.count - 1) / edgesFitted] })
        }
    }

    /// Mean and standard deviation; 1 for what never varies.
    private static func moments(_ values: [Double]) -> (mean: Double, deviation: Double) {
        guard !values.isEmpty else { return (0, 1) }
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        return (mean, variance > 1e-12 ? variance.squareRoot() : 1)
    }

    /// What makes it unusable; nil: nothing.
    func fault() -> String? {
        switch self {
        case .none: return nil
        case .standard(let mean, let deviation), .log(let mean, let deviation):
            return mean.isFinite && deviation.isFinite && deviation > 0
                ? nil : "mean \(mean) and deviation \(deviation); both are finite and the deviation is above 0"
        case .quantile(let edges):
            guard (2...Self.edgesMax).contains(edges.count) else {
                return "\(edges.count) edges; 2 to \(Self.edgesMax) are possible"
            }
            let ascending = zip(edges, edges.dropFirst()).allSatisfy { $0 <= $1 }
            return ascending && edges.allSatisfy(\.isFinite) && edges.first != edges.last
                ? nil : "edges that are not finite and ascending"
        }
    }
}
