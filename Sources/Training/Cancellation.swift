import Synchronization

/// Says to work under way that it is no longer wanted. Set once, from any thread or signal source.
package final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)

    package init() {}

    package var isCancelled: Bool { flag.load(ordering: .relaxed) }
    package func cancel() { flag.store(true, ordering: .relaxed) }

    /// - Throws: `CancellationError` once `cancel` has been called.
    package func check() throws {
        if isCancelled { throw CancellationError() }
    }
}
