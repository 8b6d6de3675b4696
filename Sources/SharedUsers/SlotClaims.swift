/// Which slots a shard holds, and of which of their users it knows all that was ever written: pure, no clock.
///
/// ```
///            claim, read of a user                 whole slot read
///  not held ──────────────────────> held, some known ────────────> held, all known but some
///     ^                                   │                                │
///     └────── another node's claim, a write that met another holder ───────┘
/// ```
/// What was read counts only if nothing happened to the slot between asking and reply: a reading carries the slot's `version`
/// and epoch, and an outdated one is merged and not believed to be all.
///
/// - Note: 8 bytes and a set's overhead for each known user until the whole slot was read; nothing for users after that.
package struct SlotClaims: Sendable {
    /// Known users of a slot that was not read whole; beyond, all of them are forgotten.
    package static let knownMax = 65_536
    /// Unknown users of a slot that was read whole; beyond, it counts as not read.
    package static let exceptMax = 4096

    struct Slot: Sendable {
        var epoch: UInt64
        var isAnnounced = false
        /// All users but those of `users`; else those of `users` alone.
        var isWhole = false
        /// Hashes of their IDs.
        var users: Set<UInt64> = []
        /// Whom it was taken from, and when, until that node has nothing to hide.
        var taken: (from: String, at: UInt64)?
    }

    private var slots: [Int: Slot] = [:]
    /// Counted up by whatever makes readings under way outdated.
    private var versions: [Int: UInt32] = [:]
    /// The newest claims of others that were heard of.
    private var heardEpochs: [Int: UInt64] = [:]
    /// Held slots of which not all is known, and that nobody reads just now.
    package private(set) var unread: Set<Int> = []
    package private(set) var unannounced: Set<Int> = []
    package private(set) var claims: UInt64 = 0
    package private(set) var losses: UInt64 = 0
    package let node: String

    /// - Parameter node: This process.
    package init(node: String) { self.node = node }

    package var held: Int { slots.count }
    package var whole: Int { slots.count - unread.count - reading.count }
    private var reading: Set<Int> = []

    package func holds(_ slot: Int) -> Bool { slots[slot] != nil }
    package func epoch(_ slot: Int) -> UInt64? { slots[slot]?.epoch }
    package func isAnnounced(_ slot: Int) -> Bool { slots[slot]?.isAnnounced ?? false }
    package func version(_ slot: Int) -> UInt32 { versions[slot] ?? 0 }

    /// Whether all is known that other nodes ever wrote of a user.
    package func knows(_ user: UInt64, in slot: Int) -> Bool {
        guard let held = slots[slot] else { return false }
        return held.users.contains(user) != held.isWhole
    }

    /// Whom the slot was taken from, while that node may have something to hide.
    package func taken(_ slot: Int) -> (from: String, at: UInt64)? { slots[slot]?.taken }
    package mutating func settle(_ slot: Int) { slots[slot]?.taken = nil }
    /// Slots whose former holders may have something to hide.
    package var unsettled: [Int] { slots.filter { $0.value.taken != nil }.map(\.key) }

    /// What a claim made of a slot.
    package enum Claimed: Sendable, Equatable {
        /// It was held, and still is.
        case kept
        /// It is held from now on, and the others have to hear of it.
        case new
        /// The same, and it was held before: another node had it meanwhile, and nothing that was known counts.
        case anew
        /// An older reply: another one has told more.
        case outdated
    }

    /// Learns from a reply of Redis that this node holds a slot.
    ///
    /// - Parameters:
    ///   - epoch: Of the claim.
    ///   - previous: Who held it before the command; nil: nobody.
    ///   - now: By the clock of Redis.
    package mutating func claimed(_ slot: Int, epoch: UInt64, previous: String?, now: UInt64) -> Claimed {
        // Told late: another one has claimed the slot since, and that was heard.
        if epoch < heardEpochs[slot] ?? 0 { return .outdated }
        if let held = slots[slot] {
            if epoch == held.epoch { return .kept }
            if epoch < held.epoch { return .outdated }
            lose(slot)
            hold(slot, epoch: epoch, previous: previous, now: now)
            return .anew
        }
        hold(slot, epoch: epoch, previous: previous, now: now)
        return .new
    }

    private mutating func hold(_ slot: Int, epoch: UInt64, previous: String?, now: UInt64) {
        var held = Slot(epoch: epoch)
        unannounced.insert(slot)
        if previous != node {
            claims += 1
            if let previous { held.taken = (previous, now) }
        }
        slots[slot] = held
        unread.insert(slot)
    }

    package mutating func announced(_ slot: Int, epoch: UInt64) {
        guard slots[slot]?.epoch == epoch else { return }
        slots[slot]?.isAnnounced = true
        unannounced.remove(slot)
    }

    /// Learns from a stream what other nodes did.
    ///
    /// - Returns: Whether what was known of the slot, or of the user, does not count any more.
    package mutating func heard(_ notice: ClusterNotice, hash: (String) -> UInt64) -> Bool {
        switch notice {
        case .claim(let slot, let epoch, let other):
            guard other != node else { return false }
            heardEpochs[slot] = max(epoch, heardEpochs[slot] ?? 0)
            guard let held = slots[slot], epoch > held.epoch else { return false }
            lose(slot)
            return true
        case .wrote(let slot, let user, let other):
            guard other != node else { return false }
            forget(hash(user), in: slot)
            return slots[slot] != nil
        }
    }

    /// Learns from a write who holds a slot.
    ///
    /// - Parameter holder: Nil: nobody.
    /// - Returns: Whether another node must be told of the write, and whether the slot was lost.
    package mutating func wrote(_ slot: Int, epoch: UInt64, holder: String?) -> (mustTell: Bool, isLost: Bool) {
        guard let held = slots[slot] else { return (holder != nil && holder != node, false) }
        // A reply from before this node's claim says nothing of now.
        if holder == node || (holder != nil && epoch < held.epoch) { return (!held.isAnnounced, false) }
        lose(slot)
        return (holder != nil, true)
    }

    /// A user was read, and nothing more is to be known of it.
    ///
    /// - Parameters:
    ///   - version: Of the slot when the user was asked for.
    ///   - epoch: Of the slot in the reply.
    package mutating func read(_ user: UInt64, in slot: Int, version: UInt32, epoch: UInt64) -> Bool {
        guard var held = slots[slot], held.epoch == epoch, self.version(slot) == version else { return false }
        slots[slot] = nil
        if held.isWhole {
            held.users.remove(user)
        } else {
            if held.users.count >= Self.knownMax { held.users.removeAll() }
            held.users.insert(user)
        }
        slots[slot] = held
        return true
    }

    /// Begins to read all users of a slot; nil where none waits for that.
    package mutating func nextUnread() -> (slot: Int, version: UInt32)? {
        guard let slot = unread.first else { return nil }
        unread.remove(slot)
        reading.insert(slot)
        return (slot, version(slot))
    }

    /// All users of a slot were read, or could not be.
    ///
    /// - Parameters:
    ///   - except: Those that could not; nil: nothing was read.
    package mutating func readWhole(_ slot: Int, version: UInt32, except: Set<UInt64>?) {
        guard reading.remove(slot) != nil, let held = slots[slot] else { return }
        guard let except, self.version(slot) == version, except.count <= Self.exceptMax else {
            if !held.isWhole { unread.insert(slot) }
            return
        }
        slots[slot]?.isWhole = true
        slots[slot]?.users = except
    }

    /// What was known of a user is gone, or not all any more.
    package mutating func forget(_ user: UInt64, in slot: Int) {
        versions[slot, default: 0] &+= 1
        guard var held = slots[slot] else { return }
        slots[slot] = nil
        if held.isWhole {
            held.users.insert(user)
            if held.users.count > Self.exceptMax {
                held.isWhole = false
                held.users = []
                unread.insert(slot)
            }
        } else {
            held.users.remove(user)
        }
        slots[slot] = held
    }

    /// Another node holds the slot.
    package mutating func lose(_ slot: Int) {
        guard slots.removeValue(forKey: slot) != nil else { return }
        versions[slot, default: 0] &+= 1
        unread.remove(slot)
        reading.remove(slot)
        unannounced.remove(slot)
        losses += 1
    }

    /// Nothing counts any more: too much was missed.
    ///
    /// - Returns: The slots that were held.
    package mutating func loseAll() -> [Int] {
        let held = Array(slots.keys)
        for slot in held { lose(slot) }
        return held
    }
}
