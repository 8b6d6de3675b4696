import Serving

/// S3-FIFO: new entries wait in a small queue, a tenth of the costs; those asked for again move to the main queue, where
/// each hit gives another round, up to three. The hashes of those that left the small queue are remembered for about as
/// many insertions as the main queue has entries, and go straight to the main queue when they come back.
///
/// A hit changes one byte.
///
/// Source: Yang, Zhang, Qiu, Yue, Rashmi 2023, "FIFO queues are all you need for cache eviction" (SOSP).
package final class S3FIFO: EvictionPolicy {
    private enum Queue {
        static let small: UInt8 = 1
        static let main: UInt8 = 2
    }

    /// A ghost: 16 bits of its hash, and when it left.
    private struct Ghost {
        var mark: UInt16
        var time: UInt16
    }

    private static let usesMax: UInt8 = 3
    /// Departures for each step of a ghost's time.
    private let ghostStep: Int
    private let smallCapacity: Int
    private let links: EntryLinks
    private var small = EntryLinks.Chain()
    private var main = EntryLinks.Chain()
    private let ghosts: UnsafeMutablePointer<Ghost>
    private let ghostMask: Int
    private var departures = 0

    package init(capacity: Int, entriesMax: Int) {
        smallCapacity = max(1, capacity / 10)
        links = EntryLinks(entriesMax: entriesMax)
        var count = 64
        while count < entriesMax { count *= 2 }
        ghosts = .allocate(capacity: count)
        ghosts.initialize(repeating: Ghost(mark: 0, time: 0), count: count)
        ghostMask = count - 1
        ghostStep = max(1, count / 4096)
    }

    deinit {
        links.deallocate()
        ghosts.deallocate()
    }

    package var byteCount: Int { (ghostMask + 1) * MemoryLayout<Ghost>.stride }

    package func insert(_ entry: Int, hash: UInt32, cost: Int) {
        let isRemembered = forgetGhost(hash)
        links.nodes[entry] = EntryLinks.Node(hash: hash, cost: cost, queue: isRemembered ? Queue.main : Queue.small)
        if isRemembered { links.append(entry, to: &main) } else { links.append(entry, to: &small) }
    }

    @inline(__always)
    package func use(_ entry: Int) {
        let node = links.nodes + entry
        if node.pointee.uses < Self.usesMax { node.pointee.uses += 1 }
    }

    package func miss(hash: UInt32) {}

    package func change(_ entry: Int, cost: Int) {
        let change = cost - Int(links.nodes[entry].cost)
        links.nodes[entry].cost = UInt16(cost)
        if links.nodes[entry].queue == Queue.small { small.cost += change } else { main.cost += change }
    }

    package func remove(_ entry: Int) {
        rememberGhost(links.nodes[entry].hash)
        if links.nodes[entry].queue == Queue.small {
            links.remove(entry, from: &small)
        } else {
            links.remove(entry, from: &main)
        }
    }

    package func evict() -> Int? {
        while true {
            if small.cost > smallCapacity || main.count == 0 {
                guard let entry = links.removeHead(of: &small) else { return nil }
                if links.nodes[entry].uses == 0 {
                    rememberGhost(links.nodes[entry].hash)
                    return entry
                }
                links.nodes[entry].uses = 0
                links.nodes[entry].queue = Queue.main
                links.append(entry, to: &main)
            } else {
                guard let entry = links.removeHead(of: &main) else { return nil }
                if links.nodes[entry].uses == 0 { return entry }
                links.nodes[entry].uses -= 1
                links.append(entry, to: &main)
            }
        }
    }

    // MARK: Ghosts

    private static func mark(_ hash: UInt32) -> UInt16 { UInt16(truncatingIfNeeded: (hash &* 0x9E37_79B1) >> 16) | 1 }

    private func rememberGhost(_ hash: UInt32) {
        departures += 1
        ghosts[Int(hash) & ghostMask] = Ghost(
            mark: Self.mark(hash), time: UInt16(truncatingIfNeeded: departures / ghostStep))
    }

    private func forgetGhost(_ hash: UInt32) -> Bool {
        let place = Int(hash) & ghostMask
        guard ghosts[place].mark == Self.mark(hash) else { return false }
        let age = Int(UInt16(truncatingIfNeeded: departures / ghostStep) &- ghosts[place].time) * ghostStep
        ghosts[place].mark = 0
        return age <= max(main.count, 64)
    }
}
