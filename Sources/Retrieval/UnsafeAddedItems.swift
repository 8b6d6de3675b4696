import Catalog
import NearestNeighbors
import VectorMath
import Vocabulary

/// Items that are served beside those of a model: their IDs, titles and attributes as a catalogue of their own, and their
/// vectors among the model's factors. Immutable; shared by all shards.
///
/// Item `index` has the row `firstRow + index`: rows go on where the model's end.
package final class AddedItems: Sendable {
    package let firstRow: UInt32
    /// By index.
    package let catalog: ItemCatalog
    package let attributes: AttributeIndex
    /// Their attributes in the model's numbers, by name.
    package let values: [String: AddedValues]
    /// Which factors the vectors belong to; nil where the model has none.
    package let source: RetrievalSource?
    /// `[count, stride]`; the columns from `dimension` on are zero.
    private let vectors: [Float]
    /// Of each vector; 0 for a zero vector.
    private let inverseNorms: [Float]
    /// Numbers of a vector; 0 where the model has no factors.
    package let dimension: Int
    private let stride: Int

    /// - Parameters:
    ///   - vectors: One for each item, each of the rank of the model's factors; zeroes are like nothing.
    ///   - catalog: Has the attributes of the model's catalogue.
    /// - Precondition: vectors and catalogue are of as many items.
    package init(catalog: ItemCatalog, vectors: [[Float]], of model: RetrievalModel) {
        precondition(vectors.count == catalog.count, "\(vectors.count) vectors of \(catalog.count) items")
        firstRow = UInt32(model.items.count)
        self.catalog = catalog
        attributes = AttributeIndex(catalog)
        values = AddedValues.all(catalog, among: model.items)
        source = model.addedSource
        dimension = source.flatMap { model.factors(of: $0)?.model.rank } ?? 0
        stride = (dimension + FactorMatrix.rowAlignment - 1) / FactorMatrix.rowAlignment * FactorMatrix.rowAlignment
        var all = [Float](repeating: 0, count: stride * catalog.count)
        for (index, vector) in vectors.enumerated() {
            for (column, value) in vector.prefix(dimension).enumerated() { all[index * stride + column] = value }
        }
        self.vectors = all
        inverseNorms = vectors.map { vector in
            let square = vector.reduce(0) { $0 + $1 * $1 }
            return square > 0 && square.isFinite ? 1 / square.squareRoot() : 0
        }
    }

    package var count: Int { catalog.count }
    package var byteCount: Int {
        vectors.count * 4 + catalog.byteCount + attributes.byteCount
            + values.values.reduce(0) { $0 + $1.numbers.count * 4 }
    }

    /// The row of an item; one that is gone still has its row.
    package func row(of item: String) -> UInt32? { catalog.row(of: item).map { $0 + firstRow } }

    /// The vector of the item `index`.
    func vector(_ index: Int) -> [Float] { Array(vectors[index * stride..<index * stride + dimension]) }

    /// Copies the vector of the item `index`, which has the rank of the factors.
    package func copyVector(_ index: Int, into out: UnsafeMutablePointer<Float>) {
        precondition(index < count, "added item \(index) of \(count)")
        vectors.withUnsafeBufferPointer { vectors in
            guard let base = vectors.baseAddress else { return }
            out.update(from: base + index * stride, count: dimension)
        }
    }

    /// Offers the added items that may be shown, by the cosine of their vectors with `query`.
    ///
    /// - Complexity: O(items * rank).
    func offer(likeQuery query: [Float], where mask: EligibilityMask, to top: inout TopK) {
        let square = query.reduce(0) { $0 + $1 * $1 }
        let inverse = square > 0 && square.isFinite ? 1 / square.squareRoot() : 0
        var products: [Float] = []
        score(query, 0..<count, into: &products)
        for index in 0..<count where inverseNorms[index] > 0 {
            let row = firstRow + UInt32(index)
            if mask.isEligible(row) { top.push(row: row, score: products[index] * inverseNorms[index] * inverse) }
        }
    }

    /// Inner products of `query` with the vectors of the items `indexes`.
    ///
    /// - Precondition: `query` has the rank of the factors.
    /// - Complexity: O(items * rank); allocates nothing once `products` has grown.
    func score(_ query: [Float], _ indexes: Range<Int>, into products: inout [Float]) {
        precondition(query.count == dimension && indexes.upperBound <= count, "shapes do not fit")
        if products.count < indexes.count { products = Array(repeating: 0, count: indexes.count) }
        products.withUnsafeMutableBufferPointer { products in
            vectors.withUnsafeBufferPointer { vectors in
                query.withUnsafeBufferPointer { query in
                    guard let products = products.baseAddress, let vectors = vectors.baseAddress,
                        let query = query.baseAddress
                    else { return }
                    Kernels.dot(
                        query, rows: vectors + indexes.lowerBound * stride, stride: stride, count: indexes.count,
                        dimension: dimension, into: products)
                }
            }
        }
    }
}

extension RowMatrix {
    /// A row as floats.
    func floats(_ row: UInt32) -> [Float] {
        precondition(Int(row) < rowCount, "row \(row) of \(rowCount)")
        return [Float](unsafeUninitializedCapacity: columnCount) { out, count in
            count = columnCount
            guard let base = out.baseAddress else { return }
            switch self {
            case .floats(let rows): base.update(from: rows.base + Int(row) * rows.stride, count: columnCount)
            case .halves(let rows): Kernels.widen(rows.base + Int(row) * rows.stride, count: columnCount, into: base)
            }
        }
    }
}

extension RetrievalModel {
    /// Among which factors added items are placed.
    package var addedSource: RetrievalSource? { als != nil ? .als : spectral != nil ? .spectral : nil }
}
