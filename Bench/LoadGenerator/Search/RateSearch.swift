/// Looks for the highest rate of an open loop that holds an objective: doubles until a rate fails, then halves the gap.
///
/// Pure: `next` says what to try, `record` how it went. A rate that fails is tried a second time at once, and only then
/// is it a ceiling; held once in two tries is held. A ceiling from before any rate had held may have been a cold node's:
/// the first rate that holds takes it away, and the search goes up again. So does a ceiling that holds when it is tried
/// once more, after the search has closed in on it from below: something beside had spoilt both tries. Rates are whole
/// numbers. Ends when held and ceiling are closer than `tolerance`, or after `stepsMax` tries.
///
/// ```
///  growing --fails twice--> narrowing --gap small--> checking the ceiling --fails--> found    --holds--> growing
///  sinking (nothing held yet) --holds--> growing     sinking --fails at rateMin--> nothingHeld
///  any --steps used--> stepsUsed, lowerBound or nothingHeld;  --node lost--> nodeLost;  --stopped--> stopped
/// ```
package struct RateSearch: Sendable {
    /// How the try of a rate went.
    package enum Outcome: Sendable, Equatable { case held, failed, nodeLost, stopped }

    /// Why the search is over.
    package enum Ending: String, Sendable, Codable {
        case found
        /// The limit lies between `held` and `ceiling`, which are still apart.
        case stepsUsed = "steps_used"
        /// No rate failed for sure: the limit is `held` or above.
        case lowerBound = "lower_bound"
        case nothingHeld = "nothing_held"
        case nodeLost = "node_lost"
        case stopped
    }

    package let rateMin: Int
    package let rateMax: Int
    package let tolerance: Double
    package let stepsMax: Int
    package private(set) var steps: [(rate: Int, outcome: Outcome)] = []
    /// The highest rate that held; `nil` while none did.
    package private(set) var held: Int?
    /// The lowest rate that failed twice, one try after the other.
    package private(set) var ceiling: Int?
    /// The rate to try; `nil` when the search has ended.
    package private(set) var next: Int?
    package private(set) var ending: Ending?
    /// Whether the present try is the second of a rate that failed.
    package private(set) var isConfirming = false
    /// Whether the present try is one more of the ceiling, with the search closed in on it.
    private var isChecking = false

    /// - Parameters:
    ///   - start: The first rate; moved into `rateMin...rateMax`.
    ///   - rateMin: Below this the search does not go.
    package init(
        start: Int = 1000, rateMin: Int = 1, rateMax: Int = Int(LoadConfiguration.rateMax), tolerance: Double = 0.03,
        stepsMax: Int
    ) {
        precondition(rateMin > 0 && rateMin <= rateMax && stepsMax > 0 && tolerance > 0, "\(rateMin)...\(rateMax)")
        self.rateMin = rateMin
        self.rateMax = rateMax
        self.tolerance = tolerance
        self.stepsMax = stepsMax
        next = min(max(start, rateMin), rateMax)
    }

    package mutating func record(_ outcome: Outcome) {
        guard let rate = next else { return }
        steps.append((rate, outcome))
        switch outcome {
        case .nodeLost: return end(.nodeLost)
        case .stopped: return end(.stopped)
        case .held:
            if held == nil || isChecking { ceiling = nil }
            held = max(held ?? 0, rate)
            isConfirming = false
            isChecking = false
        case .failed where isChecking: return end(.found)
        case .failed:
            if isConfirming { ceiling = min(ceiling ?? .max, rate) }
            isConfirming.toggle()
        }
        if !isConfirming { advance() }
        if next != nil, steps.count >= stepsMax {
            end(held == nil ? .nothingHeld : ceiling == nil ? .lowerBound : isChecking ? .found : .stepsUsed)
        }
    }

    private mutating func advance() {
        switch (held, ceiling) {
        case (nil, nil): break
        case (let held?, nil):
            if held >= rateMax { return end(.lowerBound) }
            next = min(held * 2, rateMax)
        case (nil, let ceiling?):
            if ceiling <= rateMin { return end(.nothingHeld) }
            next = max(ceiling / 4, rateMin)
        case (let held?, let ceiling?):
            isChecking = ceiling - held <= max(1, Int(tolerance * Double(ceiling)))
            next = isChecking ? ceiling : held + (ceiling - held) / 2
        }
    }

    private mutating func end(_ ending: Ending) {
        self.ending = ending
        next = nil
    }
}
