import Dispatch
import Foundation
import Synchronization

/// Deals the numbers `0..<count` to threads.
package enum Parallel {
    /// Cores that this process may use.
    package static var coreCount: Int { ProcessInfo.processInfo.activeProcessorCount }

    /// Calls `body` with ranges of at most `grain` numbers that together cover `0..<count`, each once.
    ///
    /// Threads take the next range when they are done with one, so which thread gets which range is chance: what `body`
    /// writes must depend on the range alone. Returns when all are done; stops dealing once `isCancelled` says so.
    package static func forEach(
        count: Int, grain: Int, threads: Int, isCancelled: () -> Bool = { false }, _ body: (Range<Int>) -> Void
    ) {
        precondition(grain >= 1, "grain \(grain)")
        let ranges = (count + grain - 1) / grain
        let next = Atomic<Int>(0)
        withoutActuallyEscaping(body) { body in
            withoutActuallyEscaping(isCancelled) { isCancelled in
                let work = Work(body: body, isCancelled: isCancelled)
                DispatchQueue.concurrentPerform(iterations: max(1, min(threads, ranges))) { _ in
                    while !work.isCancelled() {
                        let range = next.wrappingAdd(1, ordering: .relaxed).oldValue
                        if range >= ranges { return }
                        work.body(range * grain..<min(count, (range + 1) * grain))
                    }
                }
            }
        }
    }

    /// `@unchecked Sendable`: `forEach` does not return before the last call of either closure has, and the caller
    /// answers for what `body` writes.
    private struct Work: @unchecked Sendable {
        let body: (Range<Int>) -> Void
        let isCancelled: () -> Bool
    }
}
