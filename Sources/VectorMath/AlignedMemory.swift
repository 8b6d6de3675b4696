#if canImport(Glibc)
    import Glibc
#endif

/// Large blocks for sealed storage: on cache lines, and on huge pages when big.
package enum AlignedMemory {
    /// Blocks of at least this size ask for huge pages.
    package static let hugePageBytesMin = 4 << 20

    /// Uninitialised memory; free it with `deallocate()`.
    package static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        guard byteCount >= hugePageBytesMin else {
            return .allocate(byteCount: max(byteCount, 64), alignment: 64)
        }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 2 << 20)
        #if canImport(Glibc)
            // Advice only: a kernel without huge pages serves small ones.
            _ = madvise(memory, byteCount, MADV_HUGEPAGE)
        #endif
        return memory
    }

    /// The same bytes in a block of their own, copied by `threads`.
    package static func copy(_ bytes: UnsafeRawBufferPointer, threads: Int) -> UnsafeMutableRawPointer {
        let memory = allocate(byteCount: bytes.count)
        guard let source = bytes.baseAddress else { return memory }
        // Four megabytes: two huge pages, and long enough for the copy to run at the memory's speed.
        Parallel.forEach(count: bytes.count, grain: 4 << 20, threads: threads) { range in
            (memory + range.lowerBound).copyMemory(from: source + range.lowerBound, byteCount: range.count)
        }
        return memory
    }
}
