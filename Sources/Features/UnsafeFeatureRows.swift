/// Encoded rows: what every ranker takes. Filled row by row, used again without allocation.
///
/// ```
/// ids    [rows, categorical fields]  table rows, field offsets included; of a multi-valued field the first value
/// bags   [rows, multi-valued fields] further lists of table rows
/// dense  [rows, dense fields]        normalised numbers
/// ```
package final class FeatureRows {
    package let layout: FeatureLayout
    package private(set) var count = 0
    package private(set) var capacity: Int
    /// Shape `[capacity, categorical]`.
    package private(set) var ids: UnsafeMutablePointer<UInt32>
    /// Shape `[capacity, dense]`.
    package private(set) var dense: UnsafeMutablePointer<Float>
    /// Numbers of the categorical fields that are multi-valued.
    package let bagFields: [Int]
    /// Where the lists of the rows' multi-valued fields end, row by row.
    private var bagEnds: [Int] = []
    private var bagValues: [UInt32] = []

    package init(_ layout: FeatureLayout, capacity: Int = 256) {
        self.layout = layout
        self.capacity = max(capacity, 1)
        ids = .allocate(capacity: self.capacity * max(layout.categorical.count, 1))
        dense = .allocate(capacity: self.capacity * max(layout.dense.count, 1))
        bagFields = layout.categorical.indices.filter { layout.categorical[$0].isMultivalued }
    }

    deinit {
        ids.deallocate()
        dense.deallocate()
    }

    package var byteCount: Int {
        capacity * (layout.categorical.count + layout.dense.count) * 4 + bagEnds.capacity * 8 + bagValues.capacity * 4
    }

    package func removeAll() {
        count = 0
        bagEnds.removeAll(keepingCapacity: true)
        bagValues.removeAll(keepingCapacity: true)
    }

    /// Adds a row in which everything is unknown or zero; its number.
    @discardableResult
    package func append() -> Int {
        if count == capacity { grow() }
        for (number, field) in layout.categorical.enumerated() {
            ids[count * layout.categorical.count + number] = UInt32(field.tableOffset)
        }
        for number in layout.dense.indices { dense[count * layout.dense.count + number] = 0 }
        for _ in bagFields { bagEnds.append(bagValues.count) }
        count += 1
        return count - 1
    }

    /// Adds a row of another set with this layout.
    ///
    /// - Parameter bags: Lists in place of the row's own, by field, none of them empty.
    @discardableResult
    package func append(copying row: Int, of other: FeatureRows, bags: [Int: [UInt32]] = [:]) -> Int {
        precondition(other.layout == layout && row < other.count, "row \(row) of \(other.count), or another layout")
        let new = append()
        let (fields, numbers) = (layout.categorical.count, layout.dense.count)
        (ids + new * fields).update(from: other.ids + row * fields, count: fields)
        (dense + new * numbers).update(from: other.dense + row * numbers, count: numbers)
        for place in bagFields.indices {
            if let list = bags[bagFields[place]] {
                bagValues.append(contentsOf: list)
                if let first = list.first { ids[new * fields + bagFields[place]] = first }
            } else {
                bagValues.append(contentsOf: other.bag(row, place))
            }
            bagEnds[new * bagFields.count + place] = bagValues.count
        }
        return new
    }

    private func grow() {
        let wider = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity * 2 * max(layout.categorical.count, 1))
        wider.update(from: ids, count: count * layout.categorical.count)
        ids.deallocate()
        ids = wider
        let taller = UnsafeMutablePointer<Float>.allocate(capacity: capacity * 2 * max(layout.dense.count, 1))
        taller.update(from: dense, count: count * layout.dense.count)
        dense.deallocate()
        dense = taller
        capacity *= 2
    }

    /// Sets a single-valued field of a row.
    package func set(_ row: Int, categorical number: Int, to id: UInt32) {
        precondition(row < count && number < layout.categorical.count, "row \(row) of \(count), field \(number)")
        ids[row * layout.categorical.count + number] = id
    }

    package func set(_ row: Int, dense number: Int, to value: Float) {
        precondition(row < count && number < layout.dense.count, "row \(row) of \(count), number \(number)")
        dense[row * layout.dense.count + number] = value
    }

    /// The table row of a categorical field.
    package func id(_ row: Int, _ number: Int) -> UInt32 {
        precondition(row < count && number < layout.categorical.count, "row \(row) of \(count), field \(number)")
        return ids[row * layout.categorical.count + number]
    }

    /// The value of a dense field.
    package func number(_ row: Int, _ number: Int) -> Float {
        precondition(row < count && number < layout.dense.count, "row \(row) of \(count), number \(number)")
        return dense[row * layout.dense.count + number]
    }

    /// Sets the lists of the last row's multi-valued fields, in the order of `bagFields`; an empty list is the unknown value.
    package func setBags(_ lists: (Int) -> [UInt32]) {
        precondition(count > 0, "no row")
        for (place, number) in bagFields.enumerated() {
            var values = lists(number)
            if values.isEmpty { values = [UInt32(layout.categorical[number].tableOffset)] }
            bagValues.append(contentsOf: values)
            bagEnds[(count - 1) * bagFields.count + place] = bagValues.count
            ids[(count - 1) * layout.categorical.count + number] = values[0]
        }
    }

    /// The list of a row's multi-valued field, by its place in `bagFields`; empty where none was set.
    package func bag(_ row: Int, _ place: Int) -> ArraySlice<UInt32> {
        let at = row * bagFields.count + place
        return bagValues[(at == 0 ? 0 : bagEnds[at - 1])..<bagEnds[at]]
    }
}
