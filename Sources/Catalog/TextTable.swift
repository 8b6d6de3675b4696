import Artifacts

/// Lays values out in columns for a terminal.
enum TextTable {
    /// Columns two spaces apart, as wide as their widest cell.
    static func columns(_ rows: [[String]], rightAligned: Set<Int> = []) -> String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let space = String(repeating: " ", count: widths[column] - cell.count)
                line += rightAligned.contains(column) ? space + cell : cell + space
                line += "  "
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }

    static func pairs(_ pairs: [(String, String)]) -> String { columns(pairs.map { [$0.0, $0.1] }) }

    static func indented(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }.joined(separator: "\n")
    }

    /// A JSON value as lines: members by dotted path, lists of flat objects as tables.
    static func outline(_ value: JSONValue) -> String {
        var lines: [(String, String)] = []
        var tables: [String] = []
        collect(value, path: "", &lines, &tables)
        return ([lines.isEmpty ? nil : pairs(lines)].compactMap { $0 } + tables).joined(separator: "\n")
    }

    private static func collect(
        _ value: JSONValue, path: String, _ lines: inout [(String, String)], _ tables: inout [String]
    ) {
        switch value {
        case .object(let members):
            for key in members.keys.sorted() {
                collect(members[key] ?? .null, path: path.isEmpty ? key : "\(path).\(key)", &lines, &tables)
            }
        case .array(let elements):
            let rows = elements.compactMap(\.objectValue)
            if !rows.isEmpty, rows.count == elements.count {
                let keys = Set(rows.flatMap(\.keys)).sorted()
                let cells = rows.map { row in keys.map { row[$0].map(cell) ?? "" } }
                tables.append((path.isEmpty ? "" : "\(path)\n") + indented(columns([keys] + cells)))
            } else {
                lines.append((path, elements.map(cell).joined(separator: ", ")))
            }
        default: lines.append((path, cell(value)))
        }
    }

    private static func cell(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): text
        case .double(let number): rounded(number)
        default: JSONText.print(value, indented: false)
        }
    }

    /// Six significant digits are enough to read.
    private static func rounded(_ number: Double) -> String {
        guard number != 0, abs(number) < 1e15, abs(number) >= 1e-5 else { return "\(number)" }
        var scale = 1.0
        while abs(number) * scale < 1e5, scale < 1e10 { scale *= 10 }
        return "\((number * scale).rounded() / scale)"
    }

    /// Thousands apart.
    static func grouped(_ number: Int) -> String {
        var digits = Array(String(number.magnitude))
        var place = digits.count - 3
        while place > 0 {
            digits.insert(" ", at: place)
            place -= 3
        }
        return (number < 0 ? "-" : "") + String(digits)
    }

    static func bytes(_ count: Int) -> String {
        guard count >= 1024 else { return "\(count) B" }
        var value = Double(count) / 1024
        var unit = 0
        let units = ["KiB", "MiB", "GiB", "TiB"]
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\((value * 10).rounded() / 10) \(units[unit])"
    }
}
