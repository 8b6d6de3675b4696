/// Why a data set could not be read: a short sentence that names the file, the fault and what was expected.
package struct DatasetError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// There is no such file, or nothing to read in the directory.
        case notFound = "not_found"
        /// The file exists but its bytes cannot be had: permissions, a broken gzip stream, a device error.
        case unreadable
        /// The format can neither be told from the name nor from the first lines.
        case unknownFormat = "unknown_format"
        /// A line does not read as its format says.
        case badLine = "bad_line"
        /// No usable line is left.
        case empty
        /// More rows than 32-bit row numbers can name.
        case tooLarge = "too_large"
    }

    package let code: Code
    package let message: String
    package var description: String { message }

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// What is wrong with one line: what was expected, and what stood there.
struct LineFault: Error {
    let expected: String
    let found: String

    init(expected: String, found: String) {
        self.expected = expected
        self.found = found
    }

    init(expected: String, bytes: UnsafeBufferPointer<UInt8>) {
        self.init(expected: expected, found: LineFault.shortened(bytes))
    }

    /// "ratings.csv, line 12: expected a finite number as value, found 'abc'"
    func message(file: String, line: Int) -> String {
        "\(file), line \(line): expected \(expected), found '\(found)'"
    }

    /// At most 40 characters of `bytes`; what does not print is shown as `?`.
    static func shortened(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        let shown = 40
        var text = ""
        for scalar in String(decoding: bytes.prefix(shown * 4), as: UTF8.self).unicodeScalars.prefix(shown) {
            let printable = scalar.value >= 0x20 && scalar.value != 0x7F && scalar.value != 0xFFFD
            text.unicodeScalars.append(printable ? scalar : "?")
        }
        return bytes.count > text.utf8.count ? text + "... (\(bytes.count) bytes)" : text
    }
}
