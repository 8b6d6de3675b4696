import Foundation
import LoadGenerator

/// What users did, in order: they asked for a slate, or did something after which their kept slates are void.
///
/// As a file: a line for each, a user's ID, or `-` and a user's ID for what voids; `#` begins a comment. Users are
/// numbered in the order in which they come.
package struct CacheTrace: Sendable {
    /// A user's number, or its complement (`~`) for an event.
    package var steps: [Int32]
    package var userCount: Int
    package var name: String

    package init(steps: [Int32], userCount: Int, name: String) {
        self.steps = steps
        self.userCount = userCount
        self.name = name
    }

    /// Independent draws.
    package static func zipf(
        users: Int, exponent: Double, eventShare: Double, count: Int, seed: UInt64
    ) -> CacheTrace {
        var random = SeededGenerator(seed: seed)
        let sampler = ZipfSampler(count: users, exponent: exponent)
        let steps = (0..<count).map { _ -> Int32 in
            let user = Int32(sampler.draw(&random))
            return random.unit() < eventShare ? ~user : user
        }
        return CacheTrace(
            steps: steps, userCount: users, name: "zipf \(exponent), \(users) users, \(eventShare) events, seed \(seed)"
        )
    }

    /// Users who come for some requests and then go: `together` at a time, `length` requests on average, who they are drawn
    /// as above.
    package static func sessions(
        users: Int, exponent: Double, eventShare: Double, count: Int, together: Int, length: Int, seed: UInt64
    ) -> CacheTrace {
        var random = SeededGenerator(seed: seed)
        let sampler = ZipfSampler(count: users, exponent: exponent)
        var present = (0..<together).map { _ in Int32(sampler.draw(&random)) }
        let steps = (0..<count).map { _ -> Int32 in
            let place = Int(random.next() % UInt64(together))
            let user = present[place]
            if random.next() % UInt64(length) == 0 { present[place] = Int32(sampler.draw(&random)) }
            return random.unit() < eventShare ? ~user : user
        }
        return CacheTrace(
            steps: steps, userCount: users,
            name: "sessions of \(length), \(together) at a time, \(users) users, \(eventShare) events, seed \(seed)")
    }

    /// - Throws: what reading the file throws; `CacheTraceFault` for a line that is none.
    package static func read(_ path: String) throws -> CacheTrace {
        guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8)
        else { throw CacheTraceFault(description: "\(path): there is no such file of text, or it cannot be read") }
        var numbers: [Substring: Int32] = [:]
        var steps: [Int32] = []
        for (place, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.hasPrefix("#") { continue }
            let isEvent = line.hasPrefix("-")
            let user = isEvent ? line.dropFirst() : line
            guard !user.isEmpty, user.utf8.count <= 255 else {
                throw CacheTraceFault(description: "\(path):\(place + 1): this is no user's ID")
            }
            let number = numbers[user] ?? Int32(numbers.count)
            numbers[user] = number
            steps.append(isEvent ? ~number : number)
        }
        guard !steps.isEmpty else { throw CacheTraceFault(description: "\(path): the trace is empty") }
        return CacheTrace(steps: steps, userCount: numbers.count, name: path)
    }

    /// In the format that `read` reads.
    package func write(_ path: String) throws {
        let lines = steps.lazy.map { $0 < 0 ? "-\(~$0)" : "\($0)" }.joined(separator: "\n")
        try (lines + "\n").write(toFile: path, atomically: true, encoding: .utf8)
    }
}

/// What is wrong with a trace.
package struct CacheTraceFault: Error, CustomStringConvertible {
    package let description: String
}
