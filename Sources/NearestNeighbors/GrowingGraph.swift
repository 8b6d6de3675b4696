import CKernels
import VectorMath

/// A graph while links are written: layers whose nodes are laid out beforehand.
///
/// Which layers a row stands on is known before any row is inserted, so that memory is known at the start and the maps
/// between layers never change. Links of one row are written by one thread at a time, and read by any.
///
/// `@unchecked Sendable`: maps are sealed; links are written under the row's lock, or by the only writer, with
/// `ck_publish`, and read with `ck_observe`.
struct GrowingGraph: @unchecked Sendable {
    let parameters: HNSWParameters
    /// Layer 0 first.
    let layers: [HNSWLayer]
    private let links: [UnsafeMutablePointer<UInt32>]
    /// A spin lock for each row; nil where there is one writer.
    private let locks: UnsafeMutablePointer<UInt8>?
    /// How many live rows link to each row on layer 0, about; nil where nobody counts.
    private let inLinks: UnsafeMutablePointer<UInt32>?

    /// Lays out the layers.
    ///
    /// - Parameters:
    ///   - top: The top layer of a row, 0 to `HNSWIndex.levelMax`.
    ///   - maps: Owns the maps of the upper layers; the caller keeps it.
    ///   - locks: A zero for each row; nil where there is one writer.
    ///   - inLinks: A zero for each row, where the only writer keeps every row linked to; nil where nobody counts.
    ///   - allocate: Memory for the links of a layer, as many words.
    init(
        rowCount: Int, _ parameters: HNSWParameters, top: (_ row: Int) -> Int, maps: HNSWStorage,
        locks: UnsafeMutablePointer<UInt8>? = nil, inLinks: UnsafeMutablePointer<UInt32>? = nil,
        allocate: (_ words: Int) -> UnsafeMutablePointer<UInt32>
    ) {
        self.parameters = parameters
        self.locks = locks
        self.inLinks = inLinks
        let lowest = HNSWLayer.stride(links: parameters.m0)
        var links = [allocate(rowCount * lowest)]
        var layers = [
            HNSWLayer(nodeCount: rowCount, linkStride: lowest, links: UnsafePointer(links[0]), rows: nil, down: nil)
        ]
        // Nodes of the next layer: their rows and where they stand on the layer below.
        var members: [(row: UInt32, below: UInt32, top: Int)] = []
        for row in 0..<rowCount {
            let top = top(row)
            if top > 0 { members.append((UInt32(row), UInt32(row), top)) }
        }
        let stride = HNSWLayer.stride(links: parameters.m)
        while !members.isEmpty {
            let rows = maps.allocate(members.count, filledWith: 0)
            let down = maps.allocate(members.count, filledWith: 0)
            let level = layers.count
            var above: [(row: UInt32, below: UInt32, top: Int)] = []
            for (node, member) in members.enumerated() {
                rows[node] = member.row
                down[node] = member.below
                if member.top > level { above.append((member.row, UInt32(node), member.top)) }
            }
            links.append(allocate(members.count * stride))
            layers.append(
                HNSWLayer(
                    nodeCount: members.count, linkStride: stride, links: UnsafePointer(links[level]),
                    rows: UnsafePointer(rows), down: UnsafePointer(down)))
            members = above
        }
        self.layers = layers
        self.links = links
    }

    /// The top layer of a row: geometric with ratio 1 / m, from a hash of seed and row.
    static func level(row: Int, _ parameters: HNSWParameters) -> Int {
        var z = parameters.seed &+ UInt64(row &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        var level = 0
        // Each base-m digit that is 0 lifts the row by one layer.
        while level < HNSWIndex.levelMax && z % UInt64(parameters.m) == 0 {
            level += 1
            z /= UInt64(parameters.m)
        }
        return level
    }

    /// Links that a node may have. A new node takes as many, not m as in the paper: recall at equal breadth rises.
    func limit(_ level: Int) -> Int { level == 0 ? parameters.m0 : parameters.m }

    /// The node of `row` on `level`, by binary search among the rows there.
    func node(of row: UInt32, on level: Int) -> UInt32? {
        let layer = layers[level]
        guard let rows = layer.rows else { return row }
        var low = 0
        var high = layer.nodeCount
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low < layer.nodeCount && rows[low] == row ? UInt32(low) : nil
    }

    /// The top layer of `row`.
    func top(of row: UInt32) -> Int {
        var top = 0
        while top + 1 < layers.count && node(of: row, on: top + 1) != nil { top += 1 }
        return top
    }

    /// The links of a node, for the thread that writes them.
    func list(_ node: UInt32, _ level: Int) -> UnsafeMutablePointer<UInt32> {
        links[level] + Int(node) * layers[level].linkStride
    }

    /// How many links a node has, for the thread that writes them.
    func linkCount(_ node: UInt32, _ level: Int) -> Int {
        let list = list(node, level)
        let limit = limit(level)
        var count = 0
        while count < limit && list[count] != HNSWLayer.none { count += 1 }
        return count
    }

    /// Adds a link to a node that has `count`, fewer than its limit.
    func append(_ other: UInt32, to node: UInt32, _ level: Int, count: Int, isCounted: Bool) {
        if isCounted && level == 0 { credit(other, 1) }
        ck_publish(list(node, level) + count, other)
    }

    /// Replaces the links of a node.
    ///
    /// - Parameter isCounted: Whether the node's row is live (or about to be), so that its links count.
    func replace(
        _ node: UInt32, _ level: Int, by nodes: UnsafePointer<UInt32>, count: Int, isCounted: Bool
    ) {
        let list = list(node, level)
        if isCounted && level == 0 {
            uncountLinks(of: node)
            for i in 0..<count { credit(nodes[i], 1) }
        }
        for i in 0..<count { ck_publish(list + i, nodes[i]) }
        var place = count
        while place < layers[level].linkStride && list[place] != HNSWLayer.none {
            ck_publish(list + place, HNSWLayer.none)
            place += 1
        }
    }

    /// The links of this row count no more: it died.
    func uncountLinks(of row: UInt32) {
        if inLinks == nil { return }
        let list = list(row, 0)
        for i in 0..<linkCount(row, 0) { credit(list[i], -1) }
    }

    /// Nobody links to this row yet: its slot is used anew.
    func forgetLinks(to row: UInt32) { inLinks?[Int(row)] = 0 }

    /// Live rows that link to `row` on layer 0; nil where nobody counts.
    func linksTo(_ row: UInt32) -> Int? { inLinks.map { Int($0[Int(row)]) } }

    private func credit(_ row: UInt32, _ change: Int) {
        guard let word = inLinks.map({ $0 + Int(row) }) else { return }
        word.pointee = UInt32(max(0, Int(word.pointee) + change))
    }

    /// Runs `body` while no other thread writes links of `row`.
    @inline(__always)
    func writing<Result>(_ row: UInt32, _ body: () -> Result) -> Result {
        guard let locks else { return body() }
        ck_spin_lock(locks + Int(row))
        defer { ck_spin_unlock(locks + Int(row)) }
        return body()
    }
}

extension HNSWIndex {
    /// Layers above layer 0 at most.
    static let levelMax = 12
}
