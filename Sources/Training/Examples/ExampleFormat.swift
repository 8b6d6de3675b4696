import Features

/// How a file of labelled examples is written.
package enum ExampleFormat: String, Sendable, CaseIterable {
    /// A header, then one example a line; one of the columns is the label.
    case csv
    case tsv
    /// `label index:value index:value ...`, as libFM and libSVM read it.
    case libfm

    package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }

    /// By the file's name; libfm unless it says otherwise.
    package init(path: String) {
        var name = path.lowercased()
        if name.hasSuffix(".gz") { name.removeLast(3) }
        self = name.hasSuffix(".csv") ? .csv : name.hasSuffix(".tsv") ? .tsv : .libfm
    }
}

/// What to make of a file's columns.
package struct ExampleOptions: Sendable, Equatable {
    /// Nil: by the file's name.
    package var format: ExampleFormat?
    /// The column of a CSV or TSV file that holds the label.
    package var label = "label"
    /// An example is positive when its label is above this.
    package var positiveAbove = 0.0
    /// Columns that are categorical, dense, or not to be used, whatever they look like.
    package var categorical: Set<String> = []
    package var dense: Set<String> = []
    package var ignored: Set<String> = []
    /// How numbers are normalised.
    package var normalisation = Normalisation.Form.quantile
    /// Values that occur less often count as unknown, so that what is unknown later has been learnt about.
    package var minCount = 2
    /// Columns of more values are hashed.
    package var dictionaryMax = 1 << 20

    package init() {}

    /// A column of numbers with at most this many different ones is categorical.
    static let fewNumbers = 64
    /// Numbers of a column that its normalisation is fitted to.
    static let sampleMax = 100_000
    /// Between the values of a multi-valued field.
    static let valueSeparator = UInt8(ascii: "|")
}
