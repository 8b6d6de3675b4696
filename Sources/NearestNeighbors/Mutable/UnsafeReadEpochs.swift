import CKernels
import Synchronization

/// Who reads what may soon be taken away: epoch-based reclamation.
///
/// A reader announces the epoch in which it begins and withdraws that at its end; both are one store. The writer unlinks
/// something, ends the epoch, and may reuse the thing once every reader has withdrawn or announced a later epoch: those can
/// no longer come upon it.
///
/// - Note: Fraser 2004, "Practical lock-freedom", section 5.2.3.
final class ReadEpochs: Sendable {
    private let current = Atomic<UInt64>(1)
    private let cells = Mutex<[ReaderCell]>([])

    /// A cell for one thread at a time, free again when the handle goes. Takes a lock; do it once.
    func register() -> ReaderHandle {
        let cell = cells.withLock { cells in
            if let free = cells.first(where: { !$0.isTaken }) {
                free.isTaken = true
                return free
            }
            let cell = ReaderCell()
            cells.append(cell)
            return cell
        }
        return ReaderHandle(self, cell)
    }

    fileprivate func release(_ cell: ReaderCell) { cells.withLock { _ in cell.isTaken = false } }

    /// The epoch to announce.
    fileprivate var now: UInt64 { current.load(ordering: .acquiring) }

    /// Ends the epoch and returns it: what was unlinked before is out of reach once `isOver(epoch)`.
    func end() -> UInt64 {
        let ended = current.add(1, ordering: .sequentiallyConsistent).oldValue
        // What was unlinked is to be seen by everyone whose announcement is not seen from here on.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        return ended
    }

    /// Whether no reader that began in `epoch` or earlier is still reading.
    func isOver(_ epoch: UInt64) -> Bool {
        cells.withLock { cells in
            cells.allSatisfy { cell in
                let announced = ck_announced(cell.word)
                return announced == 0 || announced > epoch
            }
        }
    }

    /// Threads that are registered.
    var readerCount: Int { cells.withLock { $0.count { $0.isTaken } } }
}

/// One reader's announcement, on cache lines of its own; 0: not reading.
///
/// `@unchecked Sendable`: the word is atomic, and `isTaken` is read and written under the lock of the epochs.
private final class ReaderCell: @unchecked Sendable {
    let word: UnsafeMutablePointer<UInt64>
    var isTaken = true
    private let block: UnsafeMutablePointer<UInt64>
    private static let padding = 16

    init() {
        block = .allocate(capacity: 2 * Self.padding + 1)
        block.initialize(repeating: 0, count: 2 * Self.padding + 1)
        word = block + Self.padding
    }

    deinit { block.deallocate() }
}

/// A thread's right to read; it goes with the thread's `SearchScratch`.
final class ReaderHandle {
    private(set) var epochs: ReadEpochs
    private let cell: ReaderCell

    fileprivate init(_ epochs: ReadEpochs, _ cell: ReaderCell) {
        self.epochs = epochs
        self.cell = cell
    }

    deinit { epochs.release(cell) }

    /// Whether nothing else keeps the epochs: their index is gone.
    var isLast: Bool { isKnownUniquelyReferenced(&epochs) }

    /// From here to `leave`, nothing that can be reached is reused. Not nested.
    @inline(__always)
    func enter() { ck_announce(cell.word, epochs.now) }

    @inline(__always)
    func leave() { ck_withdraw(cell.word) }
}
