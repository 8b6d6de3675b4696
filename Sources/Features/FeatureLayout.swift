/// Where the features of a schema stand in encoded rows: table rows of the categorical fields, then numbers.
///
/// The embedding tables of all categorical fields lie one after the other in one table, so a field's rows begin at its
/// `tableOffset`.
package struct FeatureLayout: Sendable, Equatable {
    package struct Categorical: Sendable, Equatable {
        package let name: String
        package let side: FeatureSide
        /// Number of the field in the schema.
        package let field: Int
        package let tableOffset: Int
        package let tableRows: Int
        package let isMultivalued: Bool
        /// See `FeatureField`.
        package let isPerCandidate: Bool
    }

    package struct Dense: Sendable, Equatable {
        package let name: String
        package let side: FeatureSide
        package let field: Int
        /// See `FeatureField`.
        package let isPerCandidate: Bool
    }

    package let categorical: [Categorical]
    package let dense: [Dense]
    /// Rows of the one table.
    package let tableRows: Int

    /// - Precondition: `schema.fault()` is nil.
    package init(_ schema: FeatureSchema) {
        var (categorical, dense, offset) = ([Categorical](), [Dense](), 0)
        for (number, field) in schema.fields.enumerated() {
            switch field.kind {
            case .dense:
                dense.append(
                    Dense(name: field.name, side: field.side, field: number, isPerCandidate: field.isPerCandidate))
            case .categorical(let encoding, let isMultivalued):
                categorical.append(
                    Categorical(
                        name: field.name, side: field.side, field: number, tableOffset: offset,
                        tableRows: encoding.tableRows, isMultivalued: isMultivalued,
                        isPerCandidate: field.isPerCandidate))
                offset += encoding.tableRows
            }
        }
        self.categorical = categorical
        self.dense = dense
        tableRows = offset
    }

    package var hasMultivalued: Bool { categorical.contains(where: \.isMultivalued) }
}
