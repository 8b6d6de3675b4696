import Glibc

/// Reads files that others wrote and that are no part of a bundle.
package enum WholeFile {
    /// All bytes of a plain file.
    ///
    /// - Throws: `ArtifactError` when there is none, when it is no plain file (links are followed), when it has more than
    ///   `bytesMax` bytes, or when it ends while it is read.
    package static func read(_ path: String, bytesMax: Int) throws(ArtifactError) -> [UInt8] {
        let file = try OpenFile.reading(path, in: AT_FDCWD, path: path)
        let size = try file.size(path: path)
        guard size <= bytesMax else {
            throw ArtifactError(.malformed, path: path, "it has \(size) bytes; at most \(bytesMax) are read")
        }
        var failure: ArtifactError?
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            do throws(ArtifactError) {
                count = try file.read(
                    into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: size), at: 0, path: path)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard bytes.count == size else {
            throw ArtifactError(.sizeMismatch, path: path, "the file became shorter while it was read; try again")
        }
        return bytes
    }
}
