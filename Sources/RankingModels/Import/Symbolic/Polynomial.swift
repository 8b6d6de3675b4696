/// A number that depends on a row of features: constant + sum of weights times atoms + sum of weights times products of
/// two atoms. What an atom is, `Atoms` knows.
struct Polynomial: Equatable {
    struct Term: Equatable {
        var atom: Int32
        var weight: Double
    }

    struct Product: Equatable {
        /// `first <= second`.
        var first: Int32
        var second: Int32
        var weight: Double
    }

    var constant: Double
    /// Ascending by atom, each once, no weight is 0.
    var terms: [Term] = []
    /// Ascending by atoms, each pair once, no weight is 0.
    var products: [Product] = []

    init(_ constant: Double) { self.constant = constant }

    init(atom: Int32) {
        constant = 0
        terms = [Term(atom: atom, weight: 1)]
    }

    var isConstant: Bool { terms.isEmpty && products.isEmpty }
    /// Numbers that it takes to write it down.
    var size: Int { 1 + terms.count + products.count }

    /// The only atom, with weight 1 and nothing beside it.
    var soleAtom: Int32? {
        constant == 0 && products.isEmpty && terms.count == 1 && terms[0].weight == 1 ? terms[0].atom : nil
    }

    func scaled(by factor: Double) -> Polynomial {
        if factor == 0 { return Polynomial(0) }
        var result = self
        result.constant *= factor
        for place in terms.indices { result.terms[place].weight *= factor }
        for place in products.indices { result.products[place].weight *= factor }
        return result
    }

    /// - Complexity: O(terms of both).
    func adding(_ other: Polynomial, times factor: Double = 1) -> Polynomial {
        let other = factor == 1 ? other : other.scaled(by: factor)
        var result = Polynomial(constant + other.constant)
        result.terms = Self.merged(
            terms, other.terms, before: { $0.atom < $1.atom },
            sum: { Term(atom: $0.atom, weight: $0.weight + $1.weight) },
            weight: \.weight)
        result.products = Self.merged(
            products, other.products, before: { ($0.first, $0.second) < ($1.first, $1.second) },
            sum: { Product(first: $0.first, second: $0.second, weight: $0.weight + $1.weight) }, weight: \.weight)
        return result
    }

    private static func merged<Element>(
        _ a: [Element], _ b: [Element], before: (Element, Element) -> Bool, sum: (Element, Element) -> Element,
        weight: (Element) -> Double
    ) -> [Element] {
        if a.isEmpty { return b }
        if b.isEmpty { return a }
        var result: [Element] = []
        result.reserveCapacity(a.count + b.count)
        var (i, j) = (0, 0)
        while i < a.count || j < b.count {
            if j == b.count || i < a.count && before(a[i], b[j]) {
                result.append(a[i])
                i += 1
            } else if i == a.count || before(b[j], a[i]) {
                result.append(b[j])
                j += 1
            } else {
                let both = sum(a[i], b[j])
                if weight(both) != 0 { result.append(both) }
                i += 1
                j += 1
            }
        }
        return result
    }

    /// Nil where a product of three atoms would come about.
    ///
    /// - Complexity: O(terms times terms, times their logarithm).
    func multiplied(by other: Polynomial) -> Polynomial? {
        if other.isConstant { return scaled(by: other.constant) }
        if isConstant { return other.scaled(by: constant) }
        guard products.isEmpty, other.products.isEmpty else { return nil }
        var linear = Polynomial(constant * other.constant)
        linear.terms = terms
        linear = linear.scaledTerms(by: other.constant)
        var rest = Polynomial(0)
        rest.terms = other.terms
        var result = linear.adding(rest.scaledTerms(by: constant))
        var sums: [UInt64: Double] = [:]
        for a in terms {
            for b in other.terms {
                let key = UInt64(min(a.atom, b.atom)) << 32 | UInt64(max(a.atom, b.atom))
                sums[key, default: 0] += a.weight * b.weight
            }
        }
        result.products = sums.filter { $0.value != 0 }.sorted { $0.key < $1.key }.map {
            Product(first: Int32($0.key >> 32), second: Int32($0.key & 0xFFFF_FFFF), weight: $0.value)
        }
        return result
    }

    private func scaledTerms(by factor: Double) -> Polynomial {
        var result = self
        if factor == 0 { result.terms = [] }
        for place in result.terms.indices { result.terms[place].weight *= factor }
        return result
    }
}
