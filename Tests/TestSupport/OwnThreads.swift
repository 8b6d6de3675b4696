import Foundation
import Testing

/// Runs each test of a suite on threads of its own instead of Swift's pool, which has one for each core.
///
/// A test that waits in a system call, or computes for seconds, would keep such a thread from everything else in this
/// process: from nodes that answer it, and from other tests' clients. Two of them stop a machine of two cores.
/// `@Suite("...", .ownThreads)` is for suites that block, that compute for long, or that talk to a node in this process.
///
/// What a test starts as a part of itself (`async let`, task groups) runs there, too; `Task { }` does not, and may not block.
package struct OwnThreads: SuiteTrait, TestTrait, TestScoping {
    package var isRecursive: Bool { true }

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(ThreadExecutor.shared) { try await function() }
    }
}

extension Trait where Self == OwnThreads {
    package static var ownThreads: Self { Self() }
}

/// Gives each job that finds no resting thread a new one, up to a maximum; then jobs wait in line.
package final class ThreadExecutor: TaskExecutor, @unchecked Sendable {
    package static let shared = ThreadExecutor()

    /// More than tests run at the same time, each with a few threads that block.
    private static let threadsMax = 128

    /// Guards what follows.
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []
    private var resting = 0
    private var threads = 0

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.lock()
        jobs.append(job)
        let isNewWanted = jobs.count > resting && threads < Self.threadsMax
        if isNewWanted { threads += 1 }
        condition.signal()
        condition.unlock()
        if isNewWanted { Thread.detachNewThread { self.work() } }
    }

    /// Never ends, as its thread does not: one that rests costs its stack's first pages.
    private func work() {
        while true { next().runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func next() -> UnownedJob {
        condition.lock()
        defer { condition.unlock() }
        while jobs.isEmpty {
            resting += 1
            condition.wait()
            resting -= 1
        }
        return jobs.removeFirst()
    }
}
