#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Writes a text file piece by piece through one buffer.
package final class TextFileWriter {
    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private static let bufferBytesMax = 1 << 20

    /// Creates or empties the file at `path`.
    package convenience init(path: String) throws(DatasetError) {
        try self.init(path: path, descriptor: open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644))
    }

    package static func standardOutput() throws(DatasetError) -> TextFileWriter {
        try TextFileWriter(path: "standard output", descriptor: fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3))
    }

    /// Takes the descriptor; a negative one is the failure that `errno` tells of.
    private init(path: String, descriptor: Int32) throws(DatasetError) {
        self.path = path
        self.descriptor = descriptor
        guard descriptor >= 0 else {
            throw FileSystem.refused(path, "cannot be written")
        }
        buffer.reserveCapacity(TextFileWriter.bufferBytesMax)
    }

    deinit { close(descriptor) }

    package func write(_ text: String) throws(DatasetError) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count >= TextFileWriter.bufferBytesMax { try flush() }
    }

    /// Writes out what is left; without it the end of the file is missing.
    package func finish() throws(DatasetError) { try flush() }

    private func flush() throws(DatasetError) {
        var written = 0
        while written < buffer.count {
            let count = buffer.withUnsafeBytes { bytes in
                #if canImport(Glibc)
                    Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
                #else
                    Darwin.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw FileSystem.refused(path, "cannot be written")
            }
            written += count
        }
        buffer.removeAll(keepingCapacity: true)
    }
}

/// A field as RFC 4180 wants it: quoted when it holds a separator, a quote, a line end, or spaces at its ends.
package func csvField(_ text: String) -> String {
    let special = text.utf8.contains { [0x2C, 0x22, 0x0A, 0x0D, 0x3B, 0x09].contains($0) }
    guard special || text.hasPrefix(" ") || text.hasSuffix(" ") else { return text }
    var quoted = "\""
    for character in text.unicodeScalars {
        if character == "\"" { quoted += "\"" }
        quoted.unicodeScalars.append(character)
    }
    return quoted + "\""
}

extension Interactions {
    /// Writes the interactions as CSV with a header; times as milliseconds since 1970.
    package func writeCSV(to path: String) throws {
        let file = try TextFileWriter(path: path)
        try file.write(times == nil ? "user_id,item_id,rating\n" : "user_id,item_id,rating,timestamp\n")
        for user in 0..<userCount {
            let name = csvField(users.string(UInt32(user)))
            for place in range(of: user) {
                let time = times.map { ",\($0[place])" } ?? ""
                try file.write("\(name),\(csvField(items.string(itemRows[place]))),\(values[place])\(time)\n")
            }
        }
        try file.finish()
    }
}
