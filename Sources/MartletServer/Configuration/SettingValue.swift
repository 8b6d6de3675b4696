/// Why a text cannot be the value of a setting: what was expected, with an example.
struct SettingFault: Error, Equatable {
    var expected: String
}

/// The texts of values, one way from text to value and one back. `text(parse(t))` is the canonical form of `t`.
enum SettingValue {
    /// A text as messages may show it: what stands between the colon and the @ of an address is left out.
    static func withoutPasswords(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let scheme = part.firstRange(of: "://"), let at = part.lastIndex(of: "@"), scheme.upperBound <= at,
                let colon = part[scheme.upperBound..<at].firstIndex(of: ":")
            else { return String(part) }
            return part[...colon] + "..." + part[at...]
        }.joined(separator: ",")
    }

    // MARK: Numbers

    static func integer(_ text: String, in range: ClosedRange<Int>) throws(SettingFault) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw SettingFault(expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    static func flag(_ text: String) throws(SettingFault) -> Bool {
        guard let value = Bool(text) else { throw SettingFault(expected: "true or false") }
        return value
    }

    static func share(_ text: String) throws(SettingFault) -> Double {
        guard let value = Double(text), (0...1).contains(value) else {
            throw SettingFault(expected: "a number from 0 to 1")
        }
        return value
    }

    // MARK: Sizes

    private static let sizeUnits: [(suffix: String, bytes: Int)] = [
        ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1),
    ]

    static func size(_ text: String, in range: ClosedRange<Int>) throws(SettingFault) -> Int {
        let fault = SettingFault(
            expected:
                "a size from \(self.text(size: range.lowerBound)) to \(self.text(size: range.upperBound)), such as 64MiB"
        )
        guard let (_, unit) = sizeUnits.first(where: { text.hasSuffix($0.suffix) }).map({ ($0.suffix, $0) }),
            let count = Int(trimmed(text.dropLast(unit.suffix.count)))
        else { throw fault }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
        guard !overflow, range.contains(bytes) else { throw fault }
        return bytes
    }

    static func text(size: Int) -> String {
        for unit in sizeUnits where unit.bytes > 1 && size >= unit.bytes && size % unit.bytes == 0 {
            return "\(size / unit.bytes)\(unit.suffix)"
        }
        return "\(size)B"
    }

    // MARK: Durations

    private static let durationUnits: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("us", 1_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ]

    /// The longest duration that a setting of the node's work may have; what is stored may be kept for longer.
    static let durationMax: Duration = .seconds(7 * 24 * 3600)
    static let ageMax: Duration = .seconds(100 * 365 * 24 * 3600)

    static func duration(
        _ text: String, from lower: Duration = .zero, to upper: Duration = durationMax
    ) throws(SettingFault) -> Duration {
        if text == "0", lower == .zero { return .zero }
        let fault = SettingFault(
            expected:
                "a duration from \(self.text(duration: lower)) to \(self.text(duration: upper)) with its unit,"
                + " such as 250us, 500ms, 30s, 5m or 1h")
        guard let unit = durationUnits.first(where: { text.hasSuffix($0.suffix) }),
            let count = Int64(trimmed(text.dropLast(unit.suffix.count))), count >= 0
        else { throw fault }
        let (nanoseconds, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow, case let value = Duration.nanoseconds(nanoseconds), value >= lower, value <= upper else {
            throw fault
        }
        return value
    }

    static func text(duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        if nanoseconds == 0 { return "0s" }
        let sorted = durationUnits.sorted { $0.nanoseconds > $1.nanoseconds }
        for unit in sorted where nanoseconds % unit.nanoseconds == 0 {
            return "\(nanoseconds / unit.nanoseconds)\(unit.suffix)"
        }
        return "\(nanoseconds / 1_000)us"
    }

    // MARK: Names and places

    static func endpoint(_ text: String) throws(SettingFault) -> SocketEndpoint {
        let fault = SettingFault(
            expected: "HOST:PORT, such as 127.0.0.1:7400, 0.0.0.0:7400 for all interfaces or [::1]:7400")
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw fault }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw fault
        }
        guard !host.isEmpty, !host.contains(where: { $0 == " " || $0 == "[" || $0 == "]" || $0 == "/" }) else {
            throw fault
        }
        return SocketEndpoint(host: String(host), port: port)
    }

    static func choice<Value: RawRepresentable & CaseIterable>(
        _ text: String, of: Value.Type
    ) throws(SettingFault) -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: text) else {
            throw SettingFault(expected: "one of " + Value.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return value
    }

    static func name(_ text: String) throws(SettingFault) -> String {
        guard (1...255).contains(text.utf8.count) else { throw SettingFault(expected: "a name of 1 to 255 bytes") }
        return text
    }

    static func path(_ text: String) throws(SettingFault) -> String {
        guard !text.isEmpty, !text.utf8.contains(0) else { throw SettingFault(expected: "a path") }
        return text
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.last == " " { text.removeLast() }
        return text
    }
}
