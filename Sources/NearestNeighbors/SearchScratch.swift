import VectorMath

/// Memory that searches of one thread reuse, so that a warm search allocates nothing.
///
/// It grows to the largest search it has seen: a bit per row, eight bytes per candidate in the pool.
package final class SearchScratch {
    /// Rows per kernel call of a scan.
    static let blockRows = 256

    /// The best rows of an exact scan.
    var top = TopK(k: 0)
    /// The best rows of each query of a batched scan.
    var tops: [TopK] = []
    /// Rows and scores that a kernel reports; room for a block and the kernels' overhang.
    let rows: UnsafeMutablePointer<UInt32>
    let positions: UnsafeMutablePointer<UInt32>
    let scores: UnsafeMutablePointer<Float>

    /// Keys of finds of a shared scan.
    let keys: UnsafeMutablePointer<UInt64>
    /// Positions that a turn of a `ScanIndex` leaves in.
    let hits: UnsafeMutablePointer<UInt32>
    private var readers: [ReaderHandle] = []
    private var running: RunningScan?
    private var planned: RunningSearch?
    private var others: [SearchScratch] = []

    /// The query as the kernels take it (normalised for cosine).
    private(set) var query: UnsafeMutablePointer<Float>
    private var queryCapacity: Int
    /// The query as a walk by codes takes it.
    private(set) var codes: UnsafeMutablePointer<Int8>
    private var codeCapacity: Int
    /// One bit per row: seen by the running walk. All zero between walks.
    private(set) var visited: UnsafeMutablePointer<UInt64>
    private var visitedWords: Int
    /// The rows whose bits are set.
    private(set) var touched: UnsafeMutablePointer<UInt32>
    private var touchedCapacity: Int
    /// The walk's candidates, best first.
    private(set) var pool: UnsafeMutablePointer<UInt64>
    private(set) var poolCapacity: Int

    package init() {
        let room = Self.blockRows + 16
        rows = .allocate(capacity: room)
        positions = .allocate(capacity: room)
        scores = .allocate(capacity: room)
        keys = .allocate(capacity: room)
        hits = .allocate(capacity: ScanIndex.blocksPerTurn * CodeBlocks.rowsPerBlock + 32)
        queryCapacity = 0
        query = .allocate(capacity: 1)
        codeCapacity = 0
        codes = .allocate(capacity: 1)
        visitedWords = 0
        visited = .allocate(capacity: 1)
        touchedCapacity = 0
        touched = .allocate(capacity: 1)
        poolCapacity = 0
        pool = .allocate(capacity: 1)
    }

    deinit {
        rows.deallocate()
        positions.deallocate()
        scores.deallocate()
        keys.deallocate()
        hits.deallocate()
        query.deallocate()
        codes.deallocate()
        visited.deallocate()
        touched.deallocate()
        pool.deallocate()
    }

    /// Bytes held.
    package var byteCount: Int {
        (Self.blockRows + 16) * 20 + queryCapacity * 4 + codeCapacity + visitedWords * 8 + touchedCapacity * 4
            + poolCapacity * 8
    }

    /// The scan of the search under way, for searches one at a time.
    func scan(for index: ScanIndex) -> RunningScan {
        if let running, running.index === index { return running }
        let new = RunningScan(index)
        running = new
        return new
    }

    /// Scratches for `count` threads that help with a search of this one.
    func helpers(_ count: Int) -> [SearchScratch] {
        while others.count < count { others.append(SearchScratch()) }
        return Array(others.prefix(count))
    }

    func search(for index: PlannedIndex) -> RunningSearch {
        if let planned, planned.index === index { return planned }
        let new = RunningSearch(index)
        planned = new
        return new
    }

    /// This thread's place among the readers of an index; a lock is taken the first time only.
    func reader(of epochs: ReadEpochs) -> ReaderHandle {
        for reader in readers where reader.epochs === epochs { return reader }
        // Those of indexes that are gone, but for the handle.
        readers.removeAll(where: \.isLast)
        let reader = epochs.register()
        readers.append(reader)
        return reader
    }

    func reserveQuery(_ count: Int) {
        if count <= queryCapacity { return }
        query.deallocate()
        query = .allocate(capacity: count)
        queryCapacity = count
    }

    func reserveCodes(_ count: Int) {
        if count <= codeCapacity { return }
        codes.deallocate()
        codes = .allocate(capacity: count)
        codeCapacity = count
    }

    /// Makes room for a walk over `rowCount` rows with a pool of `candidates`.
    ///
    /// It grows by a quarter at least, as an index that grows row by row asks for a little more each time.
    func reserveWalk(rowCount: Int, candidates: Int) {
        let words = (rowCount + 63) / 64
        if words > visitedWords {
            let room = max(words, visitedWords + visitedWords / 4)
            visited.deallocate()
            visited = .allocate(capacity: room)
            visited.initialize(repeating: 0, count: room)
            visitedWords = room
        }
        if rowCount > touchedCapacity {
            let room = max(rowCount, touchedCapacity + touchedCapacity / 4)
            touched.deallocate()
            touched = .allocate(capacity: room)
            touchedCapacity = room
        }
        if candidates > poolCapacity {
            pool.deallocate()
            pool = .allocate(capacity: candidates)
            poolCapacity = candidates
        }
    }
}
