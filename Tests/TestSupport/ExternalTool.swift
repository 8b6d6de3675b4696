import Foundation

/// A program that a test needs and that a machine may lack.
///
/// Use it as a trait, so that a run on a machine without the program names what it left out:
/// `@Test(.enabled(if: ExternalTool.promtool.mayRun, ExternalTool.promtool.comment))`.
/// With `MARTLET_CI=1` the test runs in any case, and fails where the program is missing.
package struct ExternalTool: Sendable {
    package let name: String
    /// Where it was found in PATH.
    package let path: String?

    package static let promtool = ExternalTool("promtool")
    package static let redis = ExternalTool("redis-server")
    package static let openssl = ExternalTool("openssl")

    package init(_ name: String) {
        self.name = name
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(
            separator: ":")
        path = folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    package static var isContinuousIntegration: Bool { ProcessInfo.processInfo.environment["MARTLET_CI"] == "1" }

    package var mayRun: Bool { path != nil || Self.isContinuousIntegration }
    package var comment: String { "needs \(name) in PATH (`make deps` installs it)" }

    package struct Result: Sendable {
        package var status: Int32
        /// Standard output and standard error together.
        package var output: String
    }

    package struct Missing: Error, CustomStringConvertible {
        package let name: String
        package var description: String { "\(name) is not in PATH; `make deps` installs it" }
    }

    /// Runs the tool to its end with `input` as its standard input.
    package func run(_ arguments: [String] = [], input: [UInt8] = []) throws -> Result {
        guard let path else { throw Missing(name: name) }
        // A file for each direction: no pipe can fill up while the other side waits.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let inputFile = folder.appendingPathComponent("input")
        let outputFile = folder.appendingPathComponent("output")
        try Data(input).write(to: inputFile)
        try Data().write(to: outputFile)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = try FileHandle(forReadingFrom: inputFile)
        let output = try FileHandle(forWritingTo: outputFile)
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: String(decoding: try Data(contentsOf: outputFile), as: UTF8.self)
        )
    }
}
