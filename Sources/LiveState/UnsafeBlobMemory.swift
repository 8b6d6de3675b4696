import CMalloc
import Glibc
import Vocabulary

/// Where the blobs of a shard lie: blocks of equal size side by side, without gaps.
///
/// ```
/// class     blocks of 64, 96 ... 512, then 576, 640 ... 1024, then eight sizes to a doubling, up to 16 KiB
/// chunk     64 KiB of blocks of one class; all chunks of a class are full but the last
/// ```
/// A block that becomes free is filled with the last block of its class at once, whose user is found by its ID. So users
/// who grow through the sizes leave nothing half empty behind, as they do with `malloc`: a million users of 50 events took
/// 1.5 times their blocks there. Larger blobs are left to `malloc`.
final class BlobMemory {
    private struct SizeClass {
        var chunks: [UnsafeMutableRawPointer] = []
        var blocks = 0
        var bytes: Int
        var perChunk: Int
    }

    private var classes: [SizeClass] = []
    /// Larger blobs.
    private var large: Set<UnsafeMutableRawPointer> = []
    /// The tables that know where a user's blob is, from `firstSlot` on.
    private let tables: UnsafeMutablePointer<SlotTable>
    private let firstSlot: Int
    /// A blob that is held on to: kept true while others move.
    var kept: UnsafeMutableRawPointer?
    /// In chunks; their parts that were never used are not resident.
    private(set) var chunkBytes = 0

    private static let chunkSize = 64 << 10
    private static let blockMax = 16 << 10

    init(tables: UnsafeMutablePointer<SlotTable>, firstSlot: Int) {
        self.tables = tables
        self.firstSlot = firstSlot
        var bytes = 64
        while bytes <= Self.blockMax {
            classes.append(SizeClass(bytes: bytes, perChunk: Self.chunkSize / bytes))
            let step = bytes < 512 ? 32 : bytes < 1024 ? 64 : (1 << (Int.bitWidth - 1 - bytes.leadingZeroBitCount)) / 8
            bytes += step
        }
    }

    deinit {
        for size in classes { for chunk in size.chunks { Glibc.free(chunk) } }
        for block in large { Glibc.free(block) }
    }

    /// The class of blocks that hold so many bytes, at most `blockMax`.
    @inline(__always)
    private static func sizeClass(_ bytes: Int) -> Int {
        if bytes <= 512 { return max(0, (bytes + 31) / 32 - 2) }
        if bytes <= 1024 { return 14 + (bytes - 512 + 63) / 64 }
        let doubling = Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount
        let step = (1 << doubling) / 8
        return 22 + (doubling - 10) * 8 + (bytes - (1 << doubling) + step - 1) / step
    }

    /// How much a block of `bytes` or more is.
    static func blockBytes(_ bytes: Int) -> Int {
        guard bytes > 64 else { return 64 }
        let step =
            bytes <= 512 ? 32 : bytes <= 1024 ? 64 : (1 << (Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount)) / 8
        return (bytes + step - 1) / step * step
    }

    /// A block of `bytes` or more, and how much it is.
    func allocate(_ bytes: Int) -> (UnsafeMutableRawPointer, capacity: Int) {
        guard bytes <= Self.blockMax else {
            guard let block = malloc(bytes) else { preconditionFailure("no memory: \(bytes) bytes for a user") }
            large.insert(block)
            return (block, malloc_usable_size(block))
        }
        let number = Self.sizeClass(bytes)
        let place = classes[number].blocks
        let (chunk, within) = place.quotientAndRemainder(dividingBy: classes[number].perChunk)
        if chunk == classes[number].chunks.count {
            guard let memory = malloc(Self.chunkSize) else { preconditionFailure("no memory for users") }
            classes[number].chunks.append(memory)
            chunkBytes += Self.chunkSize
        }
        classes[number].blocks += 1
        let size = classes[number].bytes
        return (classes[number].chunks[chunk] + within * size, size)
    }

    /// Gives a block back. Another blob may move.
    ///
    /// - Parameter capacity: As `allocate` gave it.
    func free(_ block: UnsafeMutableRawPointer, capacity: Int) {
        guard capacity <= Self.blockMax else {
            large.remove(block)
            Glibc.free(block)
            return
        }
        let number = Self.sizeClass(capacity)
        let lastPlace = classes[number].blocks - 1
        let (chunk, within) = lastPlace.quotientAndRemainder(dividingBy: classes[number].perChunk)
        let last = classes[number].chunks[chunk] + within * classes[number].bytes
        classes[number].blocks = lastPlace
        if last != block {
            memcpy(block, last, UserBlob(last, nil).usedBytes)
            tell(last, movedTo: block)
        }
        // One empty chunk stays, for a class that goes up and down.
        if within == 0, chunk + 1 < classes[number].chunks.count {
            Glibc.free(classes[number].chunks.removeLast())
            chunkBytes -= Self.chunkSize
        }
    }

    /// Moves a blob to a block of `bytes` or more.
    func resize(_ old: UnsafeMutableRawPointer, capacity: Int, used: Int, to bytes: Int) -> UnsafeMutableRawPointer {
        let (new, size) = allocate(bytes)
        memcpy(new, old, used)
        UserBlob(new, nil).capacity = UInt32(clamping: size)
        tell(old, movedTo: new)
        free(old, capacity: capacity)
        return new
    }

    /// - Parameter new: Holds the blob already.
    private func tell(_ old: UnsafeMutableRawPointer, movedTo new: UnsafeMutableRawPointer) {
        if kept == old { kept = new }
        let hash = XXH64.hash(UserBlob(new, nil).id)
        tables[Int(hash % UInt64(Slot.count)) - firstSlot].relocate(from: old, to: new, hash: hash)
    }
}
