import FactorModels
import Vocabulary

/// One change to a plan that a tuning may try.
struct TuningMove {
    /// The source that must be fitted again.
    let source: RetrievalSource
    private let change: (inout TrainingPlan) -> String?

    /// The plan with the change, and a name for it; nil when it would leave the range of the setting.
    ///
    /// `key` tells changed settings apart, whatever way led to them.
    func apply(_ plan: TrainingPlan) -> (plan: TrainingPlan, change: String, key: String)? {
        var changed = plan
        guard let name = change(&changed) else { return nil }
        let isValid: Bool
        do {
            try changed.als?.validate()
            try changed.spectral?.validate()
            try changed.neighbors.validate()
            isValid = true
        } catch {
            isValid = false
        }
        guard isValid else { return nil }
        let key =
            switch source {
            case .als: "\(String(describing: changed.als))"
            case .spectral: "\(String(describing: changed.spectral))"
            case .itemToItem, .popular, .recent, .content, .userToUser, .trending: "\(changed.neighbors)"
            }
        return (changed, name, key)
    }

    /// The moves for what `plan` makes, those that tend to matter most first, cheap ones between dear ones.
    static func all(for plan: TrainingPlan) -> [TuningMove] {
        let neighbors = neighborMoves
        let als = plan.als == nil ? [] : alsMoves
        let spectral = plan.spectral == nil ? [] : spectralMoves
        var moves: [TuningMove] = []
        for n in 0..<max(neighbors.count, als.count, spectral.count) {
            for list in [als, neighbors, spectral] where n < list.count { moves.append(list[n]) }
        }
        return moves
    }

    private static func als(
        _ name: String, _ change: @escaping (inout ALSConfiguration) -> String?
    ) -> TuningMove {
        TuningMove(source: .als) { plan in
            guard var configuration = plan.als, let value = change(&configuration) else { return nil }
            plan.als = configuration
            return "als.\(name) \(value)"
        }
    }

    private static func neighbors(
        _ name: String, _ path: WritableKeyPath<ItemNeighborsConfiguration, Float>, _ next: @escaping (Float) -> Float
    ) -> TuningMove {
        TuningMove(source: .itemToItem) { plan in
            // Settings move in hundredths, so that ways there and back meet.
            let value = (next(plan.neighbors[keyPath: path]) * 100).rounded() / 100
            plan.neighbors[keyPath: path] = value
            return "item_to_item.\(name) \(value)"
        }
    }

    /// Ranks above this cost more per request than they bring.
    private static let rankMax = 256

    private static var alsMoves: [TuningMove] {
        [
            als("rank") {
                $0.rank *= 2; return $0.rank <= rankMax ? "\($0.rank)" : nil
            },
            als("regularization") {
                $0.regularization /= 3; return "\($0.regularization)"
            },
            als("regularization") {
                $0.regularization *= 3; return "\($0.regularization)"
            },
            als("unobserved_scale") {
                $0.unobservedScale /= 2; return "\($0.unobservedScale)"
            },
            als("unobserved_scale") {
                $0.unobservedScale *= 2; return "\($0.unobservedScale)"
            },
            als("regularization_exponent") {
                $0.regularizationExponent = $0.regularizationExponent == 1 ? 0.5 : 1
                return "\($0.regularizationExponent)"
            },
        ]
    }

    private static var neighborMoves: [TuningMove] {
        [
            neighbors("item_exponent", \.itemExponent) { $0 - 0.1 },
            neighbors("item_exponent", \.itemExponent) { $0 + 0.1 },
            neighbors("low_pass", \.lowPass) { $0 == 0 ? 0.1 : $0 * 2 },
            neighbors("low_pass", \.lowPass) { $0 / 2 },
            neighbors("user_exponent", \.userExponent) { $0 + 0.15 },
            neighbors("user_exponent", \.userExponent) { $0 - 0.15 },
            neighbors("sharpening", \.sharpening) { $0 / 2 },
            neighbors("sharpening", \.sharpening) { $0 * 1.5 },
            neighbors("low_pass_scaling", \.lowPassScaling) { $0 + 0.1 },
            neighbors("low_pass_scaling", \.lowPassScaling) { $0 - 0.1 },
            TuningMove(source: .itemToItem) { plan in
                plan.neighbors.lowPassRank /= 2
                return plan.neighbors.lowPassRank >= 16
                    ? "item_to_item.low_pass_rank \(plan.neighbors.lowPassRank)" : nil
            },
        ]
    }

    private static var spectralMoves: [TuningMove] {
        [
            TuningMove(source: .spectral) { plan in
                guard var spectral = plan.spectral else { return nil }
                spectral.rank *= 2
                plan.spectral = spectral
                return spectral.rank <= SpectralConfiguration.rankMax ? "spectral.rank \(spectral.rank)" : nil
            }
        ]
    }
}
