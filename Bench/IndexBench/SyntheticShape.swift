import Foundation
import VectorMath

/// Named data of fixed seeds, for a machine without the files.
package enum SyntheticShape: String, CaseIterable, Sendable {
    /// 1000 clusters of Zipf sizes, power-law norms: factors under inner product.
    case hubs
    /// The same, normalised.
    case unit
    /// Independent normal values: the hardest, and like no real factors.
    case noise

    /// Rows and queries; queries mix one to four cluster centres, as users do.
    func make(rows: Int, dimension: Int, queries: Int) -> (rows: FactorMatrix, queries: FactorMatrix) {
        var random = Gaussian(seed: 20_261_121)
        let spectrum = (0..<dimension).map { pow(1 + Float($0), -0.35) }
        func draw() -> [Float] { spectrum.map { $0 * random.next() } }
        func unit(_ x: [Float]) -> [Float] {
            let norm = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return norm == 0 ? x : x.map { $0 / norm }
        }
        if self == .noise {
            let matrix = FactorMatrix(rowCount: rows, columnCount: dimension) { _, row in
                for i in row.indices { row[i] = random.next() }
            }
            let asked = FactorMatrix(rowCount: queries, columnCount: dimension) { _, row in
                for i in row.indices { row[i] = random.next() }
            }
            return (matrix, asked)
        }
        let spread = spectrum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        let centres = (0..<1000).map { _ in unit(draw()) }
        var cumulative: [Double] = []
        for i in centres.indices { cumulative.append((cumulative.last ?? 0) + pow(1 + Double(i), -0.8)) }
        func centre() -> [Float] {
            let target = random.uniform() * (cumulative.last ?? 0)
            let at = cumulative.firstIndex { $0 >= target } ?? 0
            return centres[at]
        }
        let matrix = FactorMatrix(rowCount: rows, columnCount: dimension) { _, row in
            let around = centre()
            let value = unit(zip(around, draw()).map { $0 + 0.8 * $1 / spread })
            // Pareto(10) norms from 0.3 to 3.
            let norm = self == .unit ? 1 : Float(min(0.3 * pow(1 - random.uniform(), -0.1), 3))
            for i in row.indices { row[i] = value[i] * norm }
        }
        let asked = FactorMatrix(rowCount: queries, columnCount: dimension) { query, row in
            var mix = [Float](repeating: 0, count: dimension)
            for _ in 0...(query % 4) {
                let weight = Float(-log(1 - random.uniform()))
                for (i, value) in centre().enumerated() { mix[i] += weight * value }
            }
            let value = unit(zip(unit(mix), draw()).map { $0 + 0.7 * $1 / spread })
            for i in row.indices { row[i] = value[i] }
        }
        return (matrix, asked)
    }
}

/// Normal deviates from a fixed seed (Box-Muller over SplitMix64).
struct Gaussian {
    private var state: UInt64
    private var spare: Float?

    init(seed: UInt64) { state = seed }

    /// Uniform in 0..<1.
    mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) * 0x1p-53
    }

    mutating func next() -> Float {
        if let value = spare {
            spare = nil
            return value
        }
        let radius = (-2 * log(1 - uniform())).squareRoot()
        let angle = 2 * Double.pi * uniform()
        spare = Float(radius * sin(angle))
        return Float(radius * cos(angle))
    }
}
