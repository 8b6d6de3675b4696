import FactorModels
import Retrieval
import Vocabulary

/// Everything that a user is known to like, oldest first: what the model was made of, what came since, and what the request
/// says. Made anew for each request.
struct UserHistory {
    /// Each item once, at its newest place.
    private(set) var rows: [UInt32] = []
    /// Rows that events or the request say are not to be shown; some perhaps twice. Those of the model are not among them.
    private(set) var blocked: [UInt32] = []
    /// The user's ALS factor as it is now; empty where the bundle's own, or none, holds.
    private(set) var factor: [Float] = []
    /// Whether there should be a factor, and none could be solved for.
    private(set) var isUnsolved = false
    private var knowledge = LiveUsers.Knowledge()

    /// Of a longer history the newest items are folded in: a millionth of a second for about twenty of them.
    private static let foldedItemsMax = 2000

    /// - Parameters:
    ///   - known: What the model was made of.
    ///   - recent: Items that the request names, oldest first.
    /// - Complexity: O(history + events), and a solve where there is something new.
    mutating func make(
        of user: String, known: UnsafeBufferPointer<UInt32>?, recent: [String] = [], _ engine: Engine,
        _ overlay: ItemOverlay
    ) {
        rows.removeAll(keepingCapacity: true)
        factor.removeAll(keepingCapacity: true)
        isUnsolved = false
        engine.read(user, overlay, into: &knowledge)
        for item in recent {
            if let row = engine.row(of: item, overlay) {
                // The model knows nothing of what is beside it.
                knowledge.add(recent: row, isLiked: Int(row) < engine.generation.model.items.count)
            }
        }
        blocked = knowledge.blocked
        if let known {
            if knowledge.liked.isEmpty {
                rows.append(contentsOf: known)
            } else {
                let newer = Set(knowledge.liked)
                for row in known where !newer.contains(row) { rows.append(row) }
            }
        }
        rows += knowledge.liked
        if !knowledge.liked.isEmpty, let foldIn = engine.generation.model.foldIn { fold(foldIn, engine) }
    }

    private mutating func fold(_ foldIn: FoldIn, _ engine: Engine) {
        let newest = Array(rows.suffix(Self.foldedItemsMax))
        // What the model was made of counts as in the fit; what came since as its events' types say.
        var weights = [Float](repeating: 1, count: newest.count)
        for (place, weight) in knowledge.weights.suffix(newest.count).reversed().enumerated() {
            weights[newest.count - 1 - place] = weight
        }
        do throws(FoldInError) {
            factor = try engine.fold(newest, weights, foldIn)
        } catch {
            isUnsolved = true
        }
    }
}
