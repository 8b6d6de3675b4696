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

    /// Makes the directory `path` if it is not there; its parent has to be.
    package static func makeDirectory(_ path: String) throws(DatasetError) {
        if mkdir(path, 0o755) == 0 || isDirectory(path) { return }
        throw DatasetError(.unreadable, "\(path): the directory cannot be made (\(String(cString: strerror(errno))))")
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
