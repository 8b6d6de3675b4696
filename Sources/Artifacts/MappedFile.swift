import Glibc

/// How a mapped range will be used.
package enum AccessAdvice: Sendable {
    /// Here and there: no read-ahead.
    case random
    /// Front to back.
    case sequential
    /// Soon: start reading in the background.
    case willNeed
    /// Now: read all of it and map it, so that later reads take no page fault. Blocks.
    case populate
    /// Not any more: what was read no longer counts as memory of the process. It may be read again.
    case done
}

/// The bytes of a file, mapped read-only for as long as the object lives.
///
/// The size is fixed when the file is mapped. Cutting the file short afterwards makes reads beyond its new end
/// fatal (SIGBUS): a published bundle is replaced as a folder, its files are never edited in place.
/// `Sendable`: the mapping is read-only and never changes.
final class MappedFile: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ file: borrowing OpenFile, size: Int, path: String) throws(ArtifactError) {
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, size, PROT_READ, MAP_SHARED, file.descriptor, 0)
        guard let address, address != MAP_FAILED else { throw .system(path: path, "cannot map the file") }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}

/// Tells the kernel how `bytes`, part of a mapping, will be used. A hint: errors are of no consequence.
func advise(_ bytes: UnsafeRawBufferPointer, _ advice: AccessAdvice) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    let page = Int(getpagesize())
    let begin = Int(bitPattern: base) & ~(page - 1)
    let end = Int(bitPattern: base) + bytes.count
    guard let start = UnsafeMutableRawPointer(bitPattern: begin) else { return }
    let madvisePopulateRead: Int32 = 22  // Linux 5.14
    switch advice {
    case .random: madvise(start, end - begin, MADV_RANDOM)
    case .sequential: madvise(start, end - begin, MADV_SEQUENTIAL)
    case .willNeed: madvise(start, end - begin, MADV_WILLNEED)
    case .populate:
        if madvise(start, end - begin, madvisePopulateRead) != 0 { touch(bytes, page: page) }
    case .done: madvise(start, end - begin, MADV_DONTNEED)
    }
}

/// Reads one byte of each page, for kernels that cannot populate.
private func touch(_ bytes: UnsafeRawBufferPointer, page: Int) {
    var sum: UInt8 = 0
    for offset in stride(from: 0, to: bytes.count, by: page) { sum &+= bytes[offset] }
    withExtendedLifetime(sum) {}
}
