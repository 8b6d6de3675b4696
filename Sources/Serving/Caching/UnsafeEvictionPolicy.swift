/// Decides which entries of a cache stay. Knows entries by their numbers, their hashes and their costs, not what they hold.
///
/// The owner keeps the sum: it calls `evict` for as long as its entries cost more than they may.
package protocol EvictionPolicy: AnyObject {
    /// - Parameters:
    ///   - capacity: What all entries may cost, in the unit of the costs.
    ///   - entriesMax: Numbers of entries are below.
    init(capacity: Int, entriesMax: Int)
    /// Takes a new entry.
    ///
    /// - Parameter cost: In units, below 65 536.
    func insert(_ entry: Int, hash: UInt32, cost: Int)
    /// Notes a hit.
    func use(_ entry: Int)
    /// Notes that something was asked for that is not there.
    func miss(hash: UInt32)
    /// An entry has another cost now.
    func change(_ entry: Int, cost: Int)
    /// Forgets an entry that its owner drops, but not how much it was asked for.
    func remove(_ entry: Int)
    /// Forgets one entry, and says which; nil where there is none.
    func evict() -> Int?
    /// Bytes of its own, apart from `EntryLinks`.
    var byteCount: Int { get }
}

/// What a policy notes of each entry, and queues of entries that are linked through it: 16 bytes an entry.
///
/// Memory that was never used is not resident.
package struct EntryLinks {
    package struct Node {
        package var previous: UInt32 = none
        package var next: UInt32 = none
        package var hash: UInt32
        package var cost: UInt16
        package var queue: UInt8
        package var uses: UInt8 = 0

        package init(hash: UInt32, cost: Int, queue: UInt8) {
            self.hash = hash
            self.cost = UInt16(cost)
            self.queue = queue
        }
    }

    /// A queue of entries: they join at the tail; the head has waited longest.
    package struct Chain {
        package var head = none
        package var tail = none
        package var cost = 0
        package var count = 0

        package init() {}
    }

    package static let none = UInt32.max
    package let nodes: UnsafeMutablePointer<Node>

    package init(entriesMax: Int) { nodes = .allocate(capacity: max(1, entriesMax)) }

    package func deallocate() { nodes.deallocate() }

    @inline(__always)
    package func append(_ entry: Int, to chain: inout Chain) {
        let node = nodes + entry
        node.pointee.previous = chain.tail
        node.pointee.next = Self.none
        if chain.tail == Self.none {
            chain.head = UInt32(entry)
        } else {
            nodes[Int(chain.tail)].next = UInt32(entry)
        }
        chain.tail = UInt32(entry)
        chain.cost += Int(node.pointee.cost)
        chain.count += 1
    }

    @inline(__always)
    package func remove(_ entry: Int, from chain: inout Chain) {
        let node = nodes[entry]
        if node.previous == Self.none { chain.head = node.next } else { nodes[Int(node.previous)].next = node.next }
        if node.next == Self.none { chain.tail = node.previous } else { nodes[Int(node.next)].previous = node.previous }
        chain.cost -= Int(node.cost)
        chain.count -= 1
    }

    @inline(__always)
    package func removeHead(of chain: inout Chain) -> Int? {
        guard chain.head != Self.none else { return nil }
        let entry = Int(chain.head)
        remove(entry, from: &chain)
        return entry
    }
}
