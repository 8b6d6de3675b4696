import Foundation
import LoadGenerator
import TestSupport
import Testing

/// The gate on what a call through the client allocates. In a process of its own: the count is the whole process'.
@Suite("Cost of MartletClient", .timeLimit(.minutes(30)), .ownThreads)
struct ClientCostTests {
    private struct Line: Decodable {
        var path: String
        var isBatched: Bool
        var calls: Int
        var failures: Int
        var allocationsPerCall: Double?
    }

    /// Allocations of a call that may not be exceeded. Builds for debugging allocate for what the optimiser keeps on the stack.
    private static func most(isCluster: Bool, isBatched: Bool) -> Double {
        #if DEBUG
            isCluster ? 32 : 6
        #else
            isBatched ? 2 : 6
        #endif
    }

    @Test("a call allocates no more than it is known to, one by one and in batches")
    func allocations() throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let program = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("martlet-bench")
        let process = Process()
        process.executableURL = program
        process.arguments = ["client", "--json", "--rounds", "1", "--duration", "1", "--in-flight", "16"]
        process.environment = ProcessInfo.processInfo.environment.merging(["MALLOC_CONF": "tcache:false"]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let lines = try JSONDecoder().decode([Line].self, from: bytes)
        #expect(lines.count == 4)
        for line in lines {
            #expect(line.failures == 0 && line.calls > 0)
            // What the measurement itself allocates is shared by the calls of a second: too few tell nothing.
            guard line.calls > 1000, let allocations = line.allocationsPerCall else { continue }
            let most = Self.most(isCluster: line.path == "cluster", isBatched: line.isBatched)
            #expect(allocations <= most, "\(line.path), batched \(line.isBatched): \(allocations) for each call")
        }
    }

    @Test("what cannot be measured is said")
    func options() {
        var configuration = ClientCostBench.Configuration()
        configuration.batch = 0
        #expect(throws: LoadError.self) { try configuration.validate() }
    }
}
