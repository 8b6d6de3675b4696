import Retrieval
import Synchronization
import Vocabulary

/// Makes a share of the approximate searches again, exactly, to tell what the others miss. Any thread.
///
/// One at a time, off the request path, and never more than a share of one core's time: a search that comes while another
/// is checked, or too soon after it, is let go.
/// ```
///  resting (until its share of time is used up) -> sampling (a search is kept and checked) -> resting
/// ```
package final class RecallSampler: Sendable {
    /// At most one hundredth of a core's time is spent on checks.
    static let restPerCheck: UInt64 = 99

    /// Takes one search in so many, as far as time allows; 0: none.
    private let oneIn: UInt64
    private let clock: @Sendable () -> UInt64
    private let run: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let record: @Sendable (_ plan: SearchPlan, _ found: Int, _ expected: Int) -> Void
    private let draws = Atomic<UInt64>(0)
    private let isSampling = Atomic<Bool>(false)
    private let restsUntil = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - share: Of the approximate searches, 0 to 1.
    ///   - clock: Uptime in nanoseconds.
    ///   - run: Runs a closure on a thread of low priority, some time.
    ///   - record: Receives each outcome, on that thread.
    package init(
        share: Double, clock: @escaping @Sendable () -> UInt64,
        run: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void,
        record: @escaping @Sendable (_ plan: SearchPlan, _ found: Int, _ expected: Int) -> Void
    ) {
        oneIn = share > 0 ? UInt64(max(1, (1 / share).rounded())) : 0
        self.clock = clock
        self.run = run
        self.record = record
    }

    /// Whether the next approximate search shall be kept. A few nanoseconds.
    package func wantsNext() -> Bool {
        guard oneIn > 0, draws.wrappingAdd(1, ordering: .relaxed).oldValue % oneIn == 0 else { return false }
        return !isSampling.load(ordering: .relaxed) && clock() >= restsUntil.load(ordering: .relaxed)
    }

    /// Checks `search`, unless another is being checked.
    package func take(_ search: SampledSearch) {
        guard !isSampling.exchange(true, ordering: .acquiring) else { return }
        run { [self] in
            let start = clock()
            // A search that cannot be made again was not made either; there is nothing to tell of it.
            if let (found, expected) = try? search.check(), expected > 0 { record(search.plan, found, expected) }
            let end = clock()
            restsUntil.store(end &+ (end &- start) &* Self.restPerCheck, ordering: .relaxed)
            isSampling.store(false, ordering: .releasing)
        }
    }
}
