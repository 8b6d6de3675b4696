#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Cuts a line into fields without copying; only a quoted field that holds a doubled quote is written out anew.
struct FieldSplitter {
    typealias Bytes = UnsafeBufferPointer<UInt8>

    enum Separator: Equatable {
        /// One byte between two fields. Fields may be quoted as RFC 4180 says when `quotes` is set.
        case byte(UInt8, quotes: Bool)
        /// `::` between two fields, as in MovieLens 1M and 10M.
        case doubleColon
        /// Any run of spaces and tabs between two fields, none at the start and the end.
        case whitespace
    }

    static let quote = UInt8(ascii: "\"")

    let separator: Separator
    /// Where the unquoted text of fields with doubled quotes is kept until the next line.
    private let scratch: Scratch

    final class Scratch {
        var blocks: [UnsafeMutableBufferPointer<UInt8>] = []
        deinit { clear() }
        func clear() {
            for block in blocks { block.deallocate() }
            blocks.removeAll(keepingCapacity: true)
        }
    }

    init(_ separator: Separator) {
        self.separator = separator
        scratch = Scratch()
    }

    /// Whether a line end may stand inside a field.
    var mayQuote: Bool {
        if case .byte(_, let quotes) = separator { quotes } else { false }
    }

    /// Puts the fields of `line` into `fields`; they are valid as long as the line is, and until the next call.
    ///
    /// - Returns: Whether every quote is closed; if not, the record goes on in the next line.
    @inline(__always)
    func split(_ line: Bytes, into fields: inout [Bytes]) -> Bool {
        fields.removeAll(keepingCapacity: true)
        switch separator {
        case .byte(let byte, let quotes):
            if quotes, let base = line.baseAddress, memchr(base, Int32(FieldSplitter.quote), line.count) != nil {
                return splitQuoted(line, byte, into: &fields)
            }
            var start = 0
            for i in 0..<line.count where line[i] == byte {
                fields.append(trimmed(line, start, i))
                start = i + 1
            }
            fields.append(trimmed(line, start, line.count))
        case .doubleColon:
            var start = 0
            var i = 0
            let colon = UInt8(ascii: ":")
            while i + 1 < line.count {
                if line[i] == colon, line[i + 1] == colon {
                    fields.append(trimmed(line, start, i))
                    i += 2
                    start = i
                } else {
                    i += 1
                }
            }
            fields.append(trimmed(line, start, line.count))
        case .whitespace:
            var i = 0
            while i < line.count {
                while i < line.count, line[i] == 0x20 || line[i] == 0x09 { i += 1 }
                let start = i
                while i < line.count, line[i] != 0x20, line[i] != 0x09 { i += 1 }
                if i > start { fields.append(Bytes(rebasing: line[start..<i])) }
            }
        }
        return true
    }

    /// The bytes from `start` to `end` without spaces at either side.
    @inline(__always)
    private func trimmed(_ line: Bytes, _ start: Int, _ end: Int) -> Bytes {
        var (start, end) = (start, end)
        while start < end, line[start] == 0x20 { start += 1 }
        while end > start, line[end - 1] == 0x20 { end -= 1 }
        return Bytes(rebasing: line[start..<end])
    }

    private func splitQuoted(_ line: Bytes, _ byte: UInt8, into fields: inout [Bytes]) -> Bool {
        scratch.clear()
        let quote = FieldSplitter.quote
        var i = 0
        while true {
            var open = i
            while open < line.count, line[open] == 0x20, byte != 0x20 { open += 1 }
            guard open < line.count, line[open] == quote else {
                // Not quoted: up to the next separator, quotes inside are plain characters.
                let start = i
                while i < line.count, line[i] != byte { i += 1 }
                fields.append(trimmed(line, start, i))
                if i == line.count { return true }
                i += 1
                continue
            }
            var doubled = 0
            i = open + 1
            while true {
                if i == line.count { return false }
                if line[i] == quote {
                    guard i + 1 < line.count, line[i + 1] == quote else { break }
                    doubled += 1
                    i += 2
                } else {
                    i += 1
                }
            }
            fields.append(unquoted(Bytes(rebasing: line[(open + 1)..<i]), doubled))
            i += 1
            // What follows a closing quote before the separator is not part of any field.
            while i < line.count, line[i] != byte { i += 1 }
            if i == line.count { return true }
            i += 1
        }
    }

    private func unquoted(_ field: Bytes, _ doubled: Int) -> Bytes {
        guard doubled > 0 else { return field }
        let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: field.count - doubled)
        var written = 0
        var i = 0
        while i < field.count {
            block[written] = field[i]
            written += 1
            i += field[i] == FieldSplitter.quote ? 2 : 1
        }
        scratch.blocks.append(block)
        return Bytes(block)
    }
}
