/// Events of a user, newest first; used again for one user after the other.
package struct HistoryBuffer: RandomAccessCollection {
    @usableFromInline package private(set) var storage: [HistoryEvent] = []
    @usableFromInline package private(set) var filled = 0

    package init() {}

    @inlinable package var startIndex: Int { 0 }
    @inlinable package var endIndex: Int { filled }
    @inlinable package subscript(place: Int) -> HistoryEvent {
        precondition(place < filled, "event \(place) of \(filled)")
        return storage[place]
    }

    /// Lets `body` write `count` events.
    mutating func fill(_ count: Int, _ body: (inout MutableSpan<HistoryEvent>) -> Void) {
        while storage.count < count { storage.append(HistoryEvent(item: 0, type: 0, seconds: 0)) }
        filled = count
        var span = storage.mutableSpan
        body(&span)
    }
}

/// Events of a user in the last minute, hour and day, by type.
package struct WindowCounts: Sendable, Equatable {
    /// How far back a window reaches: an event counts while it is younger.
    package enum Window: Int, Sendable, CaseIterable {
        case minute, hour, day

        package var seconds: UInt32 {
            switch self {
            case .minute: 60
            case .hour: 3600
            case .day: 86_400
            }
        }
    }

    private var counts = [UInt16](repeating: 0, count: Window.allCases.count * EventTypes.countMax)
    /// The windows whose counts are complete.
    private var complete = 7

    package init() {}

    package subscript(type: UInt8, window: Window) -> Int {
        Int(counts[window.rawValue * EventTypes.countMax + Int(type & 31)])
    }

    /// Whether a window's counts are exact. Where not, the history did not reach back so far: there were so many, or more.
    package func isExact(_ window: Window) -> Bool { complete & 1 << window.rawValue != 0 }

    mutating func reset() {
        for place in counts.indices { counts[place] = 0 }
        complete = 7
    }

    mutating func add(_ type: UInt8, age: UInt32) {
        for window in Window.allCases where age < window.seconds {
            counts[window.rawValue * EventTypes.countMax + Int(type & 31)] += 1
        }
    }

    /// The history was cut behind an event that is `age` seconds old.
    mutating func limit(toAge age: UInt32) {
        for window in Window.allCases where age < window.seconds { complete &= ~(1 << window.rawValue) }
    }
}

/// What a user did since the last long pause.
package struct UserSession: Sendable, Hashable {
    package var events: Int
    package var distinctItems: Int
    package var secondsSinceStart: UInt32
    package var secondsSinceLast: UInt32
    /// The type of the newest event.
    package var lastType: UInt8
    /// The session reaches back beyond the history: there were so many events, or more.
    package var isCut: Bool
}
