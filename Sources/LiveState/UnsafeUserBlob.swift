import Glibc

#if _endian(big)
    #error("the layout of a user's state is little-endian")
#endif

/// What is known of one user: one allocation, as compact as it can be appended to. All numbers are little-endian.
///
/// ```
///  0  u32  bytes allocated
///  4  u32  epoch
///  8  u32  last activity, seconds
/// 12  u32  events ever
/// 16  u32  the second from which the first event of the history counts
/// 20  u32  the second of the newest event of the history
/// 24  u32  bytes of seen        28  u32  bytes of hidden
/// 32  u16  bytes of history     34  u16  events of history
/// 36  u16  items of seen        38  u16  items of hidden
/// 40  u16  bytes of lately seen 42  u8   items of lately seen
/// 43  u8   bytes of the ID
/// 44       ID | seen, by item | hidden, by item | lately seen, as they came | history, oldest first | slack
/// ```
/// The history stands last, so that an event is appended in place. Items that leave it are put right in front of it, as
/// *lately seen*, and go into the sorted set sixteen at a time. Slack: decoding loads four bytes where one may be there.
struct UserBlob {
    private(set) var base: UnsafeMutableRawPointer
    /// Where it lies; nil for one that is only looked at. The states own it, and it outlives every blob.
    private let memory: Unmanaged<BlobMemory>?

    static let headerBytes = 44
    static let slackBytes = 8
    /// Of an item that was seen and left the history, about: type and length, what is between it and the one before, the day.
    static let seenBytesEach = 3.0

    /// A user without events.
    ///
    /// - Precondition: `id` has 1 to 255 bytes.
    init(id: UnsafeRawBufferPointer, in memory: BlobMemory) {
        precondition((1...255).contains(id.count), "an ID of \(id.count) bytes")
        let used = Self.headerBytes + id.count
        // Room for the first event.
        self.init(bytes: used + PackedEvent.bytesMax + Self.slackBytes, in: memory)
        memset(base + 4, 0, Self.headerBytes - 4)
        base.storeBytes(of: UInt8(id.count), toByteOffset: 43, as: UInt8.self)
        UnsafeMutableRawBufferPointer(start: base + Self.headerBytes, count: id.count).copyMemory(from: id)
    }

    /// A copy.
    init(copying other: UserBlob, in memory: BlobMemory) {
        let used = other.usedBytes
        self.init(bytes: used + Self.slackBytes, in: memory)
        (base + 4).copyMemory(from: other.base + 4, byteCount: used - 4)
    }

    /// Memory for a blob; nothing is written but how much it is.
    private init(bytes: Int, in memory: BlobMemory) {
        let (block, size) = memory.allocate(bytes)
        base = block
        self.memory = .passUnretained(memory)
        capacity = UInt32(clamping: size)
    }

    init(_ base: UnsafeMutableRawPointer, _ memory: BlobMemory?) {
        self.base = base
        self.memory = memory.map { .passUnretained($0) }
    }

    /// Gives the memory back; another blob may move. - Precondition: No table knows the blob.
    func free() { memory?._withUnsafeGuaranteedRef { $0.free(base, capacity: Int(capacity)) } }

    @inline(__always)
    private func get<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ type: T.Type) -> T {
        base.loadUnaligned(fromByteOffset: offset, as: T.self)
    }
    @inline(__always)
    private func set<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ value: T) {
        base.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }

    var capacity: UInt32 {
        get { get(0, UInt32.self) }
        nonmutating set { set(0, newValue) }
    }
    var epoch: UInt32 {
        get { get(4, UInt32.self) }
        nonmutating set { set(4, newValue) }
    }
    var lastActivity: UInt32 {
        get { get(8, UInt32.self) }
        nonmutating set { set(8, newValue) }
    }
    var totalEvents: UInt32 {
        get { get(12, UInt32.self) }
        nonmutating set { set(12, newValue) }
    }
    var historyBase: UInt32 {
        get { get(16, UInt32.self) }
        nonmutating set { set(16, newValue) }
    }
    var historyLast: UInt32 {
        get { get(20, UInt32.self) }
        nonmutating set { set(20, newValue) }
    }
    var seenBytes: Int {
        get { Int(get(24, UInt32.self)) }
        nonmutating set { set(24, UInt32(newValue)) }
    }
    var hiddenBytes: Int {
        get { Int(get(28, UInt32.self)) }
        nonmutating set { set(28, UInt32(newValue)) }
    }
    var historyBytes: Int {
        get { Int(get(32, UInt16.self)) }
        nonmutating set { set(32, UInt16(newValue)) }
    }
    var historyCount: Int {
        get { Int(get(34, UInt16.self)) }
        nonmutating set { set(34, UInt16(newValue)) }
    }
    var seenCount: Int {
        get { Int(get(36, UInt16.self)) }
        nonmutating set { set(36, UInt16(newValue)) }
    }
    var hiddenCount: Int {
        get { Int(get(38, UInt16.self)) }
        nonmutating set { set(38, UInt16(newValue)) }
    }
    var latelyBytes: Int {
        get { Int(get(40, UInt16.self)) }
        nonmutating set { set(40, UInt16(newValue)) }
    }
    var latelyCount: Int {
        get { Int(get(42, UInt8.self)) }
        nonmutating set { set(42, UInt8(newValue)) }
    }
    var idBytes: Int { Int(get(43, UInt8.self)) }

    var id: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base + Self.headerBytes, count: idBytes) }
    var seenOffset: Int { Self.headerBytes + idBytes }
    var hiddenOffset: Int { seenOffset + seenBytes }
    var latelyOffset: Int { hiddenOffset + hiddenBytes }
    var historyOffset: Int { latelyOffset + latelyBytes }
    /// Bytes in use, without the slack.
    var usedBytes: Int { historyOffset + historyBytes }

    /// Puts bytes in the place of others. The caller corrects the sizes of sections *afterwards*.
    ///
    /// - Parameter source: Not inside the blob.
    /// - Complexity: O(bytes behind `offset`), and a copy of all where the blob has to move.
    @inline(__always)
    mutating func replace(at offset: Int, _ removed: Int, with source: UnsafeRawPointer, _ count: Int) {
        let used = usedBytes
        let needed = used - removed + count + Self.slackBytes
        if needed > Int(capacity) { resize(needed) }
        if removed != count { memmove(base + offset + count, base + offset + removed, used - offset - removed) }
        memcpy(base + offset, source, count)
    }

    /// Gives memory back that is not needed any more.
    mutating func shrink() {
        let needed = usedBytes + Self.slackBytes
        if needed + needed / 4 + 64 < Int(capacity) { resize(needed) }
    }

    /// - Precondition: A table knows the blob; it is told.
    private mutating func resize(_ bytes: Int) {
        guard let memory else { preconditionFailure("a blob that is only looked at was to grow") }
        base = memory._withUnsafeGuaranteedRef {
            $0.resize(base, capacity: Int(capacity), used: usedBytes, to: bytes)
        }
    }
}
