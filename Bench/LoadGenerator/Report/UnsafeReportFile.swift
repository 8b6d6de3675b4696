import Foundation

/// A file that a report goes to. Its place is checked before the run; its bytes appear there whole or not at all.
package struct ReportFile {
    private let path: String
    /// The plain file that the report replaces; nil: the path is a pipe or a device, which is written to as it is.
    private let replaced: String?

    /// - Parameter flag: Names the flag in messages, as in `--json`.
    /// - Throws: `LoadError` when nothing can be written there.
    package init(_ path: String, flag: String) throws(LoadError) {
        guard !path.isEmpty else { throw LoadError("\(flag) is empty; name a file") }
        self.path = path
        var information = stat()
        guard stat(path, &information) == 0 else {
            let reason = errno
            try ReportFile.check(folderOf: path, flag)
            guard reason == ENOENT else { throw LoadError("\(flag): \(path): \(ReportFile.words(reason))") }
            replaced = path
            return
        }
        guard information.st_mode & S_IFMT != S_IFDIR else {
            throw LoadError("\(flag): \(path) is a folder; name a file in it")
        }
        guard access(path, W_OK) == 0 else { throw LoadError("\(flag): \(path): \(ReportFile.words(errno))") }
        guard information.st_mode & S_IFMT == S_IFREG else {
            replaced = nil
            return
        }
        // A link stays one: the file that it leads to is replaced.
        let target = realpath(path, nil)
        defer { free(target) }
        let file = target.map { String(cString: $0) } ?? path
        try ReportFile.check(folderOf: file, flag)
        replaced = file
    }

    /// Puts `data` in its place.
    ///
    /// - Throws: `LoadError`; what stood there before still does.
    package func write(_ data: Data) throws(LoadError) {
        guard let replaced else { return try fill(path, with: data) }
        let temporary = "\(replaced).part-\(getpid())"
        do throws(LoadError) {
            try fill(temporary, with: data)
            guard rename(temporary, replaced) == 0 else {
                throw LoadError("\(path) cannot be written: \(ReportFile.words(errno))")
            }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private func fill(_ file: String, with data: Data) throws(LoadError) {
        func failed() -> LoadError { LoadError("\(path) cannot be written: \(ReportFile.words(errno))") }
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failed() }
        let isWritten = data.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
        guard isWritten else {
            let error = failed()
            close(descriptor)
            throw error
        }
        guard close(descriptor) == 0 else { throw failed() }
    }

    private static func check(folderOf path: String, _ flag: String) throws(LoadError) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        var information = stat()
        guard stat(folder, &information) == 0, information.st_mode & S_IFMT == S_IFDIR else {
            throw LoadError("\(flag): \(path): there is no folder \(folder); create it first")
        }
        guard access(folder, W_OK | X_OK) == 0 else {
            throw LoadError("\(flag): \(path): nothing can be written in \(folder): \(words(errno))")
        }
    }

    private static func words(_ reason: Int32) -> String {
        switch reason {
        case ENOSPC, EDQUOT: "the disk is full"
        case EACCES, EPERM: "this user may not write there"
        case EROFS: "the file system is read-only"
        default: String(cString: strerror(reason))
        }
    }
}
