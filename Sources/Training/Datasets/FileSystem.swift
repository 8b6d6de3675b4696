#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The few questions that data sets ask of the file system.
package enum FileSystem {
    package static func isDirectory(_ path: String) -> Bool {
        mode(path).map { $0 & S_IFMT == S_IFDIR } ?? false
    }

    package static func isFile(_ path: String) -> Bool {
        mode(path).map { $0 & S_IFMT == S_IFREG } ?? false
    }

    /// Throws unless `path` is a file that may be read. What it holds is not looked at.
    package static func checkReadable(_ path: String) throws(DatasetError) {
        guard access(path, R_OK) == 0 else { throw unopened(path) }
        if isDirectory(path) { throw notAFile(path) }
    }

    static func notAFile(_ path: String) -> DatasetError {
        DatasetError(.unreadable, "\(path): is a directory; name a file in it")
    }

    /// Why `path` could not be opened, by `errno`.
    static func unopened(_ path: String) -> DatasetError {
        switch errno {
        case ENOENT, ENOTDIR: DatasetError(.notFound, "\(path): no such file")
        case EACCES: DatasetError(.unreadable, "\(path): may not be read by this user; check its permissions")
        default: DatasetError(.unreadable, "\(path): cannot be opened (\(String(cString: strerror(errno))))")
        }
    }

    /// Makes the directory `path` if it is not there; its parent has to be.
    ///
    /// - Returns: Whether it was made.
    package static func makeDirectory(_ path: String) throws(DatasetError) -> Bool {
        if mkdir(path, 0o755) == 0 { return true }
        let reason = errno
        if isDirectory(path) { return false }
        errno = reason
        throw refused(path, "the directory cannot be made")
    }

    /// The operating system's refusal to write, from `errno`, with what to do.
    static func refused(_ path: String, _ what: String) -> DatasetError {
        let number = errno
        let remedy =
            switch number {
            case ENOSPC, EDQUOT: "; free some space or choose another place"
            case EACCES, EPERM, EROFS: "; check the permissions"
            default: ""
            }
        return DatasetError(.unreadable, "\(path): \(what): \(String(cString: strerror(number)))\(remedy)")
    }

    /// The directory part of `path`, with its last slash; empty when there is none.
    package static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode : nil
    }
}
