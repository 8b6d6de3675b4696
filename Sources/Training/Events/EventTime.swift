/// Points in time as people and files write them: see `FieldParsing.time` for the forms.
package enum EventTime {
    /// 1973-03-03 to 2100-01-01, in milliseconds since 1970. A number outside of it is a date without its dashes
    /// (20261121), a counter or in another unit, rather than a time at which somebody clicked.
    static let plausible: ClosedRange<UInt64> = 100_000_000_000...4_102_444_800_000

    /// As a message says what is expected.
    static let expectation =
        "seconds or milliseconds since 1970, or a date such as 2026-11-21T08:00:00Z, from 1973-03-03 to 2100"

    /// Milliseconds since 1970; nil when `text` is no time, or not a plausible one.
    package static func parse(_ text: String) -> UInt64? {
        var text = text
        return text.withUTF8 { FieldParsing.time($0) }.flatMap { UInt64(exactly: $0) }
            .flatMap { plausible.contains($0) ? $0 : nil }
    }

    /// A time as given, or so long before `now` as a duration (90s, 30m, 12h, 7d, 2w) says. Milliseconds since 1970.
    package static func point(_ text: String, now: UInt64) -> UInt64? {
        let units: [(Character, Double)] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)]
        if let unit = units.first(where: { text.last == $0.0 }), let number = Double(text.dropLast()), number >= 0,
            number.isFinite
        {
            let before = number * unit.1 * 1000
            return before >= Double(now) ? 0 : now - UInt64(before)
        }
        return parse(text)
    }

    /// Milliseconds of a duration such as 30m or 7d; nil when it is none.
    package static func duration(_ text: String) -> UInt64? {
        let far: UInt64 = 1 << 52
        guard text.last?.isLetter == true, let then = point(text, now: far), then > 0, then < far else { return nil }
        return far - then
    }

    /// `2026-11-21T08:00:00Z`, milliseconds where there are any.
    package static func text(_ milliseconds: UInt64) -> String {
        let seconds = Int64(clamping: milliseconds / 1000)
        let (days, rest) = (seconds / 86_400, seconds % 86_400)
        // Years are counted from March 0000, so that the leap day is last.
        let shifted = days + 719_468
        let (era, dayOfEra) = (shifted / 146_097, shifted % 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let number = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (number <= 2 ? 1 : 0)
        func pad(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let fraction = milliseconds % 1000 == 0 ? "" : "." + pad(Int64(milliseconds % 1000), 3)
        return "\(pad(year, 4))-\(pad(number, 2))-\(pad(day, 2))T\(pad(rest / 3600, 2)):\(pad(rest / 60 % 60, 2)):"
            + "\(pad(rest % 60, 2))\(fraction)Z"
    }
}
