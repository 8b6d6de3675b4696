/// Where kept answers lie: blocks of equal size side by side, without gaps.
///
/// ```
/// class   blocks of 64, 72 ... 512, then 528 ... 1024, then eight sizes to a doubling, up to a quarter of a chunk
/// chunk   1 to 64 KiB of blocks of one class; all chunks of a class are full but the last
/// block   u32 owner, then what the owner puts there
/// ```
/// A block that becomes free is filled with the last one of its class at once, and its owner is told by `moved`. So what
/// is allocated and not used is the rounding to a class and one chunk for each class at most. Larger blocks are left to
/// `malloc`.
final class AnswerMemory {
    private struct SizeClass {
        var chunks: [UnsafeMutableRawPointer] = []
        var blocks = 0
        var bytes: Int
        var perChunk: Int
    }

    static let headerBytes = 4
    private static let blockMin = 64

    private var classes: [SizeClass] = []
    private let blockMax: Int
    private let chunkBytes: Int
    /// What is allocated.
    private(set) var bytes = 0
    /// What of it is in blocks that are in use.
    private(set) var usedBytes = 0

    /// - Parameter capacity: What may be allocated in the end; decides how large chunks are.
    init(capacity: Int) {
        var chunk = 1 << 10
        while chunk < 64 << 10, chunk * 2048 * 2 <= capacity { chunk *= 2 }
        chunkBytes = chunk
        var size = Self.blockMin
        var largest = 0
        while size <= max(Self.blockMin, chunk / 4) {
            classes.append(SizeClass(bytes: size, perChunk: chunk / size))
            largest = size
            size += size < 512 ? 8 : size < 1024 ? 16 : (1 << (Int.bitWidth - 1 - size.leadingZeroBitCount)) / 8
        }
        blockMax = largest
    }

    deinit { for size in classes { for chunk in size.chunks { chunk.deallocate() } } }

    @inline(__always)
    private static func sizeClass(_ bytes: Int) -> Int {
        if bytes <= 512 { return max(0, (bytes - blockMin + 7) / 8) }
        if bytes <= 1024 { return 56 + (bytes - 512 + 15) / 16 }
        let doubling = Int.bitWidth - 1 - (bytes - 1).leadingZeroBitCount
        let step = (1 << doubling) / 8
        return 88 + (doubling - 10) * 8 + (bytes - (1 << doubling) + step - 1) / step
    }

    /// What a block of so many bytes takes, its header included.
    func blockBytes(_ bytes: Int) -> Int {
        let whole = bytes + Self.headerBytes
        return whole > blockMax ? (whole + 63) / 64 * 64 : classes[Self.sizeClass(whole)].bytes
    }

    /// A block for `owner`; what is behind its header has `bytes` or more.
    func allocate(_ bytes: Int, owner: Int) -> UnsafeMutableRawPointer {
        let size = blockBytes(bytes)
        usedBytes += size
        let block: UnsafeMutableRawPointer
        if size > blockMax {
            block = .allocate(byteCount: size, alignment: 8)
            self.bytes += size
        } else {
            let number = Self.sizeClass(bytes + Self.headerBytes)
            let (chunk, within) = classes[number].blocks.quotientAndRemainder(dividingBy: classes[number].perChunk)
            if chunk == classes[number].chunks.count {
                classes[number].chunks.append(.allocate(byteCount: chunkBytes, alignment: 64))
                self.bytes += chunkBytes
            }
            classes[number].blocks += 1
            block = classes[number].chunks[chunk] + within * size
        }
        block.storeBytes(of: UInt32(owner), as: UInt32.self)
        return block
    }

    /// Gives a block back.
    ///
    /// - Parameters:
    ///   - bytes: As they were asked for.
    ///   - moved: Is told which owner's block is where now, before the call returns.
    func free(_ block: UnsafeMutableRawPointer, _ bytes: Int, moved: (Int, UnsafeMutableRawPointer) -> Void) {
        let size = blockBytes(bytes)
        usedBytes -= size
        if size > blockMax {
            block.deallocate()
            self.bytes -= size
            return
        }
        let number = Self.sizeClass(bytes + Self.headerBytes)
        classes[number].blocks -= 1
        let (chunk, within) = classes[number].blocks.quotientAndRemainder(dividingBy: classes[number].perChunk)
        let last = classes[number].chunks[chunk] + within * size
        if last != block {
            block.copyMemory(from: last, byteCount: size)
            moved(Int(block.load(as: UInt32.self)), block)
        }
        if within == 0 {
            classes[number].chunks.removeLast().deallocate()
            self.bytes -= chunkBytes
        }
    }
}
