import Glibc

/// Times as a manifest writes them: RFC 3339, UTC, whole seconds.
enum Timestamp {
    static func now() -> String { text(secondsSince1970: time(nil)) }

    static func text(secondsSince1970 seconds: Int) -> String {
        var clock = time_t(seconds)
        var parts = tm()
        gmtime_r(&clock, &parts)
        func pad(_ value: Int32, _ width: Int = 2) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(pad(parts.tm_year + 1900, 4))-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday))"
        return "\(date)T\(pad(parts.tm_hour)):\(pad(parts.tm_min)):\(pad(parts.tm_sec))Z"
    }

    /// Whether `text` has the form of RFC 3339, such as `2026-11-21T08:00:00Z` or `2026-11-21T08:00:00.5+01:00`.
    static func isValid(_ text: String) -> Bool {
        let form =
            /[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})/
        return text.utf8.count <= 40 && text.wholeMatch(of: form) != nil
    }
}
