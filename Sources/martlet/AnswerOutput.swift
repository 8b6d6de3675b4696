import Foundation
import MartletClient

/// Words and JSON for answers.
enum AnswerOutput {
    /// One JSON object, keys in alphabetical order.
    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func score(_ score: Float) -> String { String(format: "%.4f", Double(score)) }

    static func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

    /// `nil` unless `text` is pairs of hexadecimal digits.
    static func bytes(hex text: String) -> [UInt8]? {
        guard text.count % 2 == 0, text.allSatisfy(\.isHexDigit) else { return nil }
        var bytes: [UInt8] = []
        var rest = text[...]
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// 1234567 -> "1 234 567".
    static func count(_ value: UInt64) -> String {
        var digits = String(value)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + groups).joined(separator: " ")
    }

    /// 1234567 -> "1.2 MiB".
    static func size(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if value < 1024 { return unit == "bytes" ? "\(bytes) bytes" : String(format: "%.1f %@", value, unit) }
            value /= 1024
        }
        return String(format: "%.1f TiB", value)
    }

    /// Milliseconds -> "3 h 25 min".
    static func time(milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        switch seconds {
        case 0: return "\(milliseconds) ms"
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        case ..<86_400: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        default: return "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
        }
    }

    /// What re-ranking did to the item at a place: "from 7, boost +0.5, like 0.31".
    static func words(_ placement: Placement, place: Int) -> String {
        var words: [String] = []
        if placement.isPinned { words.append("pinned") }
        if placement.isExplored { words.append("by chance") }
        if placement.placeBefore > 0, placement.placeBefore != place { words.append("from \(placement.placeBefore)") }
        if placement.boost != 0 { words.append(String(format: "boost %+.4g", Double(placement.boost))) }
        if placement.similarity != 0 { words.append(String(format: "likeness %.2f", Double(placement.similarity))) }
        return words.joined(separator: ", ")
    }

    /// A sentence about an answer that a filter made short; nil for any other.
    static func hint(_ slate: SlateArguments, shown: Int) -> String? {
        let filters = [
            (slate.conditions, "--where"), (slate.tag, "--tag"), (slate.everyTag, "--every-tag"),
            (slate.notTag, "--not-tag"),
        ].filter { !$0.0.isEmpty }.map(\.1)
        guard shown < slate.k, !filters.isEmpty else { return nil }
        let names = filters.joined(separator: ", ")
        return shown == 0
            ? "No item that could be shown passes \(names): check the names and values, or ask for less."
            : "Only \(shown.counted("item")) of the \(slate.k) wanted: no more that could be shown pass \(names)."
    }

    /// A sentence about who was served how; empty when there is nothing to say.
    static func note(user: String, _ reply: RecommendReply) -> String {
        var sentences: [String] = []
        switch reply.fallback {
        case .none: break
        case .noHistory: sentences.append("\(user) is known but has no history to go by: popular and recent items.")
        case .unknownUser: sentences.append("\(user) is not known to this model: popular and recent items.")
        }
        if reply.qualityLevel > 0 {
            sentences.append("Made with less (level \(reply.qualityLevel) of 4), as the node has too much to do.")
        }
        if !reply.degraded.isEmpty {
            sentences.append("Less than it could be: \(reply.degraded.names.joined(separator: ", ")).")
        }
        return sentences.joined(separator: " ")
    }
}
