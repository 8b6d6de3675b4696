/// What another policy would have earned, from what a logging policy that left places to chance did earn.
///
/// Each place that was drawn has a reward, the propensity with which its item was put there, and the probability with which
/// the other policy would have put it there in the same situation: the places before it and the candidates as they were.
/// So the estimate is of one place at a time changed, not of whole slates (Horvitz and Thompson 1952; self-normalised:
/// Swaminathan and Joachims 2015). Slates are what the intervals take for independent.
package struct OffPolicyEstimate: Sendable, Equatable {
    /// A mean with its 95 % interval.
    package struct Value: Sendable, Equatable {
        package var mean: Double
        package var standardError: Double

        package var low: Double { mean - 1.96 * standardError }
        package var high: Double { mean + 1.96 * standardError }
    }

    /// Reward of a drawn place: as logged; estimated for the other policy; the latter less the former.
    package var logged: Value
    package var ips: Value
    package var snips: Value
    package var gain: Value
    package var slates: Int
    package var places: Int
    /// Places where both policies may put the same item.
    package var matching: Int
    /// Places whose weight was cut down to the limit.
    package var clipped: Int
    /// (sum of weights)^2 / sum of their squares: so many places drawn by the other policy itself would tell as much.
    package var effectivePlaces: Double

    /// Collects slate by slate.
    package struct Builder: Sendable {
        private let clip: Double
        private var slates: [(rewards: Double, weighted: Double, weights: Double, places: Int)] = []
        private var (squares, matching, clipped) = (0.0, 0, 0)

        /// - Parameter clip: Weights above are cut down to it, which biases the estimate towards what was logged often.
        package init(clip: Double) { self.clip = clip }

        /// Adds the drawn places of a slate.
        ///
        /// - Parameter target: How probable the item is under the other policy.
        package mutating func add(_ places: [(reward: Double, propensity: Double, target: Double)]) {
            guard !places.isEmpty else { return }
            var slate = (rewards: 0.0, weighted: 0.0, weights: 0.0, places: places.count)
            for place in places {
                let whole = place.propensity > 0 ? place.target / place.propensity : 0
                let weight = min(whole, clip)
                if weight > 0 { matching += 1 }
                if whole > clip { clipped += 1 }
                slate.rewards += place.reward
                slate.weighted += weight * place.reward
                slate.weights += weight
                squares += weight * weight
            }
            slates.append(slate)
        }

        /// Nil without a drawn place, or where the other policy never agrees with what was shown.
        package func finish() -> OffPolicyEstimate? {
            let places = slates.reduce(0) { $0 + $1.places }
            let weights = slates.reduce(0) { $0 + $1.weights }
            guard places > 0, weights > 0 else { return nil }
            let (n, w) = (Double(places), weights)
            let logged = slates.reduce(0) { $0 + $1.rewards } / n
            let ips = slates.reduce(0) { $0 + $1.weighted } / n
            let snips = slates.reduce(0) { $0 + $1.weighted } / w
            // How much each slate moves an estimate (delta method); their squares add up to its variance.
            func error(_ influence: ((rewards: Double, weighted: Double, weights: Double, places: Int)) -> Double)
                -> Double
            {
                let count = Double(slates.count)
                let sum = slates.reduce(0) { $0 + influence($1) * influence($1) }
                return count > 1 ? (sum * count / (count - 1)).squareRoot() : .infinity
            }
            func ofLogged(_ slate: (rewards: Double, weighted: Double, weights: Double, places: Int)) -> Double {
                (slate.rewards - logged * Double(slate.places)) / n
            }
            func ofSNIPS(_ slate: (rewards: Double, weighted: Double, weights: Double, places: Int)) -> Double {
                (slate.weighted - snips * slate.weights) / w
            }
            return OffPolicyEstimate(
                logged: Value(mean: logged, standardError: error(ofLogged)),
                ips: Value(mean: ips, standardError: error { ($0.weighted - ips * Double($0.places)) / n }),
                snips: Value(mean: snips, standardError: error(ofSNIPS)),
                gain: Value(mean: snips - logged, standardError: error { ofSNIPS($0) - ofLogged($0) }),
                slates: slates.count, places: places, matching: matching, clipped: clipped,
                effectivePlaces: squares > 0 ? w * w / squares : 0)
        }
    }
}
