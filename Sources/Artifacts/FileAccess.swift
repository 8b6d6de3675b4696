import Glibc

/// An open file that closes itself.
struct OpenFile: ~Copyable {
    let descriptor: Int32

    init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Opens an existing folder for `openat` and `fsync`.
    static func folder(_ path: String) throws(ArtifactError) -> OpenFile {
        let descriptor = retryingOnInterrupt { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        if descriptor >= 0 { return OpenFile(owning: descriptor) }
        switch errno {
        case ENOENT: throw ArtifactError(.notFound, path: path, "no such folder")
        case ENOTDIR:
            throw ArtifactError(.notABundle, path: path, "not a folder; a bundle is a folder with a manifest.json")
        default: throw .system(path: path, "cannot open the folder")
        }
    }

    /// Whether `path` still names this file or folder.
    func isStill(at path: String) -> Bool {
        var here = stat()
        var there = stat()
        guard fstat(descriptor, &here) == 0, stat(path, &there) == 0 else { return false }
        return here.st_dev == there.st_dev && here.st_ino == there.st_ino
    }

    /// Opens a regular file of a folder for reading; links are refused, so nothing outside the folder is read.
    ///
    /// - Parameter folder: Descriptor of the folder, or `AT_FDCWD` to take `name` as a path (links are then followed).
    static func reading(_ name: String, in folder: Int32, path: String) throws(ArtifactError) -> OpenFile {
        // O_NONBLOCK: a pipe put in a file's place must not hang the opener.
        let link = folder == AT_FDCWD ? 0 : O_NOFOLLOW
        let descriptor = retryingOnInterrupt { openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | link) }
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT: throw ArtifactError(.notFound, path: path, "the file is missing; publish or copy it again")
            case ELOOP:
                throw ArtifactError(
                    .unsafePath, path: path, "a symbolic link; the files of a bundle must be plain files")
            default: throw .system(path: path, "cannot open the file")
            }
        }
        let file = OpenFile(owning: descriptor)
        _ = try file.size(path: path)
        return file
    }

    /// Size in bytes of a regular file; anything else is refused.
    func size(path: String) throws(ArtifactError) -> Int {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw .system(path: path, "cannot read the file's size") }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw ArtifactError(.unsafePath, path: path, "not a plain file")
        }
        return Int(information.st_size)
    }

    /// Fills `buffer` from `offset` on as far as the file goes.
    ///
    /// - Returns: Bytes read; fewer than asked for only at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int, path: String) throws(ArtifactError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = retryingOnInterrupt { pread(descriptor, rest.baseAddress, rest.count, offset + filled) }
            if count < 0 { throw .system(path: path, "cannot read") }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Writes all of `bytes` at the end.
    func write(_ bytes: UnsafeRawBufferPointer, path: String) throws(ArtifactError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = UnsafeRawBufferPointer(rebasing: rest)
            let count = retryingOnInterrupt { Glibc.write(descriptor, chunk.baseAddress, chunk.count) }
            if count < 0 { throw .system(path: path, "cannot write") }
            rest = rest[(rest.startIndex + count)...]
        }
    }

    /// Waits until the content has reached the disk.
    func synchronize(path: String) throws(ArtifactError) {
        guard retryingOnInterrupt({ fsync(descriptor) }) == 0 else { throw .system(path: path, "cannot flush to disk") }
    }
}

/// Repeats a system call that a signal interrupted.
func retryingOnInterrupt<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}

extension ArtifactError {
    /// The operating system's refusal, from `errno`.
    static func system(path: String, _ what: String) -> ArtifactError {
        let number = errno
        let remedy =
            switch number {
            case ENOSPC, EDQUOT: "; free some space or choose another place"
            case EACCES, EPERM, EROFS: "; check the permissions"
            case EMFILE, ENFILE: "; raise the limit of open files"
            default: ""
            }
        return ArtifactError(.system, path: path, "\(what): \(String(cString: strerror(number)))\(remedy)")
    }
}
