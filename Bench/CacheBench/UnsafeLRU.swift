import Serving

/// The entry whose last use is longest ago goes first.
package final class LRU: EvictionPolicy {
    private let links: EntryLinks
    private var chain = EntryLinks.Chain()

    package init(capacity: Int, entriesMax: Int) { links = EntryLinks(entriesMax: entriesMax) }

    deinit { links.deallocate() }

    package var byteCount: Int { 0 }

    package func insert(_ entry: Int, hash: UInt32, cost: Int) {
        links.nodes[entry] = EntryLinks.Node(hash: hash, cost: cost, queue: 1)
        links.append(entry, to: &chain)
    }

    package func use(_ entry: Int) {
        links.remove(entry, from: &chain)
        links.append(entry, to: &chain)
    }

    package func miss(hash: UInt32) {}

    package func change(_ entry: Int, cost: Int) {
        chain.cost += cost - Int(links.nodes[entry].cost)
        links.nodes[entry].cost = UInt16(cost)
    }

    package func remove(_ entry: Int) { links.remove(entry, from: &chain) }
    package func evict() -> Int? { links.removeHead(of: &chain) }
}
