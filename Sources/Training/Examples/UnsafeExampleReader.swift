import Features

/// Files of labelled examples become encoded rows.
package struct ExampleReader {
    package let schema: FeatureSchema
    private let options: ExampleOptions

    /// Finds the schema that fits a file's columns; reads the file once or twice.
    ///
    /// - Throws: `DatasetError` naming file and line.
    package init(surveying path: String, _ options: ExampleOptions) throws {
        let file = try ExampleFile(path, options)
        self.options = options
        schema = try ExampleSurvey(file, options).schema(path: path)
    }

    /// Reads by a schema that is there; its fields name columns.
    package init(_ schema: FeatureSchema, _ options: ExampleOptions) {
        self.schema = schema
        self.options = options
    }

    /// Encodes every example of a file.
    ///
    /// - Throws: `DatasetError` when a column of the schema is not there, or a line cannot be read.
    package func read(_ path: String) throws -> LabelledRows {
        let file = try ExampleFile(
            path, options, asList: schema.fields.map(\.source) == [.column(ExampleFile.listColumn)])
        let layout = FeatureLayout(schema)
        let numbers = try columnNumbers(file)
        let categorical = layout.categorical.map { field in
            (
                column: numbers[field.field], isMultivalued: field.isMultivalued,
                encoder: FieldEncoder(schema.fields[field.field], tableOffset: field.tableOffset)
            )
        }
        let dense = layout.dense.map { field in
            (column: numbers[field.field], encoder: FieldEncoder(schema.fields[field.field], tableOffset: 0))
        }
        let rows = LabelledRows(layout)
        try file.forEach { isPositive, fields in
            rows.append(label: isPositive) { rows, row in
                for (number, field) in categorical.enumerated() where !field.isMultivalued {
                    rows.set(
                        row, categorical: number,
                        to: field.encoder.row(of: String(decoding: fields[field.column], as: UTF8.self)))
                }
                for (number, field) in dense.enumerated() {
                    rows.set(row, dense: number, to: field.encoder.number(FieldParsing.number(fields[field.column])))
                }
                rows.setBags { number in
                    let field = categorical[number]
                    return fields[field.column].split(separator: ExampleOptions.valueSeparator).map {
                        field.encoder.row(of: String(decoding: $0, as: UTF8.self))
                    }
                }
            }
        }
        guard rows.count > 0 else { throw DatasetError(.empty, "\(path): it holds no examples") }
        return rows
    }

    /// Where each field's column stands in the file.
    private func columnNumbers(_ file: ExampleFile) throws -> [Int] {
        try schema.fields.map { field in
            if let odd = file.oddLine, field.source != .column(ExampleFile.listColumn) {
                throw DatasetError(
                    .badLine,
                    "\(file.path), line \(odd.line): it has \(odd.entries) entries where the lines before have \(odd.before), so places do not tell fields apart; the features are of lines with \(schema.fields.count) entries each"
                )
            }
            guard case .column(let name) = field.source, let number = file.columns.firstIndex(of: name) else {
                throw DatasetError(
                    .unreadable,
                    "\(file.path): it has no column for the feature \"\(field.name)\" (\(field.source.text)); there are \(file.columns.prefix(20))"
                )
            }
            return number
        }
    }
}
