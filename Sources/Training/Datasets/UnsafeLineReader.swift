#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Cuts a file into lines without copying them: a window slides over the bytes, and a line is a slice of it.
///
/// ```
/// window  [ spent | current line \n | not yet looked at | free ]
///          0      lineStart       next               filled   capacity
/// ```
/// A line ends with LF or CR LF, which are not part of it; the last line may go without. A UTF-8 byte order mark at the
/// start is dropped.
final class LineReader {
    /// Longer lines are refused: an adjacency line of a million items fits, a file without line ends does not.
    static let lineBytesMax = 64 << 20

    /// The number of the current line, from 1.
    private(set) var lineNumber = 0
    /// Physical lines swallowed by the current record beyond its first.
    private var extraLines = 0

    private let source: ByteSource
    private var window: UnsafeMutableRawBufferPointer
    private var lineStart = 0
    private var next = 0
    private var filled = 0
    private var atEnd = false
    /// Called after each read of the file with the bytes of it consumed so far.
    var onRead: ((_ consumedBytes: Int) throws -> Void)?

    init(_ source: ByteSource) {
        self.source = source
        window = .allocate(byteCount: 1 << 20, alignment: 64)
    }

    deinit { window.deallocate() }

    /// The next line, valid until the next call; nil at the end of the file.
    @inline(__always)
    func nextLine() throws -> UnsafeBufferPointer<UInt8>? {
        lineNumber += 1 + extraLines
        extraLines = 0
        lineStart = next
        guard let end = try endOfLine(from: next) else { return nil }
        return trimmed(lineStart, end)
    }

    /// The current line made longer by the one after it (a quoted field holds a line end); nil at the end of the file.
    func extendLine() throws -> UnsafeBufferPointer<UInt8>? {
        guard let end = try endOfLine(from: next) else { return nil }
        extraLines += 1
        return trimmed(lineStart, end)
    }

    /// Undoes `extendLine`: reading goes on after the first physical line of the current record.
    func retreatToFirstLine() {
        guard extraLines > 0 else { return }
        extraLines = 0
        let base = UnsafeRawPointer(window.baseAddress!)
        guard let found = memchr(base + lineStart, 0x0A, filled - lineStart) else { return }
        next = base.distance(to: UnsafeRawPointer(found)) + 1
    }

    /// Whether the next line can be had without reading from the file.
    var holdsLine: Bool {
        guard let base = window.baseAddress, next < filled else { return atEnd }
        return atEnd || memchr(base + next, 0x0A, filled - next) != nil
    }

    /// The first bytes of the file, at most the size of the window, without moving.
    func peek() throws -> UnsafeBufferPointer<UInt8> {
        while filled < window.count, !atEnd { try fill() }
        return trimmed(next, filled)
    }

    /// The offset of the line end at or after `start`, moving `next` behind it; nil when no byte is left.
    @inline(__always)
    private func endOfLine(from start: Int) throws -> Int? {
        var searched = start
        while true {
            let base = UnsafeRawPointer(window.baseAddress!)
            if searched < filled, let found = memchr(base + searched, 0x0A, filled - searched) {
                let end = base.distance(to: UnsafeRawPointer(found))
                next = end + 1
                return end
            }
            searched = filled
            if atEnd {
                guard searched > next else { return nil }
                next = filled
                return filled
            }
            let spent = lineStart
            try fill()
            searched -= spent - lineStart
        }
    }

    @inline(__always)
    private func trimmed(_ start: Int, _ end: Int) -> UnsafeBufferPointer<UInt8> {
        var end = end
        if end > start, window[end - 1] == 0x0D { end -= 1 }
        let base = window.baseAddress!.assumingMemoryBound(to: UInt8.self)
        return UnsafeBufferPointer(start: base + start, count: end - start)
    }

    /// Moves the current line to the front of the window and reads behind what is there; grows when it is full.
    private func fill() throws {
        if lineStart > 0 {
            window.baseAddress!.copyMemory(from: window.baseAddress! + lineStart, byteCount: filled - lineStart)
            next -= lineStart
            filled -= lineStart
            lineStart = 0
        }
        if filled == window.count {
            guard window.count < LineReader.lineBytesMax else {
                throw DatasetError(
                    .badLine,
                    "\(source.path), line \(lineNumber): longer than \(LineReader.lineBytesMax >> 20) MiB; "
                        + "this is not a text file of interactions")
            }
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: window.count * 2, alignment: 64)
            larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: window[..<filled]))
            window.deallocate()
            window = larger
        }
        let isFirst = filled == 0 && lineNumber <= 1 && source.consumedBytes == 0
        let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: window[filled...]))
        filled += count
        if count == 0 { atEnd = true }
        if isFirst { try dropMark() }
        try onRead?(source.consumedBytes)
    }

    private func dropMark() throws {
        while filled < 3, !atEnd {
            let count = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: window[filled...]))
            filled += count
            if count == 0 { atEnd = true }
        }
        if filled >= 2, (window[0], window[1]) == (0xFF, 0xFE) || (window[0], window[1]) == (0xFE, 0xFF) {
            throw DatasetError(.unreadable, "\(source.path): is UTF-16; convert it to UTF-8 first (iconv -t utf-8)")
        }
        if filled >= 3, window[0] == 0xEF, window[1] == 0xBB, window[2] == 0xBF {
            filled -= 3
            window.baseAddress!.copyMemory(from: window.baseAddress! + 3, byteCount: filled)
        }
    }
}
