import Glibc
import Synchronization

/// A folder of the file system.
package final class FileStorage: LogStorage {
    package let path: String
    private let folder: Int32
    /// Descriptors by name, of notes and of the lock.
    private let open = Mutex<[String: Int32]>([:])

    /// - Parameter creates: Makes the folder, and those above it, where it is missing.
    package init(path: String, creates: Bool) throws(LogError) {
        self.path = path
        if creates { try Self.makeFolders(path) }
        folder = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder < 0 { throw .system(path, "cannot open the folder") }
    }

    deinit {
        open.withLock { for descriptor in $0.values { close(descriptor) } }
        close(folder)
    }

    private static func makeFolders(_ path: String) throws(LogError) {
        var upTo = path.startIndex
        while upTo < path.endIndex {
            upTo = path[path.index(after: upTo)...].firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<upTo])
            if mkdir(part, 0o750) != 0, errno != EEXIST { throw .system(part, "cannot make the folder") }
        }
    }

    package func names() throws(LogError) -> [String] {
        let descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, let stream = fdopendir(descriptor) else { throw .system(path, "cannot list the folder") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    package func read(_ name: String) throws(LogError) -> [UInt8] { try read(name, from: 0, count: .max) }

    package func read(_ name: String, from offset: Int, count: Int) throws(LogError) -> [UInt8] {
        let descriptor = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw .system(file(name), "cannot open the file") }
        defer { close(descriptor) }
        let size = try size(of: descriptor, name)
        let wanted = min(max(0, size - offset), count)
        var problem: LogError?
        let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, filled in
            while filled < wanted {
                let count = pread(descriptor, buffer.baseAddress.map { $0 + filled }, wanted - filled, offset + filled)
                if count < 0, errno == EINTR { continue }
                if count < 0 { problem = .system(file(name), "cannot read") }
                if count <= 0 { break }
                filled += count
            }
        }
        if let problem { throw problem }
        return bytes
    }

    package func size(_ name: String) throws(LogError) -> Int {
        var information = stat()
        guard fstatat(folder, name, &information, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .system(file(name), "cannot read the file's size")
        }
        return Int(information.st_size)
    }

    private func size(of descriptor: Int32, _ name: String) throws(LogError) -> Int {
        var information = stat()
        guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            throw LogError(.malformed, path: file(name), "not a plain file")
        }
        return Int(information.st_size)
    }

    package func create(_ name: String) throws(LogError) -> any LogFile {
        let descriptor = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system(file(name), "cannot make the file") }
        return AppendedFile(descriptor, path: file(name))
    }

    package func truncate(_ name: String, to bytes: Int) throws(LogError) {
        let descriptor = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw .system(file(name), "cannot open the file") }
        defer { close(descriptor) }
        guard ftruncate(descriptor, bytes) == 0, fdatasync(descriptor) == 0 else {
            throw .system(file(name), "cannot cut the file")
        }
    }

    package func remove(_ name: String) throws(LogError) {
        guard unlinkat(folder, name, 0) == 0 else { throw .system(file(name), "cannot remove the file") }
    }

    package func rename(_ name: String, to other: String) throws(LogError) {
        guard renameat(folder, name, folder, other) == 0 else { throw .system(file(other), "cannot replace the file") }
    }

    package func synchronizeNames() throws(LogError) {
        guard fsync(folder) == 0 else { throw .system(path, "cannot flush to disk") }
    }

    package func lock() throws(LogError) {
        let descriptor = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw .system(file("lock"), "cannot make the file") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw LogError(.inUse, path: path, "another process writes to this log; stop it or choose another folder")
        }
        open.withLock { $0["lock"] = descriptor }
    }

    package func unlock() {
        open.withLock { open in
            if let descriptor = open.removeValue(forKey: "lock") { close(descriptor) }
        }
    }

    package func note(_ bytes: [UInt8], as name: String) {
        open.withLock { open in
            let descriptor = open[name] ?? openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0o640)
            guard descriptor >= 0 else { return }
            open[name] = descriptor
            // A note that fails leaves the last one, which promises less.
            _ = pwrite(descriptor, bytes, bytes.count, 0)
        }
    }

    private func file(_ name: String) -> String { "\(path)/\(name)" }

    /// A file open for appending.
    private final class AppendedFile: LogFile {
        private let descriptor: Int32
        private let path: String

        init(_ descriptor: Int32, path: String) {
            self.descriptor = descriptor
            self.path = path
        }

        deinit { close(descriptor) }

        func write(_ bytes: [UInt8]) throws(LogError) {
            let failed = bytes.withUnsafeBytes { bytes in
                var rest = bytes[...]
                while !rest.isEmpty {
                    let count = Glibc.write(descriptor, rest.base.baseAddress.map { $0 + rest.startIndex }, rest.count)
                    if count < 0, errno == EINTR { continue }
                    if count <= 0 { return true }
                    rest = rest.dropFirst(count)
                }
                return false
            }
            if failed { throw .system(path, "cannot write") }
        }

        func synchronize() throws(LogError) {
            guard fdatasync(descriptor) == 0 else { throw .system(path, "cannot flush to disk") }
        }

        func truncate(to bytes: Int) throws(LogError) {
            guard ftruncate(descriptor, bytes) == 0 else { throw .system(path, "cannot cut the file") }
        }
    }
}

extension LogError {
    /// The operating system's refusal, from `errno`.
    static func system(_ path: String, _ what: String) -> LogError {
        let number = errno
        let (code, remedy): (Code, String) =
            switch number {
            case ENOSPC, EDQUOT: (.diskFull, "; free some space or lower events.retention_bytes")
            case EACCES, EPERM, EROFS: (.system, "; check the permissions")
            case EMFILE, ENFILE: (.system, "; raise the limit of open files")
            case ENOENT: (.notFound, "")
            default: (.system, "")
            }
        return LogError(code, path: path, "\(what): \(String(cString: strerror(number)))\(remedy)")
    }
}
