import CKernels
import Glibc
import Synchronization
import VectorMath

/// The blocks of one scan that several threads read, and what they have found.
///
/// The owner of the scan and whoever helps it take parts from a cursor until it is closed. What any of them finds goes
/// into a log that all read, so that each leaves out what the finds of all rule out: together they read about as much as
/// one would alone. The answer does not depend on who reads what: a row is left out only where as many better ones as
/// are wanted are known.
///
/// ```
///  state   seats in use, 16 bits | next block to take, 32 bits
///  closed -open-> taken part by part -> closed, seats in use -last one leaves-> closed: the owner gathers
/// ```
/// Who comes late finds it closed and touches nothing else. Nobody waits for anybody, but the owner a moment for parts
/// that were begun: where a helper's core was taken away from it, the owner reads its part again, and the scan cannot be
/// used for another search until that helper has left (`isQuiet`).
final class SharedScan: Sendable {
    /// Helpers at the same time; a further one finds nothing to take.
    static let seatCount = 16
    /// Blocks of a part: of 64 dimensions, some 10 to 20 microseconds.
    static let partBlocks = 8 * ScanIndex.blocksPerTurn

    /// Pauses until the owner waits no longer: some 20 to 50 microseconds.
    private static let triesMax = 1000
    private static let seatShift: UInt64 = 32
    /// The cursor when there is nothing to take.
    private static let closed: UInt64 = (1 << 32) - 1

    private let log = FindLog()
    private let finished: PartFlags
    private let first: Int
    /// The owner's.
    let ownSeat = Seat()
    /// Parts.
    let partCount: Int
    private let blockCount: Int
    private let state = Atomic<UInt64>(closed)
    private let seats = (0..<seatCount).map { _ in Seat() }

    /// What one thread at a time knows of the finds of all.
    struct Finder {
        /// The best of the log, as far as it was read.
        var top = TopK(k: 0)
        /// How far.
        var read = 0
        /// Finds that the log had no room for.
        var rest = TopK(k: 0)
    }

    /// A finder that is handed from one helper to the next.
    ///
    /// `@unchecked Sendable`: it belongs to the thread that holds its bit in `state`; to the owner while nobody does and
    /// the cursor is closed. Each taking of a bit acquires what leaving it, or `open`, released.
    final class Seat: @unchecked Sendable {
        private var finder = Finder()

        func reset(k: Int) {
            finder.top.reset(k: k)
            finder.rest.reset(k: k)
            finder.read = 0
        }

        /// Takes the finder out, for as long as its contents change: through the object each access would be checked.
        func use<Result>(_ body: (inout Finder) -> Result) -> Result {
            var lent = Finder()
            swap(&lent, &finder)
            defer { swap(&lent, &finder) }
            return body(&lent)
        }
    }

    /// - Parameter first: The first block to share.
    init(first: Int, blockCount: Int) {
        precondition(first < blockCount && blockCount < Int(Self.closed), "blocks \(first) to \(blockCount)")
        self.first = first
        self.blockCount = blockCount
        partCount = (blockCount - first + Self.partBlocks - 1) / Self.partBlocks
        finished = PartFlags(count: partCount)
    }

    // MARK: The owner

    /// Lets others in. Only while it is closed and quiet.
    func open(k: Int) {
        log.reset()
        finished.reset()
        ownSeat.reset(k: k)
        for seat in seats { seat.reset(k: k) }
        state.store(UInt64(first), ordering: .releasing)
    }

    /// The next blocks; nil when there are none.
    func takeOwn() -> Range<Int>? {
        var old = state.load(ordering: .relaxed)
        while let (blocks, taken) = next(old) {
            let (done, found) = state.weakCompareExchange(expected: old, desired: taken, ordering: .relaxed)
            if done { return blocks }
            old = found
        }
        return nil
    }

    /// Lets nobody take anything any more.
    func close() { state.bitwiseOr(Self.closed, ordering: .relaxed) }

    /// Whether no part is under way. Once closed it stays so.
    var isQuiet: Bool { state.load(ordering: .acquiring) >> Self.seatShift == 0 }

    /// Waits a moment for parts that were begun; false when it took too long and the owner had better read them itself.
    ///
    /// Once finds have gone past the log, only their finders know them: then it waits as long as it takes.
    func awaitQuiet() -> Bool {
        var tries = 0
        while !isQuiet {
            tries += 1
            if tries > Self.triesMax {
                if !log.isFull { return false }
                sched_yield()
            } else {
                ck_pause()
            }
        }
        return true
    }

    /// Adds what everybody found to `top`. Only while it is closed and quiet.
    func gather(into top: inout TopK) {
        ownSeat.use {
            log.read(from: &$0.read, into: &$0.top)
            top.absorb($0.top)
            top.absorb($0.rest)
        }
        for seat in seats { seat.use { top.absorb($0.rest) } }
    }

    /// Whether finds may be with their finders alone.
    var isLogFull: Bool { log.isFull }

    /// What stands in the log, the best of it.
    func gatherLog(_ finder: inout Finder) { log.read(from: &finder.read, into: &finder.top) }

    /// The blocks of a part that is not known to be read; nil where it is.
    func unfinished(_ part: Int) -> Range<Int>? {
        if finished.isSet(part) { return nil }
        let from = first + part * Self.partBlocks
        return from..<min(from + Self.partBlocks, blockCount)
    }

    // MARK: Helpers

    /// The next blocks and a seat to find from; nil when nothing can be taken. `leave` gives the seat back.
    func take() -> (blocks: Range<Int>, seat: Int)? {
        var old = state.load(ordering: .relaxed)
        while let (blocks, taken) = next(old) {
            let seat = (~(old >> Self.seatShift)).trailingZeroBitCount
            if seat >= Self.seatCount { return nil }
            let (done, found) = state.weakCompareExchange(
                expected: old, desired: taken | 1 << (Self.seatShift + UInt64(seat)), ordering: .acquiring)
            if done { return (blocks, seat) }
            old = found
        }
        return nil
    }

    /// Called when all of a part is read and its finds are told.
    func finish(_ blocks: Range<Int>) { finished.set((blocks.lowerBound - first) / Self.partBlocks) }

    /// The seat that was taken with a part.
    func seat(_ seat: Int) -> Seat { seats[seat] }

    func leave(_ seat: Int) { state.bitwiseAnd(~(1 << (Self.seatShift + UInt64(seat))), ordering: .releasing) }

    // MARK: Both

    /// Tells everybody of the rows that can enter, and `finder` of what everybody found.
    ///
    /// - Parameter keys: Room for `count` keys.
    func offer(
        _ rows: UnsafePointer<UInt32>, _ scores: UnsafePointer<Float>, _ count: Int,
        _ keys: UnsafeMutablePointer<UInt64>, _ finder: inout Finder
    ) {
        let found = RankKey.collect(rows, scores, count, above: finder.top.barKey, into: keys)
        let told = log.append(keys, found)
        if told < found {
            for i in told..<found { finder.rest.push(key: keys[i]) }
            finder.top.raiseBar(to: finder.rest.barKey)
        }
        log.read(from: &finder.read, into: &finder.top)
    }

    private func next(_ state: UInt64) -> (blocks: Range<Int>, taken: UInt64)? {
        let first = state & Self.closed
        if first == Self.closed { return nil }
        let end = min(Int(first) + Self.partBlocks, blockCount)
        return (Int(first)..<end, state & ~Self.closed | (end == blockCount ? Self.closed : UInt64(end)))
    }
}
