import Dispatch
import EventLog
import LiveState
import NIOCore
import Retrieval
import Serving
import Synchronization
import Telemetry
import Vocabulary
import Wire

/// The one writer of what has changed of the node's items, off the loops.
///
/// ```
///  any loop:   take -> (queue) room? -> append to the log -> waits
///  log:        settle: stored -> into the book -> waits for the next publication      refused -> answered
///  publish:    an overlay for each generation -> the board -> every shard has it -> answered
/// ```
/// Publications begin at most every 100 ms, and not before as much time has passed as the last one took; after a rest the
/// first one begins at once. A change that was answered counts in every answer to a call that comes after.
final class ItemDesk: @unchecked Sendable {
    // Touched on `queue` alone, but for what is atomic or locked.

    /// A call that changes items.
    struct Call {
        let ticket: CallTicket
        var changes: [(position: Int, change: ItemChange)]
        var faults: [ItemFault]
        /// Of each change, where changes are shared.
        var tokens: [UInt64] = []
    }

    private struct Waiting {
        var call: Call
        /// Of the record that decides.
        var sequence: UInt64
        /// Items that may be new to the book.
        var reserved: Int
        var reservedBytes: Int
    }

    static let publicationNanoseconds: UInt64 = 100_000_000
    /// Calls that wait for the log or a publication; further ones are refused.
    private static let callsMax = 256

    let queue = DispatchQueue(label: "martlet.items")
    let log: LogWriter?
    private let numbers: ItemNumbers
    private let durability: Durability
    let board = OverlayBoard()
    private let calls = Atomic<Int>(0)
    let figures = Mutex(ItemsReading())
    /// What the log said and nobody has looked at yet; neighbours that say the same are one.
    private let outcomes = Mutex<[LogOutcome]>([])

    private var workers: [LoopWorker] = []
    var book: ItemBook
    private var waiting: [Waiting] = []
    private var reserved = (count: 0, bytes: 0)
    private var builders: [OverlayBuilder] = []
    private var overlays: [UInt64: ItemOverlay] = [:]
    var changed: Set<String> = []
    private var unpublished: [(call: Call, reply: ChangeItemsReply)] = []
    private var version: UInt64 = 0
    var appliedThrough: UInt64 = 0
    private var nextPublication: UInt64 = 0
    private var isScheduled = false

    // Shared with other nodes; see ItemDesk+Sharing.
    /// What all nodes know together. Empty on a node that never shared.
    var shared: SharedItems
    /// Set before the first connection.
    var sharing: ItemSharing?
    /// The name of this node among those who share; 0: none yet.
    var authorName: UInt64 = 0
    /// How far the stream of all is known.
    var heard: (history: UInt64, through: ItemVersion) = (0, .zero)
    var lastToken: UInt64 = 0
    /// Something that was heard is not in the log: a restart reads all of it anew.
    let hasHole = Atomic<Bool>(false)
    /// Published, and not yet written to where others see it.
    var unshared: [(call: Call, reply: ChangeItemsReply, until: UInt64)] = []
    /// Of the last poll whose changes are not published yet.
    var unpublishedAsOf: UInt64?
    var isClosed = false

    /// - Parameter log: Nil: changes are kept in memory alone.
    init(_ configuration: ItemsConfiguration, log: LogWriter?, numbers: ItemNumbers, durability: Durability) {
        self.log = log
        self.numbers = numbers
        self.durability = log == nil ? .memory : durability
        book = ItemBook(countMax: configuration.changesMax, bytesMax: configuration.bytesMax)
        shared = SharedItems(restoredMax: max(10_000, configuration.changesMax))
    }

    func connect(_ workers: [LoopWorker]) { queue.sync { self.workers = workers } }

    /// Answers nobody any more.
    func close() { queue.sync { isClosed = true } }

    // MARK: Calls

    /// Takes a call; it is answered later. Any loop.
    func take(_ call: Call) {
        guard calls.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue <= Self.callsMax else {
            calls.wrappingSubtract(1, ordering: .relaxed)
            return call.ticket.home.refuse(
                call.ticket,
                Rejection(
                    .queueFull, "\(Self.callsMax) calls that change items wait, the most that may", retryIsSafe: true,
                    retryAfterMilliseconds: 100))
        }
        queue.async { self.append(call) }
    }

    private func append(_ call: Call) {
        var call = call
        var reserved = (count: 0, bytes: 0)
        call.changes.removeAll { position, change in
            if case .upsert(let description) = change,
                let fault = builders.last?.fault(ofVector: description.vector)
            {
                call.faults.append(ItemFault(item: position, status: .invalid, message: fault))
                return true
            }
            if let fault = sharingFault(of: change, position, beside: reserved.count) {
                call.faults.append(fault)
                return true
            }
            // A change that gives room always has some.
            if case .restore = change { return false }
            let bytes = ItemBook.bytes(of: change)
            guard
                book.hasRoom(
                    for: change, reserved: self.reserved.count + reserved.count,
                    bytes: self.reserved.bytes + reserved.bytes)
            else {
                call.faults.append(
                    ItemFault(item: position, status: .full, message: book.fullMessage(described: change)))
                return true
            }
            if !book.knows(change.item) { reserved.count += 1 }
            reserved.bytes += bytes
            return false
        }
        call.faults.sort { $0.item < $1.item }
        figures.withLock { $0.refused += UInt64(call.faults.count) }
        if call.changes.isEmpty { return answer(call, ChangeItemsReply()) }
        if sharing != nil { call.tokens = call.changes.map { _ in nextToken() } }
        guard let log else {
            apply(call)
            return schedule()
        }
        do throws(LogError) {
            let sequence = try log.append(kind: recordKind(of: call).rawValue, record(of: call))
            self.reserved.count += reserved.count
            self.reserved.bytes += reserved.bytes
            waiting.append(
                Waiting(call: call, sequence: sequence, reserved: reserved.count, reservedBytes: reserved.bytes))
        } catch {
            refuse(call, error)
        }
    }

    /// Learns what became of records; on the log's thread. Costs nothing to speak of while no call waits.
    func settle(_ outcome: LogOutcome) {
        // A call counts as waiting before its record can be stored.
        let isAwaited = calls.load(ordering: .acquiring) > 0
        outcomes.withLock { outcomes in
            if !isAwaited { outcomes = [] }
            if case .stored = outcome, case .stored? = outcomes.last { outcomes.removeLast() }
            outcomes.append(outcome)
        }
        if case .refused = outcome { hasHole.store(true, ordering: .relaxed) }
        if isAwaited { queue.async { self.takeOutcomes() } }
    }

    private func takeOutcomes() {
        let taken = outcomes.withLock { outcomes in
            defer { outcomes = [] }
            return outcomes
        }
        for outcome in taken { take(outcome) }
        if !unpublished.isEmpty { schedule() }
    }

    private func take(_ outcome: LogOutcome) {
        var count = 0
        for entry in waiting {
            guard entry.sequence <= outcome.through else { break }
            count += 1
            reserved.count -= entry.reserved
            reserved.bytes -= entry.reservedBytes
            switch outcome {
            case .stored: apply(entry.call)
            case .refused(_, let error): refuse(entry.call, error)
            }
        }
        waiting.removeFirst(count)
        appliedThrough = max(appliedThrough, outcome.through)
    }

    private func apply(_ call: Call) {
        var reply = ChangeItemsReply()
        for (place, (_, change)) in call.changes.enumerated() {
            apply(change, token: call.tokens.isEmpty ? nil : call.tokens[place])
            if !(builders.last?.knows(change.item) ?? false) { reply.unknownItems += 1 }
        }
        reply.stored = call.changes.count
        unpublished.append((call, reply))
        if !call.tokens.isEmpty { sharing?.writeSoon() }
    }

    // MARK: Answers

    private func refuse(_ call: Call, _ error: LogError) {
        figures.withLock { $0.refused += UInt64(call.changes.count) }
        let reason: Rejection.Reason =
            switch error.code {
            case .full, .diskFull: .logFull
            case .malformed: .invalidArgument
            default: .logBroken
            }
        send(
            .failure(
                Rejection(
                    reason, "the event log takes nothing: \(error.fault)", retryIsSafe: reason != .invalidArgument,
                    retryAfterMilliseconds: 250)), call.ticket)
    }

    func answer(_ call: Call, _ reply: ChangeItemsReply) {
        var reply = reply
        reply.faults = call.faults
        reply.durability = durability
        reply.version = version
        send(.success(reply), call.ticket)
    }

    private func send(_ result: Result<ChangeItemsReply, Rejection>, _ ticket: CallTicket) {
        calls.wrappingSubtract(1, ordering: .relaxed)
        if isClosed { return }
        ticket.home.eventLoop.execute {
            switch result {
            case .success(let reply): ticket.home.reply(reply, to: ticket)
            case .failure(let rejection): ticket.home.refuse(ticket, rejection)
            }
            // No read is under way that would write the answer at its end.
            ticket.home.flushDirty()
        }
    }

    // MARK: Publication

    func schedule() {
        if isScheduled || isClosed { return }
        isScheduled = true
        let now = LoopWorker.now
        if now >= nextPublication {
            // What else stands in line comes with it.
            queue.async { self.publish() }
        } else {
            queue.asyncAfter(deadline: .now() + .nanoseconds(Int(nextPublication - now))) { self.publish() }
        }
    }

    private func publish() {
        isScheduled = false
        if isClosed { return }
        let began = LoopWorker.now
        version += 1
        for builder in builders {
            overlays[builder.generation.number] = builder.overlay(after: changed, book, version: version)
        }
        changed = []
        board.set(overlays)
        let told = workers.map { worker in
            worker.eventLoop.submit { worker.shard.assumeIsolated { $0.takeOverlays() } }
        }
        for future in told { try? future.wait() }
        let now = LoopWorker.now
        nextPublication = began &+ max(Self.publicationNanoseconds, 2 * (now &- began))
        describe(now, took: now &- began)
        let answered = unpublished
        unpublished = []
        if let asOf = unpublishedAsOf {
            unpublishedAsOf = nil
            sharing?.published(asOf: asOf)
        }
        for (call, reply) in answered { answerWhenShared(call, reply) }
    }

    private func describe(_ now: UInt64, took: UInt64) {
        let overlay = builders.last.flatMap { overlays[$0.generation.number] }
        let (book, version) = (book, version)
        figures.withLock { figures in
            figures.changed = UInt64(book.count)
            figures.deleted = UInt64(book.deletedCount)
            figures.added = UInt64(overlay?.content.present.count ?? 0)
            figures.bytes = UInt64(book.bytes + (overlay?.added?.byteCount ?? 0) + (overlay?.restated?.byteCount ?? 0))
            figures.version = version
            figures.publishedAt = now
            figures.publicationNanoseconds = took
        }
    }

    /// Any thread.
    var reading: ItemsReading {
        var reading = figures.withLock { $0 }
        if reading.publishedAt > 0 { reading.ageNanoseconds = LoopWorker.now &- reading.publishedAt }
        return reading
    }

    /// Any thread, once the node serves.
    var sharingReading: ItemSharingReading { sharing?.reading ?? ItemSharingReading() }

    /// Whether all that was said of items anywhere until half a second ago counts here; true where nothing is shared. Any thread.
    var isCurrent: Bool { sharing?.isCurrent ?? true }

    /// What is known of all items, for tests. Not on a loop.
    var states: [String: ItemState] { queue.sync { book.states } }

    // MARK: Generations

    /// Makes the overlay of a generation before it serves. Not on a loop.
    func prepare(_ generation: Generation) {
        queue.sync {
            let builder = OverlayBuilder(generation, book: book, numbers: numbers)
            builders.append(builder)
            overlays[generation.number] = builder.overlay(version: version)
            board.set(overlays)
            describe(LoopWorker.now, took: 0)
        }
    }

    /// Lets go of all generations but those of these numbers.
    func keep(_ numbers: Set<UInt64>) {
        queue.async {
            self.builders.removeAll { !numbers.contains($0.generation.number) }
            self.overlays = self.overlays.filter { numbers.contains($0.key) }
            self.board.set(self.overlays)
        }
    }

    // MARK: Restart

    /// Takes changes that an earlier process stored, up to the record of that number. Not on a loop.
    func restore(_ changes: [ItemChange], through sequence: UInt64) {
        queue.sync {
            for change in changes { apply(change, token: nil) }
            changed = []
            // Nobody has been told of a version yet, but the numbers of two runs should not look the same.
            if !changes.isEmpty { version += 1 }
            appliedThrough = max(appliedThrough, sequence)
        }
    }

    /// Forgets what was restored.
    func removeAll() {
        queue.sync {
            book = ItemBook(countMax: book.countMax, bytesMax: book.bytesMax)
            forgetShared()
        }
    }

    /// The payloads of a snapshot's sections, and the last record that they know of. Not on a loop.
    func snapshot() -> (payloads: [[UInt8]], shared: [[UInt8]], knows: UInt64) {
        queue.sync {
            takeOutcomes()
            // An empty one says that there is nothing to replay.
            var payloads = [ItemChangeRecord.encode([])]
            for group in book.changes(inGroupsOf: 200) { Self.encode(group[...], into: &payloads) }
            return (payloads, sharedPayloads(), appliedThrough)
        }
    }

    private static func encode(_ changes: ArraySlice<ItemChange>, into payloads: inout [[UInt8]]) {
        let payload = ItemChangeRecord.encode(changes)
        if payload.count > SnapshotWriter.payloadBytesMax, changes.count > 1 {
            let middle = changes.startIndex + changes.count / 2
            encode(changes[..<middle], into: &payloads)
            encode(changes[middle...], into: &payloads)
        } else {
            payloads.append(payload)
        }
    }
}
