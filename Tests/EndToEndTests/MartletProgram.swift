import Foundation

/// The built `martlet`, run as people run it.
enum MartletProgram {
    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String
    }

    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    /// Beside the running tests.
    static var path: String {
        get throws {
            let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let path = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("martlet").path
            guard FileManager.default.isExecutableFile(atPath: path) else {
                throw Missing(description: "\(path) is not there; build it with the tests")
            }
            return path
        }
    }

    static func run(_ arguments: [String], input: String = "") async throws -> Result {
        try await run(program: path, arguments, input: input)
    }

    /// Runs a program to its end, on a thread of its own.
    static func run(
        program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Swift.Result { try wait(program, arguments, input, environment) })
            }
        }
    }

    private static func wait(
        _ program: String, _ arguments: [String], _ input: String, _ environment: [String: String]
    ) throws -> Result {
        // A file for each direction: no pipe can fill up while the other side waits.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let files = ["input", "output", "errors"].map { folder.appendingPathComponent($0) }
        try Data(input.utf8).write(to: files[0])
        for file in files.dropFirst() { try Data().write(to: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        // A busy machine is no reason for a node to leave anything out of what is tested.
        let patient = ["MARTLET_LIMITS_QUEUE_WAIT": "0s", "MARTLET_BROWNOUT_LATENCY": "0s"]
        process.environment = ProcessInfo.processInfo.environment.merging(patient) { $1 }.merging(environment) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: files[0])
        process.standardOutput = try FileHandle(forWritingTo: files[1])
        process.standardError = try FileHandle(forWritingTo: files[2])
        try process.run()
        process.waitUntilExit()
        let texts = try files.dropFirst().map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        return Result(status: process.terminationStatus, output: texts[0], errors: texts[1])
    }
}
