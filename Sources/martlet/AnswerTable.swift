/// Rows of text in aligned columns for a terminal.
struct AnswerTable {
    enum Alignment { case left, right }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    /// Longer cells are cut, but for those of the last column.
    private static let widthMax = 60

    init(_ columns: [(title: String, alignment: Alignment)]) { self.columns = columns }

    /// - Precondition: one cell for each column.
    mutating func add(_ cells: [String]) {
        precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
        rows.append(
            cells.dropLast().map { Self.printable($0) } + cells.suffix(1).map { Self.printable($0, most: .max) })
    }

    /// The table with its head, a line each.
    var text: String {
        let all = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in all.map { Self.width($0[column]) }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: max(0, widths[column] - Self.width(cell)))
                line += column == 0 ? "" : "  "
                line += columns[column].alignment == .right ? padding + cell : cell + padding
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    /// Text from outside must not steer the terminal.
    static func printable(_ text: String, most: Int = widthMax) -> String {
        var result = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
        if result.count > most { result = result.prefix(most - 1) + "…" }
        return result
    }

    /// Columns on a terminal, nearly: East Asian letters and pictures take two.
    private static func width(_ text: String) -> Int {
        text.reduce(0) { width, character in
            switch character.unicodeScalars.first?.value ?? 0 {
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60,
                0x1F300...0x1FAFF, 0x20000...0x3FFFD:
                width + 2
            default: width + 1
            }
        }
    }
}
