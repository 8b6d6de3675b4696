import EventLog
import LiveState
import TestSupport
import Testing
import Vocabulary

@testable import Serving

@Suite(.ownThreads) struct EventIntakeTests {
    private final class Origin: CallOrigin {
        let isCancelled = false
    }

    /// An intake whose log's outcomes the test gives itself.
    private struct World {
        let folder: TemporaryFolder
        let log: LogWriter
        let intake: EventIntake
        let call = ShardCall(
            request: .record(EventBatch(events: [])), arrived: 0, deadline: .max, origin: Origin())
        let moment = EventIntake.Moment(seconds: 1_700_000_000, rows: [])

        init() throws {
            folder = try TemporaryFolder(inMemory: true)
            log = try LogWriter(
                FileStorage(path: folder.file("events"), creates: true), clock: { 0 }, wallClock: { 0 },
                outcome: { _ in })
            let live = LiveUsers(
                states: try UserStates(UserStatesConfiguration(), types: EventTypes(), slots: 0..<Slot.count),
                recent: try RecentEvents(capacity: 1000, seed: 1), numbers: try ItemNumbers())
            intake = EventIntake(log: log, live: live)
        }

        func take(_ ids: String...) -> RecordedEvents? {
            intake.take(
                EventBatch(
                    events: ids.enumerated().map { ($0, UserEvent(user: "u", item: "i", type: "click", id: $1)) }),
                call, moment)
        }

        func settle(_ outcome: LogOutcome) -> [RecordedEvents] {
            var answers: [RecordedEvents] = []
            intake.settle(outcome, moment) { answers.append($1) }
            return answers
        }
    }

    private static let error = LogError(.system, path: "log", "told to fail")

    @Test("An event that waits for another of its ID is stored before if that is, and refused if that is")
    func waitsForOther() throws {
        for isStored in [true, false] {
            let world = try World()
            #expect(world.take("a") == nil)
            #expect(world.take("a") == nil)
            #expect(world.take("b", "a", "b") == nil)
            let answers = world.settle(isStored ? .stored(through: 2) : .refused(through: 2, Self.error))
            #expect(answers.map(\.stored) == (isStored ? [1, 0, 1] : [0, 0, 0]))
            #expect(answers.map(\.duplicates) == (isStored ? [0, 1, 2] : [0, 0, 0]))
            #expect(answers.map { $0.refused.sorted() } == (isStored ? [[], [], []] : [[0], [0], [0, 1, 2]]))
            #expect(answers.allSatisfy { ($0.refusal == nil) == isStored })
            // What was refused is new when it comes again.
            let again = world.take("a")
            #expect(again?.duplicates == (isStored ? 1 : nil))
            world.log.close()
        }
    }

    @Test("A call that is stored itself does not vouch for a refused event that it repeats")
    func refusedBefore() throws {
        let world = try World()
        #expect(world.take("a") == nil)
        #expect(world.take("b", "a") == nil)
        #expect(world.settle(.refused(through: 1, Self.error)).map(\.refused) == [[0]])
        let answers = world.settle(.stored(through: 2))
        #expect(answers.map(\.stored) == [1])
        #expect(answers.map(\.duplicates) == [0])
        #expect(answers.map(\.refused) == [[1]])
        #expect(answers.first?.refusal == Self.error)
        world.log.close()
    }
}
