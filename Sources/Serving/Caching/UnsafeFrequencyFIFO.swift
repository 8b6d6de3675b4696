/// The policy of the result cache: the queues of S3-FIFO, the admission of TinyLFU.
///
/// ```
///  new -> window, a tenth of the costs -> leaves it: used since, or asked for more often of late than one of the next
///                                         victims of the main queue: takes its place; else it goes
///  main   whoever is looked at for a victim and stays gets another round
/// ```
/// A key that was asked for three times or more of late goes to the main queue at once: its entry was dropped because
/// its user did something, or it was evicted too early. A hit changes one byte and counts in the sketch.
///
/// Measured beside others in docs/caching.md: hit ratios of W-TinyLFU on independent draws, and near those of S3-FIFO
/// where users come in sessions, where W-TinyLFU is up to .06 lower.
package final class FrequencyFIFO: EvictionPolicy {
    private enum Queue {
        static let window: UInt8 = 1
        static let main: UInt8 = 2
    }

    /// Victims that are looked at for the least asked for.
    private static let victims = 8
    /// Requests of late, the present one included, that lead to the main queue at once.
    private static let knownFrequency = 3

    private let windowCapacity: Int
    private let links: EntryLinks
    private var window = EntryLinks.Chain()
    private var main = EntryLinks.Chain()
    private var sketch: FrequencySketch
    /// Whether something was ever evicted: before, the window's overflow goes to the main queue.
    private var isFull = false
    package private(set) var statistics = Statistics()

    /// What became of entries that left the window.
    package struct Statistics: Sendable, Equatable {
        package var admitted: UInt64 = 0
        package var rejected: UInt64 = 0
    }

    package convenience init(capacity: Int, entriesMax: Int) {
        self.init(capacity: capacity, entriesMax: entriesMax, keysExpected: entriesMax)
    }

    /// - Parameter keysExpected: About as many as fit; what the sketch can tell apart.
    package init(capacity: Int, entriesMax: Int, keysExpected: Int) {
        windowCapacity = max(1, capacity / 10)
        links = EntryLinks(entriesMax: entriesMax)
        sketch = FrequencySketch(entries: keysExpected)
    }

    deinit {
        links.deallocate()
        sketch.deallocate()
    }

    package var byteCount: Int { sketch.byteCount }

    @inline(__always)
    func hash(of entry: Int) -> UInt32 { links.nodes[entry].hash }
    @inline(__always)
    func cost(of entry: Int) -> Int { Int(links.nodes[entry].cost) }
    /// About how often the entry was asked for of late, at most 15.
    func frequency(of entry: Int) -> Int { sketch.frequency(links.nodes[entry].hash) }

    package func insert(_ entry: Int, hash: UInt32, cost: Int) {
        let isKnown = sketch.frequency(hash) >= Self.knownFrequency
        links.nodes[entry] = EntryLinks.Node(hash: hash, cost: cost, queue: isKnown ? Queue.main : Queue.window)
        if isKnown {
            links.append(entry, to: &main)
            return
        }
        links.append(entry, to: &window)
        if isFull { return }
        while window.cost > windowCapacity, let oldest = links.removeHead(of: &window) { enterMain(oldest) }
    }

    @inline(__always)
    package func use(_ entry: Int) {
        let node = links.nodes + entry
        sketch.note(node.pointee.hash)
        node.pointee.uses = 1
    }

    package func miss(hash: UInt32) { sketch.note(hash) }

    package func change(_ entry: Int, cost: Int) {
        let change = cost - Int(links.nodes[entry].cost)
        links.nodes[entry].cost = UInt16(cost)
        if links.nodes[entry].queue == Queue.window { window.cost += change } else { main.cost += change }
    }

    package func remove(_ entry: Int) {
        if links.nodes[entry].queue == Queue.window {
            links.remove(entry, from: &window)
        } else {
            links.remove(entry, from: &main)
        }
    }

    package func evict() -> Int? {
        isFull = true
        guard window.cost > windowCapacity || main.count == 0 else { return leastOfMain() }
        guard let candidate = links.removeHead(of: &window) else { return nil }
        guard main.count > 0 else { return candidate }
        let isUsed = links.nodes[candidate].uses > 0
        let frequency = sketch.frequency(links.nodes[candidate].hash)
        guard let victim = isUsed ? leastOfMain() : lesserOfMain(frequency) else {
            statistics.rejected += 1
            return candidate
        }
        enterMain(candidate)
        return victim
    }

    private func enterMain(_ entry: Int) {
        statistics.admitted += 1
        links.nodes[entry].queue = Queue.main
        links.nodes[entry].uses = 0
        links.append(entry, to: &main)
    }

    /// Takes out the first of the next victims that was asked for less often than `frequency`; nil: none was.
    private func lesserOfMain(_ frequency: Int) -> Int? {
        for _ in 0..<Self.victims {
            guard let entry = links.removeHead(of: &main) else { return nil }
            if links.nodes[entry].uses == 0, sketch.frequency(links.nodes[entry].hash) < frequency { return entry }
            links.nodes[entry].uses = 0
            links.append(entry, to: &main)
        }
        return nil
    }

    /// Takes out the least asked for of the next victims.
    private func leastOfMain() -> Int? {
        var (least, leastFrequency) = (-1, Int.max)
        for _ in 0..<min(Self.victims, main.count) {
            guard let entry = links.removeHead(of: &main) else { break }
            let frequency = sketch.frequency(links.nodes[entry].hash) * 2 + Int(links.nodes[entry].uses)
            links.nodes[entry].uses = 0
            links.append(entry, to: &main)
            if frequency < leastFrequency { (least, leastFrequency) = (entry, frequency) }
        }
        guard least >= 0 else { return links.removeHead(of: &window) }
        links.remove(least, from: &main)
        return least
    }
}
