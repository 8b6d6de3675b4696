#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Address space for the most that a structure may grow to; a page takes memory once it is written to, and reads as zeros.
///
/// A structure in it never moves, so that others may read it while it grows.
///
/// `@unchecked Sendable`: the address never changes; who writes where is its owner's to say.
package final class ReservedMemory: @unchecked Sendable {
    package let base: UnsafeMutableRawPointer
    package let byteCount: Int

    /// Nil where the system gives no such range.
    package init?(byteCount: Int) {
        guard byteCount >= 0 else { return nil }
        let huge = AlignedMemory.hugePageBytesMin
        // Room to begin on a huge page.
        let whole = max(byteCount, 1) + (byteCount >= huge ? 2 << 20 : 0)
        #if canImport(Glibc)
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        #else
            let flags = MAP_PRIVATE | MAP_ANON
        #endif
        guard let mapped = mmap(nil, whole, PROT_READ | PROT_WRITE, flags, -1, 0), mapped != MAP_FAILED else {
            return nil
        }
        self.mapped = mapped
        self.mappedByteCount = whole
        self.byteCount = byteCount
        guard byteCount >= huge else {
            base = mapped
            return
        }
        base = mapped.alignedUp(toMultipleOf: 2 << 20)
        #if canImport(Glibc)
            // Advice only: a kernel without huge pages serves small ones.
            _ = madvise(base, byteCount, MADV_HUGEPAGE)
        #endif
    }

    deinit { munmap(mapped, mappedByteCount) }

    private let mapped: UnsafeMutableRawPointer
    private let mappedByteCount: Int
}
