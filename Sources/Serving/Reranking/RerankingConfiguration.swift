/// What happens to a slate between the scores and the answer. Part of a scenario; nothing is on by default.
package struct RerankingConfiguration: Sendable, Equatable {
    /// What makes two items alike.
    package enum Likeness: Sendable, Equatable {
        /// The cosine of their factors.
        case factors
        /// The share of their values of an attribute that both have.
        case attribute(String)
    }

    /// Maximal marginal relevance: an item counts less the more it is like one before it.
    package struct Diversity: Sendable, Equatable {
        package var by: Likeness
        /// 0: relevance alone; 1: difference alone.
        package var strength: Float

        package init(by: Likeness, strength: Float) {
            self.by = by
            self.strength = strength
        }
    }

    /// At most so many items of a slate with the same value of an attribute.
    package struct Cap: Sendable, Equatable {
        package var attribute: String
        package var most: Int

        package init(attribute: String, most: Int) {
            self.attribute = attribute
            self.most = most
        }
    }

    /// An item that stands at a place of the first page, where it may be shown at all.
    package struct Pin: Sendable, Equatable {
        package var item: String
        /// 1 is the first.
        package var place: Int

        package init(item: String, place: Int) {
            self.item = item
            self.place = place
        }
    }

    /// A change to the scores of some candidates.
    package struct Boost: Sendable, Equatable {
        package enum Target: Sendable, Equatable {
            case item(String)
            /// Of an attribute of numbers: the decimal form.
            case value(attribute: String, String)
        }

        package var target: Target
        /// Above 1 lifts, below 1 lowers; a negative score is divided by it.
        package var factor: Float
        /// Added after the factor.
        package var add: Float

        package init(_ target: Target, factor: Float = 1, add: Float = 0) {
            self.target = target
            self.factor = factor
            self.add = add
        }
    }

    /// Places that chance fills, so that something can be learned of items that would never be shown.
    package struct Exploration: Sendable, Equatable {
        package enum Method: Sendable, Equatable {
            /// With this probability a place is drawn evenly, else the best item takes it.
            case epsilon(Float)
            /// Every place is drawn, with weights exp(value / temperature).
            case softmax(temperature: Float)
        }

        package var method: Method
        /// Places at the head that are never drawn.
        package var protected: Int
        /// How many of the best items that are left a place is drawn among.
        package var among: Int

        package init(_ method: Method, protected: Int = 1, among: Int = 100) {
            self.method = method
            self.protected = protected
            self.among = among
        }
    }

    /// Candidates that places are chosen among; nil: four times the slate, at least 100 and at most 400.
    package var pool: Int?
    package var diversity: Diversity?
    package var caps: [Cap] = []
    package var pins: [Pin] = []
    package var boosts: [Boost] = []
    package var exploration: Exploration?

    package init() {}

    package var isEmpty: Bool { self == RerankingConfiguration() }

    // Bounds: the stage takes well under a millisecond within them.
    package static let poolMax = 1000
    package static let capsMax = 8
    package static let pinsMax = 16
    package static let boostsMax = 64
    /// Places that diversity and exploration reach; after them items stand by score.
    package static let reachedPlacesMax = 100
    /// Looks at a candidate for a place, all places together: a pool above 400 has its reach shortened.
    package static let looksMax = 40_000

    /// The last place that diversity and exploration reach.
    package static func reach(poolCount: Int) -> Int { min(reachedPlacesMax, looksMax / max(1, poolCount)) }
    package static let factorMax: Float = 100
    package static let addMax: Float = 1_000_000
    package static let temperatures: ClosedRange<Float> = 0.001...100

    /// Candidates that the places of a slate of `k` are chosen among.
    package func poolCount(_ k: Int) -> Int { max(k, pool ?? min(max(4 * k, 100), 400)) }

    /// What is wrong with it, or nil.
    package func fault() -> String? {
        if let pool, !(1...Self.poolMax).contains(pool) { return "pool: \(pool) is not in 1...\(Self.poolMax)" }
        if let diversity {
            if !(0...1).contains(diversity.strength) {
                return "diversity.strength: \(diversity.strength) is not a number from 0 to 1"
            }
            if case .attribute("") = diversity.by { return "diversity: name the attribute that makes items alike" }
        }
        return listFault() ?? explorationFault()
    }

    private func listFault() -> String? {
        for (name, count, most) in [
            ("caps", caps.count, Self.capsMax), ("pins", pins.count, Self.pinsMax),
            ("boosts", boosts.count, Self.boostsMax),
        ] where count > most { return "\(name): \(count) entries; at most \(most) are allowed" }
        for (place, cap) in caps.enumerated() {
            if cap.attribute.isEmpty { return "caps[\(place)]: name an attribute" }
            if !(1...1000).contains(cap.most) { return "caps[\(place)].most: \(cap.most) is not in 1...1000" }
            if caps[..<place].contains(where: { $0.attribute == cap.attribute }) {
                return "caps[\(place)]: '\(cap.attribute)' is capped twice"
            }
        }
        if let fault = Self.fault(of: pins) { return fault }
        for (place, boost) in boosts.enumerated() {
            switch boost.target {
            case .item(""), .value(attribute: "", _), .value(attribute: _, ""):
                return "boosts[\(place)]: name an item, or an attribute and its value"
            default: break
            }
            if !(boost.factor > 0 && boost.factor <= Self.factorMax) {
                return "boosts[\(place)].factor: \(boost.factor) is not above 0 and at most \(Self.factorMax)"
            }
            if !(boost.add.magnitude <= Self.addMax) {
                return "boosts[\(place)].add: \(boost.add) is not between -\(Self.addMax) and \(Self.addMax)"
            }
        }
        return nil
    }

    /// What is wrong with pins, or nil.
    package static func fault(of pins: [Pin]) -> String? {
        for (index, pin) in pins.enumerated() {
            if pin.item.isEmpty { return "pins[\(index)]: name an item" }
            if !(1...1000).contains(pin.place) { return "pins[\(index)].place: \(pin.place) is not in 1...1000" }
            for other in pins[..<index] {
                if other.place == pin.place { return "pins[\(index)]: place \(pin.place) is taken by '\(other.item)'" }
                if other.item == pin.item { return "pins[\(index)]: '\(pin.item)' is pinned twice" }
            }
        }
        return nil
    }

    private func explorationFault() -> String? {
        guard let exploration else { return nil }
        switch exploration.method {
        case .epsilon(let epsilon):
            if !(0...1).contains(epsilon) { return "exploration.epsilon: \(epsilon) is not a number from 0 to 1" }
        case .softmax(let temperature):
            if !Self.temperatures.contains(temperature) {
                return "exploration.temperature: \(temperature) is not in \(Self.temperatures)"
            }
        }
        if !(0...1000).contains(exploration.protected) {
            return "exploration.protected: \(exploration.protected) is not in 0...1000"
        }
        if !(1...Self.poolMax).contains(exploration.among) {
            return "exploration.among: \(exploration.among) is not in 1...\(Self.poolMax)"
        }
        return nil
    }
}
