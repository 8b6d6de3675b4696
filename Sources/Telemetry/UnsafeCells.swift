import Synchronization

/// A row of 64-bit counters that one thread writes and any thread may read.
///
/// A write is a relaxed load and a relaxed store: no lock, no locked instruction. That is right for one writer only:
/// two writers would lose counts (but never corrupt memory). Readers see each cell whole, and cells in no order.
/// The block is padded to cache lines of its own, so that blocks of different writers never share one.
package final class UnsafeCells {
    @usableFromInline package let base: UnsafeMutablePointer<Atomic<UInt64>>
    package let count: Int

    /// Cells before and after the block that nobody uses: two cache lines.
    private static let padding = 16

    package init(count: Int) {
        self.count = count
        let whole = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: count + 2 * Self.padding)
        for i in 0..<count + 2 * Self.padding { (whole + i).initialize(to: Atomic(0)) }
        base = whole + Self.padding
    }

    deinit {
        let whole = base - Self.padding
        whole.deinitialize(count: count + 2 * Self.padding)
        whole.deallocate()
    }

    /// Writer only. `cell` is not checked in release: callers compute it from enums.
    @inlinable
    package func add(_ amount: UInt64, to cell: Int) {
        assert((0..<count).contains(cell), "cell \(cell) of \(count)")
        base[cell].store(base[cell].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Writer only.
    @inlinable
    package func set(_ cell: Int, to value: UInt64) {
        assert((0..<count).contains(cell), "cell \(cell) of \(count)")
        base[cell].store(value, ordering: .relaxed)
    }

    /// Any thread.
    @inlinable
    package func read(_ cell: Int) -> UInt64 {
        precondition((0..<count).contains(cell), "cell \(cell) of \(count)")
        return base[cell].load(ordering: .relaxed)
    }
}

/// `UnsafeMutablePointer` is not Sendable; the block is sealed at `init` and its cells are atomics.
extension UnsafeCells: @unchecked Sendable {}
