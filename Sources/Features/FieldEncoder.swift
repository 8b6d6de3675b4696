import Vocabulary

/// Turns the values of one field into table rows or numbers. The same code runs in training and in serving.
package struct FieldEncoder: Sendable {
    private enum Way: Sendable {
        case dictionary([String: UInt32])
        case hashed(UInt64)
        case rows(UInt32)
        case dense(Normalisation, missing: Double?)
    }

    private let way: Way
    /// Where the field's rows begin in the table of all fields.
    private let offset: UInt32

    /// - Parameter tableOffset: 0 for numbers.
    package init(_ field: FeatureField, tableOffset: Int) {
        offset = UInt32(tableOffset)
        switch field.kind {
        case .dense(let normalisation, let missing): way = .dense(normalisation, missing: missing)
        case .categorical(.dictionary(let values), _):
            way = .dictionary(
                Dictionary(zip(values, 1...UInt32(max(values.count, 1))), uniquingKeysWith: { first, _ in first }))
        case .categorical(.hashed(let buckets), _): way = .hashed(UInt64(buckets))
        case .categorical(.rows(let count), _): way = .rows(UInt32(count))
        }
    }

    /// The row for a value that is not there.
    package var unknown: UInt32 { offset }

    /// The table row of a text; `unknown` where it is empty or stands in no dictionary.
    package func row(of text: String) -> UInt32 {
        guard !text.isEmpty else { return unknown }
        switch way {
        case .dictionary(let rows): return offset + (rows[text] ?? 0)
        case .hashed(let buckets):
            var text = text
            let hash = text.withUTF8 { XXH64.hash(UnsafeRawBufferPointer($0)) }
            return offset + 1 + UInt32(hash % buckets)
        case .rows, .dense: return unknown
        }
    }

    /// The table row of a user or item by its row in the bundle; `unknown` for nil or one that came after training.
    package func row(ofBundleRow row: UInt32?) -> UInt32 {
        guard case .rows(let count) = way, let row, row < count else { return unknown }
        return offset + 1 + row
    }

    /// The number as a ranker takes it; of nil and what is not finite, that of a missing value, NaN where none is declared.
    package func number(_ value: Double?) -> Float {
        guard case .dense(let normalisation, let missing) = way else { return 0 }
        guard let value, value.isFinite else { return missing.map(normalisation.apply) ?? .nan }
        return normalisation.apply(value)
    }
}
