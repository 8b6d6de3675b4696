import Features
import LiveState

/// What is known at the second of a request that changes while a generation serves: where live features read.
///
/// The user's part and whatever else is live come with the second that they are as of; a feature takes none that is older than
/// its time-to-live.
package struct LiveReadings: Sendable {
    /// What is known of the user. Nil: nothing is, or no feature asks.
    package var user: UserActivity?

    package init(user: UserActivity? = nil) { self.user = user }
}

/// How a live feature of a user is read.
struct LiveUserValue {
    let source: LiveSource
    /// Seconds.
    let timeToLive: UInt32

    init(_ source: LiveSource, timeToLive: Int) {
        self.source = source
        self.timeToLive = UInt32(clamping: timeToLive)
    }

    /// The memory that the feature counts, where it is fresh; nil: it is empty or too old, and all values of it are missing.
    func memory(_ activity: UserActivity?) -> (activity: UserActivity, memory: UserActivity.Memory)? {
        guard let activity else { return nil }
        let memory = source.isOfShown ? activity.shown : activity.known
        guard let newest = memory.newest, activity.now < newest || activity.now - newest < timeToLive else {
            return nil
        }
        return (activity, memory)
    }

    /// The value; nil where it is missing or late.
    func number(_ activity: UserActivity?) -> Double? {
        guard let (activity, memory) = memory(activity) else { return nil }
        switch source {
        case .events(let events, let window):
            guard let types = activity.types?.set(of: events) else { return nil }
            return Double(memory.counts.sum(types, window.window))
        case .sessionEvents: return activity.session.map { Double($0.events) }
        case .sessionItems: return activity.session.map { Double($0.distinctItems) }
        case .sessionSeconds: return activity.session.map { Double($0.secondsSinceStart) }
        case .idle: return memory.newest.map { activity.now < $0 ? 0 : Double(activity.now - $0) }
        case .pair: return nil
        }
    }

    /// Events with each candidate, in the candidates' order; false where they are missing or late.
    ///
    /// - Complexity: O(events + candidates).
    func pairs(_ activity: UserActivity?, _ index: CandidateIndex, into counts: inout [Double?]) -> Bool {
        guard case .pair(let events, let window) = source, let (activity, memory) = memory(activity),
            let types = activity.types?.set(of: events)
        else { return false }
        for place in counts.indices { counts[place] = 0 }
        for event in memory.events {
            let age = activity.now < event.seconds ? 0 : activity.now - event.seconds
            // Newest first.
            if age >= window.window.seconds { break }
            guard types.contains(event.type), let place = index.place(of: event.row) else { continue }
            counts[place] = (counts[place] ?? 0) + 1
        }
        return true
    }
}

extension LiveWindow {
    var window: WindowCounts.Window {
        switch self {
        case .minute: .minute
        case .hour: .hour
        case .day: .day
        }
    }
}

extension EventTypes {
    /// The types of a class; nil for the name of a type that there is not.
    func set(of events: EventClass) -> EventTypeSet? {
        switch events {
        case .any, .shown: return .all
        case .positive: return positives
        case .negative: return negatives
        case .type(let name):
            guard let code = code(named: name) else { return nil }
            var set = EventTypeSet.none
            set.insert(code)
            return set
        }
    }
}
