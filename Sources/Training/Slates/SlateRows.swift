import EventLog
import Features

/// Logged features of one schema, brought back into the rows that rankers take.
package struct SlateRows: Sendable {
    package let layout: FeatureLayout
    private let bagFields: [Int]

    package init(_ layout: FeatureLayout) {
        self.layout = layout
        bagFields = layout.categorical.indices.filter { layout.categorical[$0].isMultivalued }
    }

    /// Whether the columns are as many, and the values as large, as the layout has it.
    package func fits(_ features: LoggedFeatures) -> Bool {
        guard features.numbers.count == layout.dense.count, features.categories.count == layout.categorical.count,
            features.lists.count == bagFields.count
        else { return false }
        for (field, column) in zip(layout.categorical, features.categories) {
            guard column.allSatisfy({ $0 < field.tableRows }) else { return false }
        }
        for (field, column) in zip(bagFields, features.lists) {
            let rows = layout.categorical[field].tableRows
            guard column.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0 < rows } }) else { return false }
        }
        return true
    }

    /// Adds a row.
    ///
    /// - Precondition: `fits(features)`, and `rows` have the layout.
    package func append(_ row: Int, of features: LoggedFeatures, to rows: FeatureRows) {
        set(rows.append(), row, features, rows)
    }

    /// Sets the last row of `rows`, which was just added.
    func set(_ at: Int, _ row: Int, _ features: LoggedFeatures, _ rows: FeatureRows) {
        for (number, column) in features.numbers.enumerated() { rows.set(at, dense: number, to: column[row]) }
        for (number, column) in features.categories.enumerated() {
            rows.set(at, categorical: number, to: column[row] + UInt32(layout.categorical[number].tableOffset))
        }
        guard !bagFields.isEmpty else { return }
        rows.setBags { number in
            guard let place = bagFields.firstIndex(of: number) else { return [] }
            let offset = UInt32(layout.categorical[number].tableOffset)
            return features.lists[place][row].map { $0 + offset }
        }
    }
}
