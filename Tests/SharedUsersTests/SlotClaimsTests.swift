import TestSupport
import Testing
import Vocabulary

@testable import SharedUsers

/// Redis as it is: records of users, and who holds which slot.
private struct ModelRedis {
    struct Owner { var node: String; var epoch: UInt64 }
    var owners: [Int: Owner] = [:]
    /// By slot and user the writes, each a number of its own.
    var records: [Int: [UInt64: Set<Int>]] = [:]
    var notices: [ClusterNotice] = []
    var time: UInt64 = 1000
}

/// One node: what it has read, and what it believes.
private struct ModelNode {
    let name: String
    var claims: SlotClaims
    /// What it knows, by user.
    var known: [UInt64: Set<Int>] = [:]
    /// Replies under way, in order.
    var replies: [Reply] = []
    /// Notices read.
    var position = 0

    enum Reply {
        case load(slot: Int, user: UInt64, version: UInt32, epoch: UInt64, previous: String?, writes: Set<Int>)
        case wrote(slot: Int, user: UInt64, epoch: UInt64, holder: String?, write: Int)
        case told(slot: Int, epoch: UInt64)
        case whole(slot: Int, version: UInt32, users: [UInt64: Set<Int>])
    }

    init(_ name: String) {
        self.name = name
        claims = SlotClaims(node: name)
    }
}

@Suite("SlotClaims", .ownThreads)
struct SlotClaimsTests {
    private static func hash(_ user: String) -> UInt64 { UInt64(user) ?? 0 }

    /// Three nodes, two slots, four users each; everything that can happen, in any order.
    @Test(
        "a node that has read all notices knows all writes of the users that it believes to know",
        arguments: Seeds.chosen(1500))
    func model(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var redis = ModelRedis()
        var nodes = ["a", "b", "c"].map(ModelNode.init)
        /// Writes that were answered, by slot and user.
        var answered: [Int: [UInt64: Set<Int>]] = [:]
        var writes = 0
        for _ in 0..<120 {
            redis.time += 1
            let place = Int.random(in: 0..<3, using: &random)
            let slot = Int.random(in: 0..<2, using: &random)
            let user = UInt64(slot * 4 + Int.random(in: 0..<4, using: &random))
            switch Int.random(in: 0..<12, using: &random) {
            case 0...2:
                let version = nodes[place].claims.version(slot)
                let previous = redis.owners[slot]
                var epoch = previous?.epoch ?? 0
                if previous?.node != nodes[place].name {
                    epoch = max(epoch + 1, redis.time)
                    redis.owners[slot] = .init(node: nodes[place].name, epoch: epoch)
                }
                nodes[place].replies.append(
                    .load(
                        slot: slot, user: user, version: version, epoch: epoch, previous: previous?.node,
                        writes: redis.records[slot]?[user] ?? []))
            case 3...5:
                writes += 1
                redis.records[slot, default: [:]][user, default: []].insert(writes)
                nodes[place].known[user, default: []].insert(writes)
                nodes[place].replies.append(
                    .wrote(
                        slot: slot, user: user, epoch: redis.owners[slot]?.epoch ?? 0,
                        holder: redis.owners[slot]?.node, write: writes))
            case 6:
                if let (slot, version) = nodes[place].claims.nextUnread() {
                    nodes[place].replies.append(
                        .whole(slot: slot, version: version, users: redis.records[slot] ?? [:]))
                }
            case 7:
                nodes[place].claims.forget(user, in: slot)
                nodes[place].known[user] = nil
            case 8:
                // Told of in any order and at any time, also twice.
                if let slot = nodes[place].claims.unannounced.randomElement(using: &random),
                    let epoch = nodes[place].claims.epoch(slot)
                {
                    redis.notices.append(.claim(slot: slot, epoch: epoch, node: nodes[place].name))
                    nodes[place].replies.append(.told(slot: slot, epoch: epoch))
                }
            case 9: read(redis, &nodes[place])
            default: reply(&redis, &nodes[place], &answered, &random)
            }
        }
        // Everything under way comes to its end, in any order.
        while let place = nodes.indices.filter({ !nodes[$0].replies.isEmpty }).randomElement(using: &random) {
            reply(&redis, &nodes[place], &answered, &random)
        }
        for place in nodes.indices { read(redis, &nodes[place]) }
        for node in nodes {
            for slot in 0..<2 {
                for user in UInt64(slot * 4)..<UInt64(slot * 4 + 4) where node.claims.knows(user, in: slot) {
                    let missing = (answered[slot]?[user] ?? []).subtracting(node.known[user] ?? [])
                    #expect(missing.isEmpty, "node \(node.name), user \(user) of slot \(slot), seed \(seed)")
                }
            }
        }
    }

    private func read(_ redis: ModelRedis, _ node: inout ModelNode) {
        while node.position < redis.notices.count {
            _ = node.claims.heard(redis.notices[node.position], hash: Self.hash)
            node.position += 1
        }
    }

    /// One reply comes: they come in the order of their commands.
    private func reply(
        _ redis: inout ModelRedis, _ node: inout ModelNode, _ answered: inout [Int: [UInt64: Set<Int>]],
        _ random: inout SeededGenerator
    ) {
        guard !node.replies.isEmpty else { return }
        switch node.replies.removeFirst() {
        case .load(let slot, let user, var version, let epoch, let previous, let writes):
            let isCurrent = version == node.claims.version(slot)
            let claimed = node.claims.claimed(slot, epoch: epoch, previous: previous, now: redis.time)
            if claimed == .anew, isCurrent { version = node.claims.version(slot) }
            node.known[user, default: []].formUnion(writes)
            _ = node.claims.read(user, in: slot, version: version, epoch: epoch)
        case .wrote(let slot, let user, let epoch, let holder, let write):
            if node.claims.wrote(slot, epoch: epoch, holder: holder).mustTell {
                redis.notices.append(.wrote(slot: slot, user: "\(user)", node: node.name))
            }
            answered[slot, default: [:]][user, default: []].insert(write)
        case .told(let slot, let epoch): node.claims.announced(slot, epoch: epoch)
        case .whole(let slot, let version, let users):
            for (user, writes) in users { node.known[user, default: []].formUnion(writes) }
            node.claims.readWhole(slot, version: version, except: [])
        }
    }

    @Test("a slot that was read whole knows everybody but those who were forgotten since")
    func whole() {
        var claims = SlotClaims(node: "a")
        let claimed = claims.claimed(3, epoch: 9, previous: nil, now: 0)
        #expect(claimed == .new)
        var isRead = claims.read(77, in: 3, version: claims.version(3), epoch: 9)
        #expect(isRead && claims.knows(77, in: 3) && !claims.knows(78, in: 3) && claims.whole == 0)
        let (slot, version) = claims.nextUnread() ?? (0, 0)
        claims.readWhole(slot, version: version, except: [80])
        #expect(claims.knows(77, in: 3) && claims.knows(78, in: 3) && !claims.knows(80, in: 3) && claims.whole == 1)
        claims.forget(77, in: 3)
        #expect(!claims.knows(77, in: 3) && claims.knows(78, in: 3))
        isRead = claims.read(77, in: 3, version: claims.version(3), epoch: 9)
        #expect(isRead && claims.knows(77, in: 3))
        for user in 100..<UInt64(100 + SlotClaims.exceptMax + 1) { claims.forget(user, in: 3) }
        #expect(!claims.knows(78, in: 3) && claims.whole == 0)
    }

    @Test("what was asked for before a loss is not believed to be all")
    func outdated() {
        var claims = SlotClaims(node: "a")
        _ = claims.claimed(1, epoch: 5, previous: nil, now: 0)
        let version = claims.version(1)
        var isHeard = claims.heard(.claim(slot: 1, epoch: 6, node: "b"), hash: Self.hash)
        #expect(isHeard && !claims.holds(1))
        var claimed = claims.claimed(1, epoch: 7, previous: "b", now: 10)
        #expect(claimed == .new)
        let isRead = claims.read(4, in: 1, version: version, epoch: 5)
        #expect(!isRead)
        claimed = claims.claimed(1, epoch: 5, previous: nil, now: 0)
        #expect(claimed == .outdated)
        // A notice from before this claim.
        isHeard = claims.heard(.claim(slot: 1, epoch: 6, node: "b"), hash: Self.hash)
        #expect(!isHeard && claims.taken(1)?.from == "b")
    }

    @Test("who held a slot may hide events until it says otherwise, or is waited for no longer")
    func beats() {
        func mayHide(_ beat: NodeBeat?, _ claimed: UInt64, _ now: UInt64) -> Bool? {
            NodeBeat.mayHideEvents(beat, claimed: claimed, now: now)
        }
        // It said so after the claim, or goodbye before.
        #expect(mayHide(NodeBeat(time: 1100, unwritten: 0), 1000, 1200) == nil)
        #expect(mayHide(NodeBeat(time: 900, unwritten: 0, isLeaving: true), 1000, 99_000) == nil)
        // It beat just before; then not any more; then so long ago that nobody waits.
        #expect(mayHide(NodeBeat(time: 900, unwritten: 0), 1000, 1300) == false)
        #expect(mayHide(NodeBeat(time: 900, unwritten: 0), 1000, 1500) == true)
        #expect(mayHide(NodeBeat(time: 900, unwritten: 0), 1000, 10_899) == true)
        #expect(mayHide(NodeBeat(time: 900, unwritten: 0), 1000, 10_900) == nil)
        // It has something to write.
        #expect(mayHide(NodeBeat(time: 900, unwritten: 1), 1000, 1001) == true)
        #expect(mayHide(NodeBeat(time: 1100, unwritten: 1), 1000, 1200) == true)
        #expect(mayHide(NodeBeat(time: 900, unwritten: 1, isLeaving: true), 1000, 1100) == true)
        // Nobody knows it.
        #expect(mayHide(nil, 1000, 1100) == true && mayHide(nil, 1000, 11_000) == nil)
        #expect(NodeBeat("12 3 up") == NodeBeat(time: 12, unwritten: 3))
        #expect(NodeBeat("12 0 leaving")?.isLeaving == true)
        for text in ["", "1 2", "x 0 up", "1 -2 up", "1 0 down", "1 0 up 3"] { #expect(NodeBeat(text) == nil) }
    }

    @Test("notices are read as they were written, and nothing else is")
    func notices() {
        for notice in [
            ClusterNotice.claim(slot: 5, epoch: 1_800_000_000_000, node: "a|1"),
            .wrote(slot: 16_383, user: "u s", node: "b"),
        ] {
            let fields = Dictionary(uniqueKeysWithValues: notice.fields.map { ($0.name, $0.value) })
            #expect(ClusterNotice(fields, slotCount: Slot.count) == notice)
        }
        for fields in [
            [:], ["s": "1"], ["s": "1", "n": "a"], ["s": "16384", "n": "a", "e": "1"], ["s": "-1", "n": "a", "e": "1"],
            ["s": "1", "e": "x", "n": "a"],
        ] {
            #expect(ClusterNotice(fields, slotCount: Slot.count) == nil)
        }
    }

    @Test("events that wait for Redis are bounded; beyond, their slots are remembered")
    func unwritten() {
        var waiting = UnwrittenEvents(eventsMax: 5)
        func events(_ count: Int, _ user: String) -> [UserEvent] {
            (0..<count).map { UserEvent(user: user, item: "\($0)", type: "click") }
        }
        waiting.add(events(3, "a"), of: "a", in: 1)
        waiting.add(events(2, "b"), of: "b", in: 2)
        waiting.add(events(1, "c"), of: "c", in: 3)
        #expect(waiting.eventCount == 5 && waiting.slots == [3] && waiting.overflows == 1 && waiting.count == 6)
        #expect(waiting.contains("a") && !waiting.contains("c"))
        let taken = waiting.take(usersMax: 10)
        #expect(Set(taken.map(\.user)) == ["a", "b"] && waiting.eventCount == 0 && !waiting.isEmpty)
        let slots = [waiting.takeSlot(), waiting.takeSlot()]
        #expect(slots == [3, nil] && waiting.isEmpty)
    }
}
