import Glibc
import Vocabulary

/// In which order the nodes of a cluster own each slot: weighted rendezvous hashing, worked out once for a set of nodes.
///
/// The first node of a slot's order is its owner, the next ones are its replicas and where its calls go when the owner is
/// away or has more than its share. A node's place among the others depends on nothing but its key, its weight and the slot:
/// a node that joins takes its share from each of the others, one that leaves gives its slots to the next of each, and no slot
/// moves between two nodes that stay.
///
/// A value whose storage is shared by its copies: each event loop of a client holds one, and there is one table in memory.
/// `Slot.count * depth` numbers of two bytes: 96 KiB for three nodes, 256 KiB for eight and more.
///
/// - Note: Thaler & Ravishankar 1998; the weighted form, `-weight / ln(hash)`, is Schindelhauer & Schomaker 2005.
package struct Rendezvous: Sendable {
    package struct Member: Hashable, Sendable {
        /// What the caller calls the node: below 65535.
        package var index: Int
        /// Decides the node's slots: the same for the same node in every client.
        package var key: UInt64
        /// Above 0; twice the weight, twice the slots.
        package var weight: Double

        package init(index: Int, key: UInt64, weight: Double = 1) {
            self.index = index
            self.key = key
            self.weight = weight
        }
    }

    /// Nodes of each slot's order: all of them, or `depthMax`.
    package let depth: Int
    /// `[Slot.count, depth]`, owner first.
    private let order: [UInt16]

    /// - Complexity: O(`Slot.count * members.count`): about a millisecond for five nodes.
    package init(_ members: [Member], depthMax: Int = 8) {
        let depth = min(members.count, depthMax)
        self.depth = depth
        var order = [UInt16](repeating: 0, count: Slot.count * depth)
        var scores = [Double](repeating: 0, count: depth + 1)
        for member in members {
            precondition(member.index < 65535 && member.weight > 0, "node \(member.index), weight \(member.weight)")
        }
        for slot in 0..<Slot.count where depth > 0 {
            let base = slot * depth
            var filled = 0
            for member in members {
                let score = Self.score(member, slot: slot)
                var place = filled
                // Equal scores keep the order of their keys, which does not depend on the order of `members`.
                while place > 0, scores[place - 1] < score { place -= 1 }
                guard place < depth else { continue }
                var moving = min(filled, depth - 1)
                while moving > place {
                    scores[moving] = scores[moving - 1]
                    order[base + moving] = order[base + moving - 1]
                    moving -= 1
                }
                scores[place] = score
                order[base + place] = UInt16(member.index)
                filled = min(filled + 1, depth)
            }
        }
        self.order = order
    }

    /// The node at a place of the slot's order.
    ///
    /// - Parameter place: `0..<depth`; 0 is the owner.
    package func node(of slot: Slot, at place: Int) -> Int {
        Int(order[Int(slot.value) * depth + place])
    }

    /// A number in `0..<1` that a slot and a node always share: which slots a node takes first while it warms up.
    package static func fraction(of slot: Slot, key: UInt64) -> Double {
        Double(RandomSource.mix(key &+ UInt64(slot.value) &* 0xD6E8_FEB8_6659_FD93) >> 11) * 0x1p-53
    }

    private static func score(_ member: Member, slot: Int) -> Double {
        let hash = RandomSource.mix(member.key ^ (UInt64(slot) &* 0x9E37_79B9_7F4A_7C15 &+ 0x632B_E59B_D9B4_E019))
        // In (0, 1): the logarithm is below 0 and finite.
        let uniform = (Double(hash >> 11) + 0.5) * 0x1p-53
        return -member.weight / log(uniform)
    }
}
