/// What a node tells the others, on the one stream that all of them read.
package enum ClusterNotice: Sendable, Equatable {
    /// A node holds a slot from now on. Epochs of a slot only grow.
    case claim(slot: Int, epoch: UInt64, node: String)
    /// A node wrote something of a user whose slot another one holds.
    case wrote(slot: Int, user: String, node: String)

    /// Names and values of a stream's entry.
    package var fields: [(name: String, value: String)] {
        switch self {
        case .claim(let slot, let epoch, let node): [("s", "\(slot)"), ("e", "\(epoch)"), ("n", node)]
        case .wrote(let slot, let user, let node): [("s", "\(slot)"), ("u", user), ("n", node)]
        }
    }

    /// - Parameter slotCount: Slots that there are.
    package init?(_ fields: [String: String], slotCount: Int) {
        guard let text = fields["s"], let slot = Int(text), (0..<slotCount).contains(slot), let node = fields["n"]
        else { return nil }
        if let text = fields["e"], let epoch = UInt64(text) {
            self = .claim(slot: slot, epoch: epoch, node: node)
        } else if let user = fields["u"] {
            self = .wrote(slot: slot, user: user, node: node)
        } else {
            return nil
        }
    }
}

/// What a node says of itself, several times a second.
package struct NodeBeat: Sendable, Equatable {
    /// By the clock of Redis, milliseconds since 1970.
    package var time: UInt64
    /// Events that it has answered and not yet written.
    package var unwritten: Int
    /// It said goodbye: it takes no events any more.
    package var isLeaving: Bool

    package init(time: UInt64, unwritten: Int, isLeaving: Bool = false) {
        self.time = time
        self.unwritten = unwritten
        self.isLeaving = isLeaving
    }

    /// `milliseconds unwritten state`, as it lies in Redis; nil for anything else.
    package init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 3, let time = UInt64(words[0]), let unwritten = Int(words[1]), unwritten >= 0,
            words[2] == "up" || words[2] == "leaving"
        else { return nil }
        self.init(time: time, unwritten: unwritten, isLeaving: words[2] == "leaving")
    }

    /// A beat older than this may hide a node that goes on without Redis.
    package static let freshMilliseconds: UInt64 = 500
    /// So long after its last beat nobody waits for a node any more.
    package static let patienceMilliseconds: UInt64 = 10_000

    /// Whether a node that held a slot until `claimed` may know of events that nobody else can.
    ///
    /// - Parameters:
    ///   - beat: The last one of that node; nil: it never said anything, or not for hours.
    ///   - claimed: When the slot was taken from it; as `now` by the clock of Redis.
    /// - Returns: Nil where that is settled for good.
    package static func mayHideEvents(_ beat: NodeBeat?, claimed: UInt64, now: UInt64) -> Bool? {
        guard let beat else { return now < claimed &+ patienceMilliseconds ? true : nil }
        let age = now > beat.time ? now - beat.time : 0
        if beat.unwritten == 0, beat.isLeaving || beat.time > claimed { return nil }
        if beat.time > claimed { return now < claimed &+ patienceMilliseconds ? true : nil }
        if age >= patienceMilliseconds { return nil }
        return beat.unwritten > 0 || age > freshMilliseconds
    }
}
