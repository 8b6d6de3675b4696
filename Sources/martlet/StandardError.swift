#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Where progress and errors go, so that standard output holds nothing but answers.
enum StandardError {
    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Writes `text` as it is; what cannot be written is nobody's loss.
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var written = 0
            while written < bytes.count, let base = bytes.baseAddress {
                #if canImport(Glibc)
                    let count = Glibc.write(STDERR_FILENO, base + written, bytes.count - written)
                #else
                    let count = Darwin.write(STDERR_FILENO, base + written, bytes.count - written)
                #endif
                if count < 0, errno == EINTR { continue }
                if count <= 0 { return }
                written += count
            }
        }
    }
}
