import Features
import Vocabulary

/// Looks through the columns of a file of examples and decides what becomes of each.
struct ExampleSurvey {
    private struct Column {
        var name: String
        var counts: [String: Int] = [:]
        /// Every field that is not empty is a finite number.
        var isNumeric = true
        var isMultivalued = false
        /// More different values than a dictionary may hold.
        var isCrowded = false
        var sample: [Double] = []
        var numbers = 0
    }

    private var columns: [Column]
    private let options: ExampleOptions
    private var random = SplitMix64(seed: 7)

    /// Reads the file once.
    ///
    /// - Throws: `DatasetError`.
    init(_ file: ExampleFile, _ options: ExampleOptions) throws {
        self.options = options
        columns = file.columns.map { Column(name: $0) }
        for name in options.categorical.union(options.dense).union(options.ignored).sorted()
        where !file.columns.contains(name) {
            throw DatasetError(
                .unreadable, "\(file.path): no column is called \"\(name)\"; there are \(file.columns.prefix(20))")
        }
        let isText = file.format == .libfm
        try file.forEach { _, fields in
            for (number, field) in fields.enumerated() where !field.isEmpty {
                take(field, number, isText: isText)
            }
        }
    }

    private mutating func take(_ field: UnsafeBufferPointer<UInt8>, _ number: Int, isText: Bool) {
        if options.ignored.contains(columns[number].name) { return }
        if columns[number].isNumeric, !isText {
            if let value = FieldParsing.number(field) {
                columns[number].numbers += 1
                // A sample of fixed size in which every number has the same chance (Vitter 1985, algorithm R).
                if columns[number].sample.count < ExampleOptions.sampleMax {
                    columns[number].sample.append(value)
                } else {
                    let place = Int(random.next() % UInt64(columns[number].numbers))
                    if place < ExampleOptions.sampleMax { columns[number].sample[place] = value }
                }
            } else {
                columns[number].isNumeric = false
            }
        } else if isText {
            columns[number].isNumeric = false
        }
        if columns[number].isCrowded || options.dense.contains(columns[number].name) { return }
        for part in field.split(separator: ExampleOptions.valueSeparator) where part.count <= Identity.bytesMax {
            columns[number].counts[String(decoding: part, as: UTF8.self), default: 0] += 1
        }
        if field.contains(ExampleOptions.valueSeparator) { columns[number].isMultivalued = true }
        if columns[number].counts.count > options.dictionaryMax {
            columns[number].isCrowded = true
            columns[number].counts = [:]
        }
    }

    /// A field for each column that is used.
    ///
    /// - Throws: `DatasetError` when a column that is called dense holds something else than numbers.
    func schema(path: String) throws -> FeatureSchema {
        var fields: [FeatureField] = []
        for column in columns where !options.ignored.contains(column.name) {
            let isDense =
                options.dense.contains(column.name)
                || column.isNumeric && !column.sample.isEmpty && !options.categorical.contains(column.name)
                    && (column.isCrowded || column.counts.count > ExampleOptions.fewNumbers)
            if isDense {
                guard column.isNumeric else {
                    throw DatasetError(
                        .badLine,
                        "\(path): the column \"\(column.name)\" is to be dense and holds something else than numbers")
                }
                fields.append(
                    FeatureField(
                        column.name, from: .column(column.name),
                        .dense(
                            .fit(options.normalisation, to: column.sample), missing: Self.median(column.sample))))
                continue
            }
            let encoding: CategoricalEncoding
            if column.isCrowded {
                encoding = .hashed(buckets: options.dictionaryMax)
            } else {
                // By number of examples, so that the order does not depend on that of the file.
                let kept = column.counts.filter { $0.value >= options.minCount }
                encoding = .dictionary(
                    kept.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key))
            }
            fields.append(
                FeatureField(
                    column.name, from: .column(column.name),
                    .categorical(encoding, isMultivalued: column.isMultivalued)))
        }
        let schema = FeatureSchema(fields: fields)
        if let fault = schema.fault() { throw DatasetError(.unreadable, "\(path): \(fault)") }
        return schema
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}
