import Catalog
import NearestNeighbors

/// Items of a model that were described anew: titles, tags and attributes in place of the model's. Immutable; shared by all
/// shards.
///
/// Their factors, neighbours and popularity stay the model's.
package final class RestatedItems: Sendable {
    /// Of the model, ascending; the item at `index` of the catalogue has `rows[index]`.
    package let rows: [UInt32]
    /// The items' whole descriptions by index: what was said, and the model's where nothing was said.
    package let catalog: ItemCatalog
    /// Their attributes in the model's numbers, by name; new texts are numbered after those of the added items.
    package let values: [String: AddedValues]
    private let attributes: AttributeIndex
    private let marks: RowBitmap

    /// - Parameters:
    ///   - rows: Of the model, ascending, one for each item of `catalog`.
    ///   - catalog: Has the attributes of the model's catalogue.
    ///   - added: Whose numbers of texts are to be kept to.
    package init(_ rows: [UInt32], catalog: ItemCatalog, added: AddedItems?, of model: RetrievalModel) {
        precondition(rows.count == catalog.count, "\(rows.count) rows of \(catalog.count) items")
        self.rows = rows
        self.catalog = catalog
        attributes = AttributeIndex(catalog)
        marks = RowBitmap(rowCount: model.items.count) { words in
            for row in rows { words[Int(row >> 6)] |= 1 &<< UInt64(row & 63) }
        }
        values = AddedValues.all(catalog, among: model.items, after: added?.values ?? [:])
    }

    /// The same items, beside other added ones.
    ///
    /// - Complexity: O(different values).
    package init(_ other: RestatedItems, added: AddedItems?, of model: RetrievalModel) {
        (rows, catalog, attributes, marks) = (other.rows, other.catalog, other.attributes, other.marks)
        values = AddedValues.all(catalog, among: model.items, after: added?.values ?? [:])
    }

    package var byteCount: Int {
        rows.count * 4 + catalog.byteCount + attributes.byteCount + marks.byteCount
            + values.values.reduce(0) { $0 + $1.numbers.count * 4 }
    }

    /// The index of an item that was described anew; nil for all others.
    ///
    /// - Complexity: O(1) for all others, else O(log items).
    package func index(of row: UInt32) -> UInt32? {
        guard Int(row) < marks.rowCount, marks.contains(row) else { return nil }
        var (low, high) = (0, rows.count)
        while low < high {
            let middle = (low + high) / 2
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return UInt32(low)
    }

    /// The model's items that satisfy a filter, these by what they are now.
    ///
    /// - Parameters:
    ///   - filter: Asks something.
    ///   - known: Those that satisfy it by the model's own description.
    /// - Throws: `FilterFault`.
    /// - Complexity: O(items / 64 + items described anew).
    package func rows(of filter: ItemFilter, known: RowBitmap) throws(FilterFault) -> RowBitmap {
        let own = try attributes.rows(of: filter)
        return RowBitmap(rowCount: known.rowCount) { words in
            _ = words.update(fromContentsOf: known.words)
            for (index, row) in rows.enumerated() {
                let bit: UInt64 = 1 &<< UInt64(row & 63)
                if own.contains(UInt32(index)) { words[Int(row >> 6)] |= bit } else { words[Int(row >> 6)] &= ~bit }
            }
        }
    }
}
