import Foundation
import MartletClient
import Wire

/// Why a load cannot be run. The message is for the person at the terminal.
package struct LoadError: Error, Equatable, CustomStringConvertible {
    package let message: String
    package init(_ message: String) { self.message = message }
    package var description: String { message }
}

/// Where the users of a load come from.
package enum UserSource: Sendable, Equatable {
    /// `pattern` with the last run of `#` replaced by 1...count, padded with zeros to the run's length.
    case pattern(String, count: Int)
    /// One ID a line; the first is the most frequent.
    case list([String])
}

/// In which order users (and items) are asked for.
package enum RequestOrder: String, CaseIterable, Sendable {
    /// By Zipf's law; exponent 0 is uniform.
    case zipf
    /// One after the other, each as often as the others.
    case sequential
}

/// When calls are sent.
package enum LoadMode: Sendable, Equatable {
    /// At a constant rate, whatever the answers do.
    case open(rate: Double)
    /// The next call goes out when an answer comes in: so many in flight on each connection.
    case closed(inFlight: Int)
}

/// What to send, to whom and for how long. Everything has a bound.
package struct LoadConfiguration: Sendable {
    package static let durationMax: Double = 24 * 3600
    package static let rateMax: Double = 50_000_000
    package static let connectionsMax = 60_000
    package static let inFlightMax = 4096

    package var host = "127.0.0.1"
    package var port = 7400
    /// Several nodes, through the client library; nil: `host` and `port`.
    package var nodes: NodeSource?
    package var mode = LoadMode.closed(inFlight: 1)
    package var connections = 64
    package var threads = 1
    package var warmup: Double = 1
    package var duration: Double = 10
    /// Stop after so many calls, if the duration has not ended first.
    package var requestsMax: Int?
    package var users = UserSource.pattern("u#######", count: 10_000)
    package var items = UserSource.pattern("i######", count: 10_000)
    package var order = RequestOrder.zipf
    package var exponent: Double = 1
    package var k = 20
    package var scenario = ""
    package var tenant = ""
    package var usersPerManyCall = 32
    package var mix = MethodMix.recommendOnly
    package var bypassCache = false
    package var priority = CallPriority.normal
    /// Seconds; travels with each call, and later answers count as timed out. 0: none.
    package var timeout: Double = 1
    /// Calls in flight on one connection at most, in an open loop.
    package var openWindow = 256
    /// Whether the sending thread may burn its core to be on time.
    package var spin = true
    package var seed: UInt64 = 1
    /// Whether a run of the raw driver ends when every connection broke and none could be opened again for a second.
    package var endsWhenNodeIsGone = false

    package init() {}

    package func validate() throws(LoadError) {
        func check(_ condition: Bool, _ message: @autoclosure () -> String) throws(LoadError) {
            if !condition { throw LoadError(message()) }
        }
        try check((1...65535).contains(port), "port \(port) is not in 1...65535")
        switch mode {
        case .open(let rate):
            try check(rate > 0 && rate <= Self.rateMax, "--rate is \(rate); allowed: above 0 to \(Int(Self.rateMax))")
        case .closed(let inFlight):
            try check(
                (1...Self.inFlightMax).contains(inFlight), "--closed is \(inFlight); allowed: 1 to \(Self.inFlightMax)")
        }
        try check(
            (1...Self.connectionsMax).contains(connections),
            "--connections is \(connections); allowed: 1 to \(Self.connectionsMax)")
        try check((1...64).contains(threads), "--threads is \(threads); allowed: 1 to 64")
        try check(threads <= connections, "\(threads) threads need at least as many connections, not \(connections)")
        try check(
            duration > 0 && duration <= Self.durationMax, "--duration is \(duration); allowed: above 0 to 86400 seconds"
        )
        try check(warmup >= 0 && warmup <= 3600, "--warmup is \(warmup); allowed: 0 to 3600 seconds")
        try check((0...3600).contains(timeout), "--timeout is \(timeout) s; allowed: 0 to 3600 seconds")
        try check((0...65535).contains(k), "-k is \(k); allowed: 0 to 65535")
        try check(exponent >= 0 && exponent <= 10, "--zipf is \(exponent); allowed: 0 to 10")
        try check((1...1024).contains(usersPerManyCall), "--many-users is \(usersPerManyCall); allowed: 1 to 1024")
        try check(
            (1...Self.inFlightMax).contains(openWindow), "--window is \(openWindow); allowed: 1 to \(Self.inFlightMax)")
        if let requestsMax { try check(requestsMax > 0, "--requests is \(requestsMax); allowed: 1 or more") }
        try users.validate("user")
        try items.validate("item")
    }
}

extension UserSource {
    package static let countMax = 50_000_000

    package var count: Int {
        switch self {
        case .pattern(_, let count): count
        case .list(let names): names.count
        }
    }

    /// The ID of a rank in `0..<count`.
    package func name(_ rank: Int) -> String {
        switch self {
        case .list(let names): return names[rank]
        case .pattern(let pattern, _):
            guard let end = pattern.lastIndex(of: "#") else { return pattern + String(rank + 1) }
            var start = end
            while start > pattern.startIndex, pattern[pattern.index(before: start)] == "#" {
                start = pattern.index(before: start)
            }
            let digits = String(rank + 1)
            let width = pattern.distance(from: start, to: end) + 1
            let padding = String(repeating: "0", count: Swift.max(0, width - digits.count))
            return pattern[..<start] + padding + digits + pattern[pattern.index(after: end)...]
        }
    }

    func validate(_ what: String) throws(LoadError) {
        guard (1...UserSource.countMax).contains(count) else {
            throw LoadError("--\(what)s is \(count); allowed: 1 to \(UserSource.countMax)")
        }
        guard (1...255).contains(name(count - 1).utf8.count) else {
            throw LoadError("\(what) IDs must have 1 to 255 bytes; '\(name(count - 1))' does not")
        }
    }

    /// Why a file of IDs could not be read.
    private static func unreadable(_ path: String) -> String {
        var isFolder: ObjCBool = false
        let files = FileManager.default
        if path.isEmpty { return "the name of the file is empty" }
        guard files.fileExists(atPath: path, isDirectory: &isFolder) else { return "there is no such file" }
        if isFolder.boolValue { return "is a folder; name a file with one ID a line" }
        guard files.isReadableFile(atPath: path) else { return "may not be read by this user; check its permissions" }
        return "is not UTF-8 text; it should hold one ID a line"
    }

    /// Reads one ID a line. Blank lines are skipped; with tabs or commas, the first column is the ID.
    package static func reading(file path: String) throws(LoadError) -> UserSource {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw LoadError("\(path): \(unreadable(path))")
        }
        let names = text.split(whereSeparator: \.isNewline).compactMap { line -> String? in
            let name = line.split(omittingEmptySubsequences: false) { $0 == "\t" || $0 == "," }[0]
                .trimmingCharacters(in: .whitespaces)
            return name.isEmpty ? nil : name
        }
        guard !names.isEmpty else { throw LoadError("\(path) holds no IDs") }
        if let long = names.first(where: { $0.utf8.count > 255 }) {
            throw LoadError("\(path): '\(long.prefix(40))...' is longer than 255 bytes")
        }
        return .list(names)
    }
}

extension LoadConfiguration {
    /// The priority of that name.
    package static func priority(_ name: String) throws(LoadError) -> CallPriority {
        guard let priority = CallPriority.allCases.first(where: { "\($0)" == name }) else {
            throw LoadError("--priority is critical, normal, sheddable or background, not '\(name)'")
        }
        return priority
    }
}
