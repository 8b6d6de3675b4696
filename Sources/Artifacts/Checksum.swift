import Crypto
import Dispatch
import Glibc
import Synchronization

/// Lower-case hexadecimal digits of a digest.
func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for byte in digest {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}

enum Checksum {
    /// Large enough to hide the calls, small enough to stay in the second-level cache.
    private static let chunkBytes = 256 << 10

    static func sha256(of bytes: [UInt8]) -> String { hexadecimal(SHA256.hash(data: bytes)) }

    /// Reads a file from front to back and gives its SHA-256.
    ///
    /// Reads instead of mapping, so that hashing adds nothing to the resident memory.
    ///
    /// - Parameter range: The bytes to read, as far as there are; nil: all.
    static func sha256(
        of file: borrowing OpenFile, _ range: Range<Int>? = nil, path: String
    ) throws(ArtifactError) -> String {
        let range = range ?? 0..<Int.max
        posix_fadvise(file.descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: 64)
        defer { buffer.deallocate() }
        var hasher = SHA256()
        var offset = range.lowerBound
        while offset < range.upperBound {
            let wanted = UnsafeMutableRawBufferPointer(
                rebasing: buffer.prefix(min(buffer.count, range.upperBound - offset)))
            let count = try file.read(into: wanted, at: offset, path: path)
            hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
            if count < wanted.count { break }
        }
        return hexadecimal(hasher.finalize())
    }

    /// Runs `body` for each of `0..<count`, on all cores, and gives the first error by index.
    static func inParallel(
        _ count: Int, _ body: @Sendable (Int) throws(ArtifactError) -> Void
    ) throws(ArtifactError) {
        let failures = Mutex<[Int: ArtifactError]>([:])
        DispatchQueue.concurrentPerform(iterations: count) { index in
            do throws(ArtifactError) {
                try body(index)
            } catch {
                failures.withLock { $0[index] = error }
            }
        }
        let first = failures.withLock { $0.min { $0.key < $1.key }?.value }
        if let first { throw first }
    }
}

/// Hashes of texts and numbers, for what is compared by content.
package enum ContentHash {
    /// Of lists of numbers, one after the other, as their little-endian bytes; 64 lower-case hexadecimal digits.
    package static func sha256(of lists: [[Float]]) -> String {
        var hasher = SHA256()
        for list in lists { list.withUnsafeBytes { hasher.update(bufferPointer: $0) } }
        return hexadecimal(hasher.finalize())
    }

    /// 64 lower-case hexadecimal digits.
    package static func sha256(of text: String) -> String { sha256(of: Array(text.utf8)) }

    /// 64 lower-case hexadecimal digits.
    package static func sha256(of bytes: [UInt8]) -> String { Checksum.sha256(of: bytes) }
}
