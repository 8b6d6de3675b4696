import VectorMath

/// How a graph is built.
package struct HNSWParameters: Sendable, Equatable {
    /// Links of a node on the upper layers; twice as many on layer 0.
    package var m: Int
    /// Breadth of the search that finds a new node's neighbours.
    package var efConstruction: Int
    /// Decides the nodes' layers, and nothing else is random.
    package var seed: UInt64
    /// The metric that links are chosen by; nil for the one that is searched by.
    ///
    /// Under inner product few links lead to rows of low norm, and searches miss them. Links by cosine reach every row;
    /// the walk still scores by inner product. `HNSWIndex.chooseLinkMetric` finds out which is better for the data.
    package var linkMetric: SimilarityMetric?

    package init(m: Int = 16, efConstruction: Int = 200, seed: UInt64 = 1, linkMetric: SimilarityMetric? = nil) {
        self.m = m
        self.efConstruction = efConstruction
        self.seed = seed
        self.linkMetric = linkMetric
    }

    package func validate() throws(IndexBuildError) {
        guard (2...128).contains(m) else { throw .invalidParameter("m is \(m); it is 2 to 128") }
        guard (1...10_000).contains(efConstruction) else {
            throw .invalidParameter("efConstruction is \(efConstruction); it is 1 to 10000")
        }
    }

    /// Links of a node on layer 0.
    var m0: Int { 2 * m }
}

/// One layer of the graph: a fixed block of links per node, so that a node's links are whole cache lines.
///
/// ```
///  links   | node 0: n n n n - - ... | node 1: n n - - ... |     linkStride entries each, unused ones .max, at the end
///  rows    | row of node 0 | row of node 1 | ...                 ascending; layer 0 has none: node = row
///  down    | node 0 in the layer below | ...                     layer 0 has none
/// ```
struct HNSWLayer: @unchecked Sendable {
    /// Marks an unused link.
    static let none = UInt32.max

    let nodeCount: Int
    let linkStride: Int
    let links: UnsafePointer<UInt32>
    let rows: UnsafePointer<UInt32>?
    let down: UnsafePointer<UInt32>?

    /// Entries of a node's block for at most `count` links: whole cache lines.
    static func stride(links count: Int) -> Int { (count + 15) / 16 * 16 }

    @inline(__always)
    func linksOf(_ node: UInt32) -> UnsafePointer<UInt32> { links + Int(node) &* linkStride }

    @inline(__always)
    func row(_ node: UInt32) -> UInt32 { rows.map { $0[Int(node)] } ?? node }
}

/// The layers of a graph and what keeps their memory alive. Sealed: a builder writes before it is made.
struct HNSWGraph: Sendable {
    /// Layer 0 first. At least one when there are rows.
    let layers: [HNSWLayer]
    /// Where every walk starts: a node of the top layer.
    let entry: UInt32
    let owner: any AnyObject & Sendable

    /// Bytes of links and maps.
    var byteCount: Int {
        layers.reduce(0) { $0 + $1.nodeCount * ($1.linkStride + ($1.rows == nil ? 0 : 2)) * 4 }
    }
}

/// Blocks that a graph owns, and the mapped file it reads.
///
/// `@unchecked Sendable`: nothing is added once the graph is sealed.
final class HNSWStorage: @unchecked Sendable {
    private var blocks: [UnsafeMutableRawPointer] = []
    private let file: (any AnyObject & Sendable)?

    init(keeping file: (any AnyObject & Sendable)? = nil) { self.file = file }

    func allocate(_ count: Int, filledWith value: UInt32) -> UnsafeMutablePointer<UInt32> {
        let block = AlignedMemory.allocate(byteCount: count * 4)
        blocks.append(block)
        let words = block.bindMemory(to: UInt32.self, capacity: max(count, 1))
        words.initialize(repeating: value, count: count)
        return words
    }

    deinit { blocks.forEach { $0.deallocate() } }
}
