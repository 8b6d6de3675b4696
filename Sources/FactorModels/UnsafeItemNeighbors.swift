import Artifacts
import VectorMath

/// For each item its most related items, with weights, best first.
///
/// A user's score for an item is the plain sum, over all items of the history, of that item's weight. The file
/// `item_to_item.safetensors` holds
///
/// ```
/// offsets  U64 [items + 1]   the neighbours of item i stand at offsets[i]..<offsets[i + 1]
/// rows     U32 [n]           item rows, each once per item, never the item itself
/// weights  F32 [n]           finite, falling within an item; equal weights by ascending row
/// ```
/// `@unchecked Sendable`: the memory is sealed and kept alive by its owners.
package struct ItemNeighbors: @unchecked Sendable {
    package let itemCount: Int
    private let offsets: UnsafeBufferPointer<UInt64>
    private let rows: UnsafeBufferPointer<UInt32>
    private let weights: UnsafeBufferPointer<Float>
    private let owners: [any AnyObject & Sendable]

    package var byteCount: Int { Self.byteCount(items: itemCount, entries: rows.count) }

    /// Of lists with so many entries together.
    package static func byteCount(items: Int, entries: Int) -> Int { (items + 1) * 8 + entries * 8 }

    /// Puts lists together, for a model in memory.
    ///
    /// - Precondition: The lists are as the file's layout says.
    init(lists: [[ScoredRow]]) {
        var offsets: [UInt64] = [0]
        var rows: [UInt32] = []
        var weights: [Float] = []
        rows.reserveCapacity(lists.reduce(0) { $0 + $1.count })
        weights.reserveCapacity(rows.capacity)
        for list in lists {
            for entry in list {
                rows.append(entry.row)
                weights.append(entry.score)
            }
            offsets.append(UInt64(rows.count))
        }
        let (o, r, w) = (Sealed(offsets), Sealed(rows), Sealed(weights))
        itemCount = lists.count
        self.offsets = o.elements
        self.rows = r.elements
        self.weights = w.elements
        owners = [o, r, w]
    }

    /// The neighbours of `item`, best first; valid while the model lives.
    @inline(__always)
    package func neighbors(
        of item: UInt32
    ) -> (rows: UnsafeBufferPointer<UInt32>, weights: UnsafeBufferPointer<Float>) {
        precondition(Int(item) < itemCount, "item \(item) of \(itemCount)")
        let range = Int(offsets[Int(item)])..<Int(offsets[Int(item) + 1])
        return (
            UnsafeBufferPointer(rebasing: rows[range]), UnsafeBufferPointer(rebasing: weights[range])
        )
    }

    package func write(to bundle: BundleWriter) throws {
        let writer = try bundle.file("item_to_item")
        writer.declare("offsets", .u64, shape: [itemCount + 1])
        writer.declare("rows", .u32, shape: [rows.count])
        writer.declare("weights", .f32, shape: [weights.count])
        try writer.append(offsets, to: "offsets")
        try writer.append(rows, to: "rows")
        try writer.append(weights, to: "weights")
        try writer.finish()
    }

    /// Reads the file, used where it lies.
    ///
    /// - Throws: `ArtifactError` when it is not as the layout says.
    package init(bundle: Bundle) throws(ArtifactError) {
        let file = try bundle.file("item_to_item")
        let offsets = try file.tensor("offsets", .u64, shape: [nil])
        let rows = try file.tensor("rows", .u32, shape: [nil])
        let weights = try file.tensor("weights", .f32, shape: [rows.shape[0]])
        self.offsets = offsets.elements()
        self.rows = rows.elements()
        self.weights = weights.elements()
        itemCount = max(0, self.offsets.count - 1)
        owners = [offsets.owner, rows.owner, weights.owner]
        if let fault = fault() { throw ArtifactError(.invalidContent, path: file.path, fault) }
    }

    private func fault() -> String? {
        guard offsets.count >= 1, offsets[0] == 0, offsets[itemCount] == UInt64(rows.count) else {
            return "offsets must go from 0 to \(rows.count)"
        }
        var lastSeen = [UInt32](repeating: .max, count: itemCount)
        for item in 0..<itemCount {
            let (low, high) = (offsets[item], offsets[item + 1])
            guard low <= high, high <= UInt64(rows.count) else { return "the offsets of item \(item) do not ascend" }
            for place in Int(low)..<Int(high) {
                let row = Int(rows[place])
                guard row < itemCount, row != item, lastSeen[row] != UInt32(item) else {
                    return "item \(item) has neighbour \(row); \(itemCount) items, each at most once, are possible"
                }
                lastSeen[row] = UInt32(item)
                guard weights[place].isFinite, place == Int(low) || weights[place] <= weights[place - 1] else {
                    return "the weights of item \(item) are not falling numbers"
                }
            }
        }
        return nil
    }
}

/// An array that stays where it is. `@unchecked Sendable`: nothing is written after `init`.
private final class Sealed<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    let elements: UnsafeBufferPointer<Element>

    init(_ array: [Element]) {
        let copy = UnsafeMutableBufferPointer<Element>.allocate(capacity: array.count)
        _ = copy.initialize(from: array)
        elements = UnsafeBufferPointer(copy)
    }

    deinit { elements.deallocate() }
}
