import Dispatch
import EventLog
import Serving
import Telemetry
import Vocabulary
import Wire

/// What the desk does where changes are shared with other nodes: own changes lie in the book at once and get a version when they
/// are written; those of others are logged, too, so that a restart without Redis knows them.
///
/// Everything runs on `queue`, but where it says otherwise.
extension ItemDesk {
    /// An answer waits so long for its changes to be written where others see them.
    private static let sharedNanoseconds: UInt64 = 250_000_000
    /// Entries of one record of the log.
    private static let recordEntriesMax = 500

    // MARK: Own changes

    /// Begins to share: what was known until then counts as earlier than anything shared. Not on a loop.
    func share(through makeSharing: (ItemDesk) -> ItemSharing) {
        let sharing = makeSharing(self)
        let (author, history, through) = queue.sync {
            if authorName == 0 { authorName = .random(in: 1...(.max)) }
            for (item, state) in book.states { shared.adopt(item, state) }
            self.sharing = sharing
            return (authorName, heard.history, heard.through)
        }
        sharing.start(author: author, history: history, heard: through)
    }

    /// The most own changes that wait to be written: the last word of each item, and some.
    private var unwrittenMax: Int { max(10_000, 2 * book.countMax) }

    func nextToken() -> UInt64 {
        // A log that lost its end gives its numbers twice; a clock does not.
        lastToken = max(lastToken + 1, EventStore.wallClock() * 1000)
        return lastToken
    }

    /// Why a change cannot be shared; nil: it can.
    func sharingFault(of change: ItemChange, _ position: Int, beside reserved: Int) -> ItemFault? {
        if sharing == nil { return nil }
        if shared.pendingCount + reserved >= unwrittenMax {
            return ItemFault(
                item: position, status: .full,
                message:
                    "\(shared.pendingCount) changes wait for Redis, the most that may; give it again when it is back")
        }
        let bytes = ItemBook.bytes(of: change)
        guard bytes > SharedItemValue.bytesMax / 2 else { return nil }
        return ItemFault(
            item: position, status: .invalid,
            message: "takes about \(bytes) bytes; nodes share changes of at most \(SharedItemValue.bytesMax / 2)")
    }

    func recordKind(of call: Call) -> RecordKind { call.tokens.isEmpty ? .itemChanges : .sharedItems }

    func record(of call: Call) -> [UInt8] {
        if call.tokens.isEmpty { return ItemChangeRecord.encode(call.changes.map(\.change)) }
        let entries = zip(call.changes, call.tokens).map { change, token in
            SharedItemsRecord.Entry(version: .zero, token: token, change: change.change)
        }
        return SharedItemsRecord(author: authorName, entries: entries).encoded
    }

    /// Brings a change of this node into the book.
    ///
    /// - Parameter token: Nil: it is not shared, unless something of its item is.
    func apply(_ change: ItemChange, token: UInt64?) {
        changed.insert(change.item)
        guard token != nil || shared.knows(change.item) else { return book.apply(change) }
        adopt(change.item)
        shared.take(change, token: token ?? nextToken())
        book.set(change.item, shared.state(of: change.item))
    }

    /// What the book knows of an item before anything of it is shared.
    private func adopt(_ item: String) {
        if !shared.knows(item), let state = book.states[item] { shared.adopt(item, state) }
    }

    private func refresh(_ item: String) {
        book.set(item, shared.state(of: item))
        changed.insert(item)
    }

    // MARK: Writing

    /// The first changes that are to be written.
    func takeUnwritten(countMax: Int, _ body: @escaping @Sendable ([SharedItems.Own]) -> Void) {
        queue.async {
            self.shared.returnUnwritten()
            body(self.shared.takeUnwritten(countMax: countMax))
        }
    }

    /// What became of them; none: nothing is known.
    func wrote(_ written: [(token: UInt64, SharedItemsStore.Written)]) {
        queue.async {
            for (token, outcome) in written {
                switch outcome {
                case .at(let version): self.shared.settle(token, version: version)
                case .held, .outdated: self.shared.outdate(token)
                }
            }
            self.log(
                written.compactMap { token, outcome in
                    guard case .at(let version) = outcome else { return nil }
                    return (version, token)
                })
            self.answerShared()
            self.describeSharing()
        }
    }

    /// Answers a call that is published, now or when its changes are written, but not much later.
    func answerWhenShared(_ call: Call, _ reply: ChangeItemsReply) {
        guard !call.tokens.isEmpty, let sharing else { return answer(call, reply) }
        guard call.tokens.contains(where: shared.isPending) else { return answer(call, reply, isShared: true) }
        guard sharing.canWrite else { return answer(call, reply) }
        unshared.append((call, reply, LoopWorker.now &+ Self.sharedNanoseconds))
        queue.asyncAfter(deadline: .now() + .nanoseconds(Int(Self.sharedNanoseconds))) { self.answerShared() }
    }

    private func answerShared() {
        if unshared.isEmpty { return }
        let now = LoopWorker.now
        let canWrite = sharing?.canWrite ?? false
        let all = unshared
        unshared = []
        for entry in all {
            let waits = entry.call.tokens.contains(where: shared.isPending)
            if waits, canWrite, now < entry.until {
                unshared.append(entry)
            } else {
                answer(entry.call, entry.reply, isShared: !waits)
            }
        }
    }

    private func answer(_ call: Call, _ reply: ChangeItemsReply, isShared: Bool) {
        var reply = reply
        reply.shared = isShared
        answer(call, reply)
    }

    // MARK: Hearing

    /// Takes what others, or this node, have written.
    ///
    /// - Parameters:
    ///   - history: 0: what is heard is a part of all there is, and says nothing of how far the stream is known.
    ///   - asOf: When it was asked for, if nothing more followed; nil: more does.
    ///   - done: Called when all of it is in the book and given to the log.
    func hear(
        _ changes: [SharedItemsStore.Heard], history: UInt64, heard through: ItemVersion, asOf: UInt64?,
        done: @escaping @Sendable () -> Void
    ) {
        queue.async {
            if self.isClosed { return done() }
            var entries: [SharedItemsRecord.Entry] = []
            for change in changes { if let entry = self.hear(change) { entries.append(entry) } }
            if asOf != nil { for item in self.shared.caughtUp() { self.refresh(item) } }
            let isNew = history != 0 && (history, through) != self.heard
            if isNew { self.heard = (history, through) }
            self.log(entries, evenIfEmpty: isNew)
            if self.changed.isEmpty {
                if let asOf { self.sharing?.published(asOf: asOf) }
            } else {
                self.unpublishedAsOf = asOf ?? self.unpublishedAsOf
                self.schedule()
            }
            if !entries.isEmpty || !self.unshared.isEmpty { self.answerShared() }
            self.describeSharing()
            done()
        }
    }

    /// - Returns: What is new of it.
    private func hear(_ heard: SharedItemsStore.Heard) -> SharedItemsRecord.Entry? {
        let item = heard.change.item
        if heard.author == authorName, shared.isPending(heard.token) {
            shared.settle(heard.token, version: heard.version)
            refresh(item)
            return SharedItemsRecord.Entry(version: heard.version, token: heard.token, change: heard.change)
        }
        if case .restore = heard.change {
        } else if !book.hasRoom(for: heard.change, reserved: 0, bytes: 0) {
            // As if it had not been heard: a restart with more room reads all anew.
            hasHole.store(true, ordering: .relaxed)
            sharing?.count { $0.full += 1 }
            return nil
        }
        adopt(item)
        guard shared.accept(heard.change, version: heard.version) else {
            sharing?.count { $0.known += 1 }
            return nil
        }
        sharing?.count { $0.taken += 1 }
        refresh(item)
        return SharedItemsRecord.Entry(version: heard.version, token: 0, change: heard.change)
    }

    /// Compares with everything that others see.
    func compare(
        _ seen: [String: SharedItems.Seen], isKnown: Bool, forgotten: ItemVersion,
        _ body: @escaping @Sendable ([SharedItems.Register]) -> Void
    ) {
        queue.async {
            let comparison = self.shared.compare(with: seen, isKnown: isKnown, forgotten: forgotten)
            self.shared.forgetRestored(before: forgotten)
            for item in comparison.dropped { self.refresh(item) }
            if !comparison.dropped.isEmpty {
                self.log(
                    comparison.dropped.map {
                        SharedItemsRecord.Entry(version: forgotten, token: 0, change: .restore($0))
                    }, evenIfEmpty: false)
                self.schedule()
            }
            body(comparison.missing)
        }
    }

    // MARK: The log

    /// Versions of own changes.
    private func log(_ written: [(ItemVersion, UInt64)]) {
        // The change is in the log; its token is enough to find it.
        log(
            written.map { SharedItemsRecord.Entry(version: $0, token: $1, change: .restore("")) },
            evenIfEmpty: false)
    }

    private func log(_ entries: [SharedItemsRecord.Entry], evenIfEmpty: Bool) {
        guard let log, evenIfEmpty || !entries.isEmpty else { return }
        let isWhole = !hasHole.load(ordering: .relaxed)
        var rest = entries[...]
        repeat {
            let part = rest.prefix(Self.recordEntriesMax)
            rest = rest.dropFirst(Self.recordEntriesMax)
            let isLast = rest.isEmpty
            let record = SharedItemsRecord(
                author: authorName, history: isWhole && isLast ? heard.history : 0,
                heard: isWhole && isLast ? heard.through : .zero, entries: Array(part))
            do throws(LogError) {
                _ = try log.append(kind: RecordKind.sharedItems.rawValue, record.encoded)
            } catch {
                hasHole.store(true, ordering: .relaxed)
                return
            }
        } while !rest.isEmpty
    }

    /// What a record or a snapshot's section says. Not on a loop.
    func restore(_ record: SharedItemsRecord, through sequence: UInt64) {
        queue.sync {
            if record.author != 0 { authorName = record.author }
            for entry in record.entries { restore(entry) }
            // Own changes say nothing of the stream.
            let isOwn = !record.entries.isEmpty && record.entries.allSatisfy { $0.version == .zero }
            if !isOwn { heard = (record.history, record.heard) }
            changed = []
            appliedThrough = max(appliedThrough, sequence)
        }
    }

    private func restore(_ entry: SharedItemsRecord.Entry) {
        lastToken = max(lastToken, entry.token)
        if entry.version == .zero { return apply(entry.change, token: entry.token) }
        if let item = shared.item(ofPending: entry.token) {
            shared.settle(entry.token, version: entry.version)
            return refresh(item)
        }
        // The version of an own change that the snapshot knows already.
        guard !entry.change.item.isEmpty else { return }
        adopt(entry.change.item)
        if shared.accept(entry.change, version: entry.version) { refresh(entry.change.item) }
    }

    func forgetShared() {
        shared = SharedItems(restoredMax: max(10_000, book.countMax))
        heard = (0, .zero)
    }

    /// Sections of a snapshot; none where nothing is shared.
    func sharedPayloads() -> [[UInt8]] {
        if authorName == 0, shared.isEmpty { return [] }
        var entries = shared.registers.map {
            SharedItemsRecord.Entry(version: $0.version, token: 0, change: $0.change)
        }
        entries += shared.own.map { SharedItemsRecord.Entry(version: .zero, token: $0.token, change: $0.change) }
        var payloads: [[UInt8]] = []
        for start in stride(from: 0, to: entries.count, by: 10) {
            let part = Array(entries[start..<min(entries.count, start + 10)])
            payloads.append(SharedItemsRecord(author: authorName, entries: part).encoded)
        }
        // Last: how far the stream is known, if all of that is in the snapshot.
        let isWhole = !hasHole.load(ordering: .relaxed)
        payloads.append(
            SharedItemsRecord(
                author: authorName, history: isWhole ? heard.history : 0, heard: isWhole ? heard.through : .zero
            ).encoded)
        return payloads
    }

    private func describeSharing() {
        let (unwritten, registers) = (shared.unwrittenCount, shared.registerCount)
        sharing?.count {
            $0.unwritten = unwritten
            $0.items = registers
        }
    }
}
