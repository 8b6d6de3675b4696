import Features
import LiveState

/// What is known at the second of a request that changes while a generation serves: where live features read.
///
/// Each part comes with the second that it is as of; a feature takes none that is older than its time-to-live.
package struct LiveReadings {
    /// Nil: nothing is known of the user, or no feature asks.
    package var user: UserActivity?
    /// Nil: nothing is known of items, or no feature asks.
    package var items: LiveItems?

    package init(user: UserActivity? = nil, items: LiveItems? = nil) {
        self.user = user
        self.items = items
    }
}

/// Who knows the activity of items: a node's newest view, or a replay of what happened.
package protocol LiveItemReader {
    /// What is known of the item of a row of the model; nil where nothing can be.
    func activity(of row: UInt32) -> ItemActivityValues?
}

/// The activity of items as a request finds it.
package struct LiveItems {
    let reader: any LiveItemReader
    /// Seconds since the moment that the values are of.
    let age: Int

    /// - Parameters:
    ///   - reader: Asked while the request's features are computed.
    ///   - age: Seconds since the moment that its values are of.
    package init(_ reader: any LiveItemReader, age: Int) {
        self.reader = reader
        self.age = max(0, age)
    }

    /// - Parameters:
    ///   - view: The node's newest.
    ///   - numbers: Of each row of the model the item's number (`ItemNumbers`); `UInt32.max` for none.
    ///   - now: Seconds since 1970.
    package init(_ view: ItemActivityView, numbers: [UInt32], now: Int64) {
        self.init(ViewReader(view: view, numbers: numbers), age: Int(clamping: now - Int64(view.seconds)))
    }

    private struct ViewReader: LiveItemReader {
        let view: ItemActivityView
        let numbers: [UInt32]

        func activity(of row: UInt32) -> ItemActivityValues? {
            guard Int(row) < numbers.count, numbers[Int(row)] != .max else { return nil }
            return view.values(of: numbers[Int(row)], scenario: 0)
        }
    }
}

/// How a live feature of items is read.
struct LiveItemValue {
    let signal: ItemSignal
    /// Seconds.
    let timeToLive: Int

    func isFresh(_ items: LiveItems) -> Bool { items.age < timeToLive }

    func number(_ values: ItemActivityValues) -> Double {
        switch signal {
        case .impressions: values.impressions
        case .clicks: values.clicks
        case .clickRate: values.clickRate
        case .trend: values.trend
        }
    }
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
        case .pair, .item: return nil
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
