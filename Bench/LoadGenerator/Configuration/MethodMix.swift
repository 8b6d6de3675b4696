import Foundation
import Wire

/// How often each method is called, in parts of the whole: "recommend=90,similar=5,item=5".
package struct MethodMix: Sendable, Equatable {
    /// Positive weights, in the order of the method bytes.
    package let weights: [(method: Method, weight: Double)]

    package static let recommendOnly = MethodMix(weights: [(.recommend, 1)])

    private init(weights: [(method: Method, weight: Double)]) { self.weights = weights }

    package static func == (a: MethodMix, b: MethodMix) -> Bool {
        a.weights.elementsEqual(b.weights) { $0.method == $1.method && $0.weight == $1.weight }
    }

    /// The methods that a load may consist of, by their names here.
    package static let names: [(name: String, method: Method)] = [
        ("recommend", .recommend), ("many", .recommendMany), ("similar", .similarItems), ("item", .getItem),
        ("health", .health), ("rank", .rank), ("event", .recordEvents),
    ]

    package init(parsing text: String) throws(LoadError) {
        var found: [Method: Double] = [:]
        for part in text.split(separator: ",") {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false).map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard let method = MethodMix.names.first(where: { $0.name == sides[0] })?.method else {
                let known = MethodMix.names.map(\.name).joined(separator: ", ")
                throw LoadError("--mix: '\(sides[0])' is not a method of the mix; known: \(known)")
            }
            guard sides.count <= 2, let weight = sides.count == 2 ? Double(sides[1]) : 1, weight >= 0, weight.isFinite
            else { throw LoadError("--mix: '\(part)' should be a method and a weight, as in recommend=90") }
            guard found[method] == nil else { throw LoadError("--mix: '\(sides[0])' is given twice") }
            found[method] = weight
        }
        let sorted = found.filter { $0.value > 0 }.sorted { $0.key.rawValue < $1.key.rawValue }
        guard !sorted.isEmpty else { throw LoadError("--mix: no method has a weight above 0") }
        self.init(weights: sorted.map { ($0.key, $0.value) })
    }

    /// A method, with the probability of its weight.
    func draw(_ generator: inout SeededGenerator) -> Method {
        if weights.count == 1 { return weights[0].method }
        var left = generator.unit() * weights.reduce(0) { $0 + $1.weight }
        for entry in weights {
            left -= entry.weight
            if left < 0 { return entry.method }
        }
        return weights[weights.count - 1].method
    }

    func contains(_ method: Method) -> Bool { weights.contains { $0.method == method } }
}
