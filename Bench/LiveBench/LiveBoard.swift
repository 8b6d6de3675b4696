import LoadGenerator
import Synchronization

/// What the tasks of a `LiveRun` write down.
final class LiveBoard: Sendable {
    enum Probe: Sendable {
        /// Nanoseconds from the event to its acknowledgement, and to a slate that shows it; slates that did not before.
        case seen(acknowledged: UInt64, visible: UInt64, still: Int)
        case never(acknowledged: UInt64, still: Int)
        case failed
    }

    private struct Contents {
        var inFlight = [0, 0, 0]
        var unsent = [0, 0, 0]
        var background = LatencyFigures.inNanoseconds()
        var eventsTaken = 0
        var eventsRefused = 0
        /// Of each window: with events, without.
        var slates: [[LatencyFigures]] = [[], []]
        var slatesFailed = 0
        var acknowledged = [LatencyFigures.inNanoseconds(), LatencyFigures.inNanoseconds()]
        var visible = [LatencyFigures.inNanoseconds(), LatencyFigures.inNanoseconds()]
        var still = 0
        var never = 0
        var probesFailed = 0
    }

    private let contents = Mutex(Contents())

    /// - Returns: Whether there is room for one more call of the kind.
    func begin(_ kind: LiveKind) -> Bool {
        contents.withLock { contents in
            guard contents.inFlight[kind.rawValue] < LiveRun.inFlightMax else {
                contents.unsent[kind.rawValue] += 1
                return false
            }
            contents.inFlight[kind.rawValue] += 1
            return true
        }
    }

    func end(_ kind: LiveKind) { contents.withLock { $0.inFlight[kind.rawValue] -= 1 } }

    func noteEvents(since due: UInt64, taken: Int, refused: Int) {
        let took = Nanoseconds.now() - due
        contents.withLock { contents in
            if taken > 0 { contents.background.record(took) }
            contents.eventsTaken += taken
            contents.eventsRefused += refused
        }
    }

    /// - Parameter due: Nil where there is no answer.
    func noteSlate(since due: UInt64?, _ window: LiveWindow) {
        let now = Nanoseconds.now()
        contents.withLock { contents in
            guard let due else {
                contents.slatesFailed += 1
                return
            }
            let side = window.hasEvents ? 0 : 1
            while contents.slates[side].count <= window.number { contents.slates[side].append(.inNanoseconds()) }
            contents.slates[side][window.number].record(now - due)
        }
    }

    func noteProbe(_ probe: Probe, _ window: LiveWindow) {
        let side = window.hasEvents ? 0 : 1
        contents.withLock { contents in
            switch probe {
            case .seen(let acknowledged, let visible, let still):
                contents.acknowledged[side].record(acknowledged)
                contents.visible[side].record(visible)
                contents.still += still
            case .never(let acknowledged, let still):
                contents.acknowledged[side].record(acknowledged)
                contents.still += still
                contents.never += 1
            case .failed: contents.probesFailed += 1
            }
        }
    }

    func report(_ configuration: LiveRun.Configuration, seconds: Double, windows: Int) -> LiveReport {
        contents.withLock { contents in
            LiveReport(
                configuration: configuration, seconds: seconds, windows: windows, background: contents.background,
                eventsTaken: contents.eventsTaken, eventsRefused: contents.eventsRefused,
                unsent: contents.unsent.reduce(0, +), slates: contents.slates, slatesFailed: contents.slatesFailed,
                acknowledged: contents.acknowledged, visible: contents.visible, still: contents.still,
                never: contents.never, probesFailed: contents.probesFailed)
        }
    }
}
