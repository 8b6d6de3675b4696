import Glibc

/// What an objective makes of the sums of leaves. Those of XGBoost are taken in Float32, as the library does.
enum ScoreTransform: Sendable, Equatable {
    case identity
    /// `1 / (1 + exp(-scale * x))`, each output for itself.
    case sigmoid(scale: Double)
    case singleSigmoid
    case exponential
    case singleExponential
    /// `log(1 + exp(x))`.
    case logOfOnePlusExponential
    /// `x * |x|`: regression on roots.
    case signedSquare
    case softmax
    case singleSoftmax
    /// The class with the largest sum.
    case largest
    /// 1 above 0, else 0.
    case aboveZero

    /// Outputs of a row after the transform.
    func outputCount(_ rawCount: Int) -> Int { self == .largest ? 1 : rawCount }

    /// Transforms the `count` sums of a row.
    ///
    /// - Parameters:
    ///   - sum: The sum of an output.
    ///   - store: Takes the result of an output.
    @inline(__always)
    func apply(count: Int, sum: (Int) -> Double, store: (Int, Double) -> Void) {
        switch self {
        case .identity: for i in 0..<count { store(i, sum(i)) }
        case .sigmoid(let scale): for i in 0..<count { store(i, 1 / (1 + exp(-scale * sum(i)))) }
        case .singleSigmoid:
            for i in 0..<count { store(i, Double(1 / (1 + expf(-Float(sum(i)))))) }
        case .exponential: for i in 0..<count { store(i, exp(sum(i))) }
        case .singleExponential: for i in 0..<count { store(i, Double(expf(Float(sum(i))))) }
        case .logOfOnePlusExponential: for i in 0..<count { store(i, log1p(exp(sum(i)))) }
        case .signedSquare: for i in 0..<count { store(i, sum(i) * abs(sum(i))) }
        case .aboveZero: for i in 0..<count { store(i, sum(i) > 0 ? 1 : 0) }
        case .softmax:
            var largest = sum(0)
            for i in 1..<max(count, 1) { largest = max(largest, sum(i)) }
            var total = 0.0
            for i in 0..<count { total += exp(sum(i) - largest) }
            for i in 0..<count { store(i, exp(sum(i) - largest) / total) }
        case .singleSoftmax:
            var largest = Float(sum(0))
            for i in 1..<max(count, 1) { largest = max(largest, Float(sum(i))) }
            var total = 0.0
            for i in 0..<count { total += Double(expf(Float(sum(i)) - largest)) }
            for i in 0..<count { store(i, Double(expf(Float(sum(i)) - largest) / Float(total))) }
        case .largest:
            var best = 0
            for i in 1..<max(count, 1) where sum(i) > sum(best) { best = i }
            store(0, Double(best))
        }
    }
}
