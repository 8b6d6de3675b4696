import Dispatch
import MartletClient
import Synchronization
import Training

/// Events of a file that go to the node together.
struct EventBatch: Sendable {
    /// With the number of the line of each.
    var events: [(line: Int, event: UserEvent)] = []
    /// Lines that are no events.
    var faults: [(line: Int, fault: EventLineFault)] = []
    /// Events that got an ID from their content, and those that have none.
    var madeIDs = 0
    var withoutIDs = 0
    /// How much of the file is read; nil where that is not known.
    var fraction: Double?

    var firstLine: Int { min(events.first?.line ?? .max, faults.first?.line ?? .max) }
}

/// Reads a file of events in batches, on a thread of its own: whoever waits for standard input holds up no call.
final class EventBatches: Sendable {
    struct Rules {
        var eventsMax = RequestLimits.eventsMax
        /// Events that are read at most; nil: all.
        var limit: Int?
        /// Whether events without an ID get one from their content.
        var makesIDs = true
    }

    /// How long what was read waits for more of a slow input.
    private static let patienceMilliseconds = 200

    let path: String
    private let rules: Rules
    private let cancellation: Cancellation
    private let queue = DispatchQueue(label: "martlet.ingest")
    private let state: Mutex<State>
    private let stopped = Atomic<Bool>(false)

    private struct State {
        let reader: EventFileReader
        var left: Int
    }

    init(_ reader: sending EventFileReader, _ rules: Rules, _ cancellation: Cancellation) {
        path = reader.path
        self.rules = rules
        self.cancellation = cancellation
        state = Mutex(State(reader: reader, left: rules.limit ?? .max))
    }

    /// Whether nothing more is wanted.
    var isStopped: Bool { stopped.load(ordering: .relaxed) || cancellation.isCancelled }

    /// Ends the reading, also where it waits for input.
    func stop() { stopped.store(true, ordering: .relaxed) }

    /// Columns or keys that mean nothing, the first few.
    var passedOver: [String] { state.withLock { $0.reader.passedOver } }

    /// The next batch; nil at the end, and once nothing more is wanted.
    ///
    /// - Throws: `DatasetError` when the file cannot be read.
    func next() async throws -> EventBatch? {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try self.read() }) }
        }
    }

    private func read() throws -> EventBatch? {
        try state.withLock { state in
            var batch = EventBatch()
            while batch.events.count < min(rules.eventsMax, state.left), batch.faults.count < rules.eventsMax {
                if isStopped { break }
                if !state.reader.isReady(withinMilliseconds: Self.patienceMilliseconds) {
                    // Slow input: what is there goes; else it is waited for, with an eye on Ctrl-C.
                    if batch.firstLine < .max { break }
                    continue
                }
                guard let line = try state.reader.next() else { break }
                switch line.event {
                case .failure(let fault): batch.faults.append((line.number, fault))
                case .success(var event):
                    if event.id.isEmpty {
                        if rules.makesIDs, event.timeMilliseconds > 0 {
                            event.id = event.contentID
                            batch.madeIDs += 1
                        } else {
                            batch.withoutIDs += 1
                        }
                    }
                    batch.events.append((line.number, event))
                }
            }
            state.left -= batch.events.count
            if state.reader.fileBytes > 0 {
                batch.fraction = Double(state.reader.consumedBytes) / Double(state.reader.fileBytes)
            }
            return batch.firstLine < .max && !isStopped ? batch : nil
        }
    }
}
