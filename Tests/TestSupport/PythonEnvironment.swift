import Foundation

/// A Python with packages from PyPI, for tests that compare with what others read and write.
///
/// Made once in the temporary folder of the machine and used again by later runs. Where there is no python3 or the
/// package index cannot be reached, tests are skipped by name; with `MARTLET_CI=1` they run and fail.
/// `@Test(.enabled(if: PythonEnvironment.safetensors.mayRun, PythonEnvironment.safetensors.comment))`
package final class PythonEnvironment: Sendable {
    package static let safetensors = PythonEnvironment(["numpy", "safetensors"])
    /// About 60 MB with what it needs.
    package static let lightgbm = PythonEnvironment(["numpy", "lightgbm"])

    package let packages: [String]
    /// The interpreter; nil when it could not be made.
    package let interpreter: String?

    private init(_ packages: [String]) {
        self.packages = packages
        interpreter = Self.make(packages)
    }

    package var mayRun: Bool { interpreter != nil || ExternalTool.isContinuousIntegration }
    package var commentText: String { "needs python3 with \(packages.joined(separator: ", ")) from PyPI" }

    /// Runs a program and gives its exit status and everything it printed.
    ///
    /// - Parameter folder: The working directory; nil for this process's.
    package func run(
        _ program: String, _ arguments: [String] = [], in folder: String? = nil
    ) throws -> ExternalTool.Result {
        guard let interpreter else { throw ExternalTool.Missing(name: "python3 with \(packages)") }
        return try Self.run(interpreter, ["-c", program] + arguments, in: folder)
    }

    private static func make(_ packages: [String]) -> String? {
        guard let python = ExternalTool("python3").path else { return nil }
        let name = "martlet-python-" + packages.joined(separator: "-")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name).path
        let interpreter = "\(folder)/bin/python"
        let imports = "import " + packages.joined(separator: ", ")
        if (try? run(interpreter, ["-c", imports]))?.status == 0 { return interpreter }
        try? FileManager.default.removeItem(atPath: folder)
        guard (try? run(python, ["-m", "venv", folder]))?.status == 0,
            (try? run(interpreter, ["-m", "pip", "install", "--quiet", "--timeout", "60", "--retries", "5"] + packages))?
                .status == 0,
            (try? run(interpreter, ["-c", imports]))?.status == 0
        else { return nil }
        return interpreter
    }

    private static func run(
        _ program: String, _ arguments: [String], in folder: String? = nil
    ) throws -> ExternalTool.Result {
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        let handle = try FileHandle(forWritingTo: output)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        return ExternalTool.Result(
            status: process.terminationStatus, output: String(decoding: try Data(contentsOf: output), as: UTF8.self))
    }
}
