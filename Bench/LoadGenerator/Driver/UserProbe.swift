import Vocabulary
import Wire

/// Whether a node knows the users that a load asks for: a fallback is cheaper than a slate, and would be measured
/// without a word, as a load reads replies by their headers.
package struct UserProbe: Sendable, Equatable {
    /// Users that were asked for and answered.
    package var asked = 0
    package var unknown = 0
    /// Known, but answered by a fallback as well.
    package var withoutHistory = 0
    /// The first user that a fallback served.
    package var example: String?

    package init() {}

    private static let usersMax = 5

    /// Asks for a few users before a run, evenly from the first to the last.
    ///
    /// - Parameter fallback: Sends the call and tells its reply's fallback; nil: no answer that can be read.
    /// - Returns: nil when the load asks for no users or nothing was answered.
    static func ask(
        _ configuration: LoadConfiguration, _ fallback: (RecommendRequest, Slot) async -> Fallback?
    ) async -> UserProbe? {
        var probe = UserProbe()
        for request in requests(configuration) {
            probe.record(request.user, await fallback(request, Slot(user: request.user)))
        }
        return probe.asked == 0 ? nil : probe
    }

    /// The same for a caller that waits.
    static func ask(_ configuration: LoadConfiguration, _ fallback: (RecommendRequest, Slot) -> Fallback?) -> UserProbe?
    {
        var probe = UserProbe()
        for request in requests(configuration) {
            probe.record(request.user, fallback(request, Slot(user: request.user)))
        }
        return probe.asked == 0 ? nil : probe
    }

    private static func requests(_ configuration: LoadConfiguration) -> [RecommendRequest] {
        guard configuration.mix.contains(.recommend) || configuration.mix.contains(.recommendMany) else { return [] }
        let count = configuration.users.count
        let asked = min(count, usersMax)
        return (0..<asked).map { place in
            let rank = asked == 1 ? 0 : place * (count - 1) / (asked - 1)
            var request = RecommendRequest(
                user: configuration.users.name(rank), k: configuration.k, scenario: configuration.scenario)
            request.tenant = configuration.tenant
            return request
        }
    }

    /// Counts what came back for `user`.
    package mutating func record(_ user: String, _ fallback: Fallback?) {
        guard let fallback else { return }
        asked += 1
        switch fallback {
        case .none: return
        case .unknownUser: unknown += 1
        case .noHistory: withoutHistory += 1
        }
        example = example ?? user
    }

    /// What to say when fallbacks are measured; nil: all is well.
    package var warning: String? {
        guard let example, unknown + withoutHistory > 0 else { return nil }
        let which =
            unknown + withoutHistory == asked
            ? "these users (\(example), for one)"
            : "\(unknown + withoutHistory) of \(asked) users asked (\(example), for one)"
        let what = unknown > 0 ? "does not know \(which)" : "has no history of \(which)"
        return "the node \(what): it answers them with popular items, which costs less than a slate of their own; name"
            + " known ones with --users-file (`martlet model users BUNDLE -n 2000 | cut -f1` writes such a list)"
    }
}
