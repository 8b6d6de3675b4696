/// A way in which an answer is less than it should be, as the answer names it. Numbers are the wire's.
///
/// What leads to each, what is served, and what counts it: `DegradationRow`.
package enum Degradation: UInt8, Sendable, CaseIterable {
    /// A configured source is not in the bundle, or has nothing fresh.
    case sourceUnavailable = 1
    /// A source was left out to keep the deadline.
    case deadlineTruncated = 2
    /// The cursor was of a generation that is no longer held; the page starts anew.
    case cursorRestarted = 3
    /// Fewer than `k` items were eligible.
    case shortSlate = 4
    /// The scenario wants a ranker and the bundle has none: the order is retrieval's.
    case rankerUnavailable = 5
    /// The ranker was too slow for the deadline, or its scores were no numbers: the order is retrieval's.
    case rankerSkipped = 6
    /// The caps of the scenario were raised to fill the slate.
    case capsRelaxed = 7
    /// Other nodes may know something of the user, or of the items, that this one does not.
    case staleUserState = 8
    /// An answer from before, as there was no time or no room to make one.
    case staleSlate = 9
    /// No source had time, or found anything: what is popular.
    case popularOnly = 10
    /// A source failed; the others made the slate.
    case sourceFailed = 11
    /// The ranker takes what users do just now, and nothing fresh was known of it.
    case liveFeaturesMissing = 12
    /// What the user did since the model was made has no part in its factor.
    case foldInFailed = 13
    /// There was no time for all of the explanation.
    case explanationCut = 14

    package var name: String {
        switch self {
        case .sourceUnavailable: "source_unavailable"
        case .deadlineTruncated: "deadline_truncated"
        case .cursorRestarted: "cursor_restarted"
        case .shortSlate: "short_slate"
        case .rankerUnavailable: "ranker_unavailable"
        case .rankerSkipped: "ranker_skipped"
        case .capsRelaxed: "caps_relaxed"
        case .staleUserState: "stale_user_state"
        case .staleSlate: "stale_slate"
        case .popularOnly: "popular_only"
        case .sourceFailed: "source_failed"
        case .liveFeaturesMissing: "live_features_missing"
        case .foldInFailed: "fold_in_failed"
        case .explanationCut: "explanation_cut"
        }
    }
}

/// A set of degradations.
package struct DegradationSet: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package init(_ degradation: Degradation) { rawValue = 1 << UInt32(degradation.rawValue) }

    /// The members, in the order of their numbers.
    package var members: [Degradation] { Degradation.allCases.filter { contains(DegradationSet($0)) } }

    /// Slates that the next call should not get, as it may have what this one lacked.
    static let passing: DegradationSet = [
        DegradationSet(.deadlineTruncated), DegradationSet(.rankerSkipped), DegradationSet(.sourceFailed),
        DegradationSet(.staleUserState),
    ]
}
