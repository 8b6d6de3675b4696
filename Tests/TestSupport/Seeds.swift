import Foundation

/// Seeds of tests that draw: all of `1...count`, or just the one in `MARTLET_SEED`, to replay a failure.
package enum Seeds {
    package static func chosen(_ count: UInt64) -> [UInt64] {
        if let text = ProcessInfo.processInfo.environment["MARTLET_SEED"], let seed = UInt64(text) { return [seed] }
        return Array(1...count)
    }
}
