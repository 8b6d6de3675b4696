import Foundation

/// The files of the project that tests read: documentation and examples that must agree with the code.
package enum Repository {
    /// The package's folder.
    package static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    package static func text(of path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    /// The lines of `path` that start with `prefix`.
    package static func lines(of path: String, startingWith prefix: String) throws -> [String] {
        try text(of: path).split(separator: "\n").map(String.init).filter { $0.hasPrefix(prefix) }
    }
}
