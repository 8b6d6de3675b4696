import Serving

/// W-TinyLFU: new entries wait in a window, in the order of their last use; the one that leaves it takes the place of the
/// main region's next victim if it was asked for more often of late. The main region is a probation, from which a hit
/// moves to the protected part, four fifths of it.
///
/// A hit relinks an entry and counts in the sketch.
///
/// Source: Einziger, Friedman, Manes 2017, "TinyLFU: A highly efficient cache admission policy".
package final class WTinyLFU: EvictionPolicy {
    private enum Queue {
        static let window: UInt8 = 1
        static let probation: UInt8 = 2
        static let protected: UInt8 = 3
    }

    private let windowCapacity: Int
    private let protectedCapacity: Int
    private let links: EntryLinks
    private var window = EntryLinks.Chain()
    private var probation = EntryLinks.Chain()
    private var protected = EntryLinks.Chain()
    private var sketch: FrequencySketch
    /// Entries at the end of the probation that came from the window and were not compared yet.
    private var candidates = 0
    private var random: UInt64 = 0x9E37_79B9_7F4A_7C15

    package convenience init(capacity: Int, entriesMax: Int) {
        self.init(capacity: capacity, entriesMax: entriesMax, windowShare: 0.01)
    }

    package init(capacity: Int, entriesMax: Int, windowShare: Double) {
        windowCapacity = max(1, Int(Double(capacity) * windowShare))
        protectedCapacity = (capacity - windowCapacity) * 4 / 5
        links = EntryLinks(entriesMax: entriesMax)
        sketch = FrequencySketch(entries: entriesMax)
    }

    deinit {
        links.deallocate()
        sketch.deallocate()
    }

    package var byteCount: Int { sketch.byteCount }

    package func insert(_ entry: Int, hash: UInt32, cost: Int) {
        links.nodes[entry] = EntryLinks.Node(hash: hash, cost: cost, queue: Queue.window)
        links.append(entry, to: &window)
        while window.cost > windowCapacity, window.count > 1, let candidate = links.removeHead(of: &window) {
            links.nodes[candidate].queue = Queue.probation
            links.append(candidate, to: &probation)
            candidates += 1
        }
    }

    package func use(_ entry: Int) {
        sketch.note(links.nodes[entry].hash)
        switch links.nodes[entry].queue {
        case Queue.window:
            links.remove(entry, from: &window)
            links.append(entry, to: &window)
        case Queue.probation:
            links.remove(entry, from: &probation)
            links.nodes[entry].queue = Queue.protected
            links.append(entry, to: &protected)
            while protected.cost > protectedCapacity, let demoted = links.removeHead(of: &protected) {
                links.nodes[demoted].queue = Queue.probation
                links.append(demoted, to: &probation)
            }
        default:
            links.remove(entry, from: &protected)
            links.append(entry, to: &protected)
        }
    }

    package func miss(hash: UInt32) { sketch.note(hash) }

    package func change(_ entry: Int, cost: Int) {
        let change = cost - Int(links.nodes[entry].cost)
        links.nodes[entry].cost = UInt16(cost)
        switch links.nodes[entry].queue {
        case Queue.window: window.cost += change
        case Queue.probation: probation.cost += change
        default: protected.cost += change
        }
    }

    package func remove(_ entry: Int) {
        switch links.nodes[entry].queue {
        case Queue.window: links.remove(entry, from: &window)
        case Queue.probation: links.remove(entry, from: &probation)
        default: links.remove(entry, from: &protected)
        }
    }

    package func evict() -> Int? {
        let victim = probation.head
        if candidates > 0, probation.count > 1 {
            // Those that left the window last stand at the end, the oldest of them first.
            candidates = min(candidates, probation.count - 1)
            let candidate = Int(probation.tail)
            candidates -= 1
            let rejected = admits(candidate, over: Int(victim)) ? Int(victim) : candidate
            links.remove(rejected, from: &probation)
            return rejected
        }
        candidates = 0
        return links.removeHead(of: &probation) ?? links.removeHead(of: &protected) ?? links.removeHead(of: &window)
    }

    /// A tie keeps the one that is there, but for one in 128 of the warm ones: a guard against keys chosen to collide.
    private func admits(_ candidate: Int, over victim: Int) -> Bool {
        let (new, old) = (sketch.frequency(links.nodes[candidate].hash), sketch.frequency(links.nodes[victim].hash))
        if new > old { return true }
        if new < 6 { return false }
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random & 127 == 0
    }
}
