import Glibc

/// Streams that events are read from.
package struct EventStreamSettings: Sendable, Equatable {
    package enum Start: String, CaseIterable, Sendable { case all, new }

    /// Empty: none.
    package var names: [String] = []
    package var group = "martlet"
    /// nil: the node's name, its machine's and its port.
    package var consumer: String?
    /// Entries at once.
    package var batch = 500
    package var start = Start.all
    package var claimAfter: Duration = .seconds(60)
    /// nil: entries that are no events are only counted.
    package var deadLetter: String?

    package init() {}

    /// Another one for each node, and the same after a restart.
    func consumerName(nodeName: String, port: Int) -> String {
        if let consumer { return consumer }
        var machine = [CChar](repeating: 0, count: 256)
        let isNamed = gethostname(&machine, machine.count - 1) == 0
        let host =
            isNamed ? String(decoding: machine.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
        let name = "\(nodeName)@\(host):\(port)".unicodeScalars.map { $0.value > 0x20 && $0.value < 0x7F ? $0 : "_" }
        return String(String.UnicodeScalarView(name))
    }

    /// Streams that one node reads at most: each has connections of its own.
    static let namesMax = 16

    static func names(_ text: String) throws(SettingFault) -> [String] {
        var names: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = try name(String(part))
            guard !names.contains(name) else {
                throw SettingFault(expected: "streams with different names; \(name) stands there twice")
            }
            names.append(name)
        }
        guard names.count <= namesMax else { throw SettingFault(expected: "at most \(namesMax) streams") }
        return names
    }

    /// Of a stream, a group or a consumer.
    static func name(_ text: String) throws(SettingFault) -> String {
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw SettingFault(expected: "1 to 255 printable characters without spaces")
        }
        return text
    }
}
