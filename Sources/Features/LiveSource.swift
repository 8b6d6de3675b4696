/// How far back a live feature counts.
package enum LiveWindow: String, Sendable, CaseIterable {
    case minute = "1m"
    case hour = "1h"
    case day = "1d"

    package var seconds: Int {
        switch self {
        case .minute: 60
        case .hour: 3600
        case .day: 86_400
        }
    }
}

/// Which events a live feature counts. What a type is (its weight, its flags) is the node's business.
package enum EventClass: Hashable, Sendable {
    /// All that say something of the user: those that were only shown are not among them.
    case any
    /// Of types with a weight above 0.
    case positive
    /// Of types with a weight below 0.
    case negative
    /// Items that the user was shown.
    case shown
    /// Of the type of that name.
    case type(String)

    /// Longest name of a type.
    package static let nameBytesMax = 64

    /// Nil for a text that is none.
    package init?(_ text: some StringProtocol) {
        switch text {
        case "any": self = .any
        case "positive": self = .positive
        case "negative": self = .negative
        case "shown": self = .shown
        default:
            let isName = text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"),
                    UInt8(ascii: "-"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
            guard isName, (1...Self.nameBytesMax).contains(text.utf8.count) else { return nil }
            self = .type(String(text))
        }
    }

    package var text: String {
        switch self {
        case .any: "any"
        case .positive: "positive"
        case .negative: "negative"
        case .shown: "shown"
        case .type(let name): name
        }
    }
}

/// What is known of an item's activity over all users and scenarios.
package enum ItemSignal: String, Sendable, CaseIterable {
    /// Impressions, of which old ones count less and less.
    case impressions
    /// The same of clicks and what counts as one.
    case clicks
    /// Clicks of an impression, shrunk towards everybody's where impressions are few.
    case clickRate = "ctr"
    /// Clicks lately above those to be expected, in standard deviations.
    case trend
}

/// What of live state a feature tells. What is of a user is as of the user's newest event, what is of an item as of the moment
/// when items were last looked at; it is too old to be told when that is further back than the feature's time-to-live.
package enum LiveSource: Hashable, Sendable {
    /// The user's events of a class in a window.
    case events(EventClass, LiveWindow)
    /// Events of the user's session.
    case sessionEvents
    /// Different items of it.
    case sessionItems
    /// Seconds since it began.
    case sessionSeconds
    /// Seconds since the user's newest event.
    case idle
    /// The user's events of a class with this very item in a window.
    case pair(EventClass, LiveWindow)
    /// Of the item, whoever asks.
    case item(ItemSignal)

    /// Whether it differs from candidate to candidate.
    package var isPerCandidate: Bool {
        switch self {
        case .pair, .item: true
        default: false
        }
    }

    /// Whether it is of the user, alone or with an item.
    package var isOfUser: Bool { if case .item = self { false } else { true } }

    /// Whether it counts what was only shown, which is remembered apart.
    package var isOfShown: Bool {
        switch self {
        case .events(.shown, _), .pair(.shown, _): true
        default: false
        }
    }

    /// Seconds after which a value is too old where the schema does not say: a window's length, a session's pause, a day;
    /// of items five minutes.
    package var timeToLive: Int {
        switch self {
        case .events(_, let window), .pair(_, let window): window.seconds
        case .sessionEvents, .sessionItems, .sessionSeconds: 1800
        case .idle: 86_400
        case .item: 300
        }
    }

    /// Longest time-to-live: 30 days.
    package static let timeToLiveMax = 30 * 86_400

    package static let plain: [String: LiveSource] = [
        "live.session.events": .sessionEvents, "live.session.items": .sessionItems,
        "live.session.seconds": .sessionSeconds, "live.idle": .idle, "live.item.impressions": .item(.impressions),
        "live.item.clicks": .item(.clicks), "live.item.ctr": .item(.clickRate), "live.item.trend": .item(.trend),
    ]

    /// `1h` or `CLASS:1h`; nil for another text.
    package static func counted(_ text: String) -> (EventClass, LiveWindow)? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.last, let window = LiveWindow(rawValue: String(last)) else { return nil }
        switch parts.count {
        case 1: return (.any, window)
        case 2: return EventClass(parts[0]).map { ($0, window) }
        default: return nil
        }
    }

    package var text: String {
        switch self {
        case .events(.any, let window): "live.events:\(window.rawValue)"
        case .events(let events, let window): "live.events:\(events.text):\(window.rawValue)"
        case .pair(.any, let window): "live.pair:\(window.rawValue)"
        case .pair(let events, let window): "live.pair:\(events.text):\(window.rawValue)"
        default: Self.plain.first { $0.value == self }?.key ?? ""
        }
    }
}
