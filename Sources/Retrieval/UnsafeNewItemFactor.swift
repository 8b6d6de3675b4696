import VectorMath

extension ContentIndex {
    /// Items that a new item's factor is made of.
    package static let factorNeighbors = 100

    /// A factor for an item that nobody had yet: the mean of the factors of the items most like it, each as much as it is
    /// like it.
    ///
    /// Its direction says whom to show the item to. Its length is that of a usual item of its kind, so a new item stands
    /// beside others as if it were about as popular as they are.
    ///
    /// - Parameters:
    ///   - items: The factors, one row for each item of the catalogue.
    ///   - count: Items like it to take.
    /// - Returns: Nil where no item has anything in common with it.
    package func factor(
        ofNew values: ItemValues, items: RowMatrix, neighbors count: Int = ContentIndex.factorNeighbors,
        where isEligible: ((UInt32) -> Bool)? = nil
    ) -> [Float]? {
        precondition(items.rowCount == itemCount, "factors of \(items.rowCount) items, content of \(itemCount)")
        let nearest = nearest(to: values, k: count, where: isEligible)
        let total = nearest.reduce(Float(0)) { $0 + $1.score }
        guard total > 0 else { return nil }
        var result = [Float](repeating: 0, count: items.columnCount)
        var factor = result
        for neighbor in nearest {
            factor.withUnsafeMutableBufferPointer { items.copy(neighbor.row, into: $0) }
            for n in result.indices { result[n] += neighbor.score / total * factor[n] }
        }
        return result
    }
}
