import Artifacts
import Logging

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Writes log records to standard error, one line each: for a person (`text`) or for a machine (`json`).
package struct LogOutput: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    private let label: String
    private let format: LogConfiguration.Format
    private let write: @Sendable (String) -> Void

    /// - Parameter write: Takes a whole line with its end; the default is standard error in one `write` call.
    package init(
        label: String, _ configuration: LogConfiguration,
        write: @escaping @Sendable (String) -> Void = LogOutput.standardError
    ) {
        self.label = label
        self.logLevel = configuration.level
        self.format = configuration.format
        self.write = write
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        write(line(level: event.level, message: "\(event.message)", metadata: all, at: Self.now()))
    }

    func line(level: Logger.Level, message: String, metadata: Logger.Metadata, at time: String) -> String {
        let pairs = metadata.sorted { $0.key < $1.key }
        switch format {
        case .text:
            let tail = pairs.map { " \($0.key)=\(Self.word($0.value.description))" }.joined()
            return "\(time) \(level.rawValue) \(label): \(Self.onOneLine(message))\(tail)\n"
        case .json:
            var fields = metadata.mapValues { JSONValue.string($0.description) }
            fields["time"] = .string(time)
            fields["level"] = .string(level.rawValue)
            fields["logger"] = .string(label)
            fields["message"] = .string(message)
            return JSONText.print(.object(fields), indented: false) + "\n"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    private static func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var fields = tm()
        gmtime_r(&time.tv_sec, &fields)
        func padded(_ value: Int, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date = "\(fields.tm_year + 1900)-\(padded(Int(fields.tm_mon) + 1, 2))-\(padded(Int(fields.tm_mday), 2))"
        let clock =
            "\(padded(Int(fields.tm_hour), 2)):\(padded(Int(fields.tm_min), 2)):\(padded(Int(fields.tm_sec), 2))"
        return "\(date)T\(clock).\(padded(time.tv_nsec / 1_000_000, 3))Z"
    }

    private static func word(_ text: String) -> String {
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "\"") && $0 != 0x7F }
        return isPlain ? text : JSONText.print(.string(text), indented: false)
    }

    private static func onOneLine(_ text: String) -> String {
        text.utf8.contains(where: { $0 < 0x20 }) ? JSONText.print(.string(text), indented: false) : text
    }

    package static let standardError: @Sendable (String) -> Void = { line in
        var line = line
        line.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
                // There is nowhere to report that the log cannot be written.
                if count <= 0 { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
