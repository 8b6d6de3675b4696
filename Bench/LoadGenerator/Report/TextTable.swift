/// Aligned columns for a terminal: the first to the left, the others to the right.
package struct TextTable {
    private var rows: [[String]] = []
    package init(_ header: [String]) { rows = [header] }
    package mutating func add(_ row: [String]) { rows.append(row) }

    package var text: String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let line = row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }
            return "  " + line.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

/// Counts with thousands set apart.
package func grouped(_ count: some BinaryInteger) -> String {
    var digits = String(count)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
}
