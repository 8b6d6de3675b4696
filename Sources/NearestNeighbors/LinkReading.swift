import CKernels

/// How a walk reads links: as memory that nobody changes, or as words that a writer changes meanwhile.
protocol LinkReading {
    func load(_ link: UnsafePointer<UInt32>) -> UInt32
    /// Whether the walk may step on `row`.
    func admits(_ row: UInt32) -> Bool
}

/// Links of a sealed graph.
struct SealedLinks: LinkReading {
    @inline(__always)
    func load(_ link: UnsafePointer<UInt32>) -> UInt32 { link.pointee }
    @inline(__always)
    func admits(_ row: UInt32) -> Bool { true }
}

/// Links that others write with `ck_publish`. A list that is being replaced may be read half old and half new: the walk
/// may then miss a link or see one twice, and never sees anything else.
struct SharedLinks: LinkReading {
    /// Rows from here on came after the walk began, and its memory has no room for them.
    let rowLimit: UInt32

    @inline(__always)
    func load(_ link: UnsafePointer<UInt32>) -> UInt32 { ck_observe(link) }
    @inline(__always)
    func admits(_ row: UInt32) -> Bool { row < rowLimit }
}

/// The rows that a walk is to find; it walks through the others all the same.
protocol RowFilter {
    /// Whether every row is accepted, known at compile time.
    static var acceptsAll: Bool { get }
    /// Asked once for each row that enters the pool.
    func accepts(_ row: UInt32) -> Bool
}

/// No filter.
struct EveryRow: RowFilter {
    @inline(__always)
    static var acceptsAll: Bool { true }
    @inline(__always)
    func accepts(_ row: UInt32) -> Bool { true }
}

/// Rows whose bits are set; the bits may change during the walk.
struct MarkedRows: RowFilter {
    let words: UnsafePointer<UInt64>

    @inline(__always)
    static var acceptsAll: Bool { false }
    @inline(__always)
    func accepts(_ row: UInt32) -> Bool { ck_observe_bits(words + Int(row >> 6)) >> UInt64(row & 63) & 1 != 0 }
}
