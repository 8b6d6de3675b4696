#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Reads numbers and points in time out of the bytes of a field.
enum FieldParsing {
    typealias Bytes = UnsafeBufferPointer<UInt8>

    private static let powersOfTen: [Double] = (0...22).map { exponent in
        (0..<exponent).reduce(1.0) { value, _ in value * 10 }
    }

    /// A decimal number: sign, digits, point, exponent; nil when it is anything else or not finite.
    ///
    /// Up to 15 digits without exponent are exact without a library call; the rest goes through `strtod`.
    static func number(_ field: Bytes) -> Double? {
        var position = 0
        let count = field.count
        guard count > 0 else { return nil }
        var negative = false
        if field[0] == UInt8(ascii: "-") || field[0] == UInt8(ascii: "+") {
            negative = field[0] == UInt8(ascii: "-")
            position = 1
        }
        var mantissa: UInt64 = 0
        var digits = 0
        var fraction = 0
        var seenPoint = false
        while position < count {
            let byte = field[position]
            if byte &- 0x30 <= 9 {
                if digits == 15 { return slowNumber(field) }
                mantissa = mantissa &* 10 &+ UInt64(byte &- 0x30)
                digits += 1
                if seenPoint { fraction += 1 }
            } else if byte == UInt8(ascii: "."), !seenPoint {
                seenPoint = true
            } else {
                return slowNumber(field)
            }
            position += 1
        }
        guard digits > 0 else { return nil }
        var value = Double(mantissa)
        if fraction > 0 { value /= powersOfTen[fraction] }
        return negative ? -value : value
    }

    private static func slowNumber(_ field: Bytes) -> Double? {
        guard field.count <= 400 else { return nil }
        for byte in field {
            switch byte {
            case 0x30...0x39, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "e"),
                UInt8(ascii: "E"):
                continue
            default: return nil
            }
        }
        guard let value = Double(String(decoding: field, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    /// A point in time in milliseconds since 1970-01-01 UTC.
    ///
    /// Either a number (seconds; milliseconds from 1e11, microseconds from 1e14, nanoseconds from 1e17 on) or an ISO 8601
    /// date, or date and time with `T` or a space between; without an offset it is UTC.
    static func time(_ field: Bytes) -> Int64? {
        if field.count <= 18, field.count > 0 {
            var value: Int64 = 0
            var allDigits = true
            for byte in field {
                guard byte &- 0x30 <= 9 else {
                    allDigits = false
                    break
                }
                value = value &* 10 &+ Int64(byte &- 0x30)
            }
            if allDigits {
                switch value {
                case ..<100_000_000_000: return value * 1000
                case ..<100_000_000_000_000: return value
                case ..<100_000_000_000_000_000: return value / 1000
                default: return value / 1_000_000
                }
            }
        }
        if let parsed = isoTime(field) { return parsed }
        guard let value = number(field) else { return nil }
        let milliseconds: Double =
            switch abs(value) {
            case ..<1e11: value * 1000
            case ..<1e14: value
            case ..<1e17: value / 1000
            default: value / 1_000_000
            }
        return Int64(exactly: milliseconds.rounded(.down))
    }

    private static func isoTime(_ field: Bytes) -> Int64? {
        guard field.count >= 10, field.count <= 40, field[4] == UInt8(ascii: "-"), field[7] == UInt8(ascii: "-") else {
            return nil
        }
        guard let year = digits(field, 0, 4), let month = digits(field, 5, 2), let day = digits(field, 8, 2),
            (1...12).contains(month), day >= 1, day <= daysIn(month, year)
        else { return nil }
        let midnight = daysSince1970(year, month, day) * 86_400_000
        if field.count == 10 { return midnight }
        guard field[10] == UInt8(ascii: "T") || field[10] == UInt8(ascii: " ") || field[10] == UInt8(ascii: "t") else {
            return nil
        }
        return clock(Bytes(rebasing: field[11...])).map { midnight + $0 }
    }

    /// `hh:mm[:ss[.fff]][Z|+hh[:]mm|-hh[:]mm]` in milliseconds, the offset taken away.
    private static func clock(_ field: Bytes) -> Int64? {
        guard field.count >= 5, let hour = digits(field, 0, 2), field[2] == UInt8(ascii: ":"),
            let minute = digits(field, 3, 2), hour < 24, minute < 60
        else { return nil }
        var total = (hour * 60 + minute) * 60_000
        var position = 5
        if position < field.count, field[position] == UInt8(ascii: ":") {
            guard let second = digits(field, position + 1, 2), second <= 60 else { return nil }
            total += second * 1000
            position += 3
            if position < field.count, field[position] == UInt8(ascii: ".") || field[position] == UInt8(ascii: ",") {
                position += 1
                var scale: Int64 = 100
                let start = position
                while position < field.count, field[position] &- 0x30 <= 9 {
                    total += Int64(field[position] &- 0x30) * scale
                    scale /= 10
                    position += 1
                }
                guard position > start else { return nil }
            }
        }
        if position < field.count, field[position] == UInt8(ascii: " ") { position += 1 }
        guard position < field.count else { return total }
        let sign = field[position]
        if sign == UInt8(ascii: "Z") || sign == UInt8(ascii: "z") { return position + 1 == field.count ? total : nil }
        if position + 3 == field.count, field[position] == UInt8(ascii: "U") { return total }  // "UTC"
        guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"), let hours = digits(field, position + 1, 2) else {
            return nil
        }
        position += 3
        if position < field.count, field[position] == UInt8(ascii: ":") { position += 1 }
        var minutes: Int64 = 0
        if position < field.count {
            guard let read = digits(field, position, 2), position + 2 == field.count else { return nil }
            minutes = read
        }
        let offset = (hours * 60 + minutes) * 60_000
        return sign == UInt8(ascii: "+") ? total - offset : total + offset
    }

    private static func digits(_ field: Bytes, _ start: Int, _ count: Int) -> Int64? {
        guard start + count <= field.count else { return nil }
        var value: Int64 = 0
        for i in start..<start + count {
            guard field[i] &- 0x30 <= 9 else { return nil }
            value = value * 10 + Int64(field[i] &- 0x30)
        }
        return value
    }

    private static func daysIn(_ month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days from 1970-01-01 in the proleptic Gregorian calendar: years are counted from March, so that the leap day is last.
    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
