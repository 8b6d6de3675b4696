import Glibc

/// A folder beside the destination in which a bundle is put together: `<name>.staging-<pid>-<random>`.
///
/// The process that fills it holds a lock (`flock`) on it, so a folder without a lock is the leftover of a process that
/// died, and whoever writes next to the same destination removes it. The lock goes away with the process.
struct StagingFolder: ~Copyable {
    let name: String
    /// Descriptor of the parent folder.
    let parent: OpenFile
    let folder: OpenFile

    /// Makes and locks a new one in the folder `parentPath`.
    init(for base: String, in parentPath: String) throws(ArtifactError) {
        let parent = try OpenFile.folder(parentPath)
        for _ in 0..<100 {
            let name = Self.prefix(base) + "\(getpid())-" + String(UInt32.random(in: .min ... .max), radix: 16)
            guard mkdirat(parent.descriptor, name, 0o777) == 0 else {
                if errno == EEXIST { continue }
                throw .system(path: parentPath, "cannot create a folder in it")
            }
            if let folder = Self.openLocked(name, in: parent.descriptor) {
                self.name = name
                self.parent = parent
                self.folder = OpenFile(owning: folder)
                return
            }
        }
        throw .system(path: parentPath, "cannot keep a staging folder in it")
    }

    /// Opens and locks a folder just made; nil when a cleaner came between and the folder is gone or going.
    private static func openLocked(_ name: String, in parent: Int32) -> Int32? {
        let descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        // Where the file system has no locks, cleaners get none either and remove nothing.
        let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
        if !isTaken, exists(name, in: parent) { return descriptor }
        close(descriptor)
        return nil
    }

    static func prefix(_ base: String) -> String { "\(base).staging-" }

    private static func exists(_ name: String, in parent: Int32) -> Bool {
        var information = stat()
        return fstatat(parent, name, &information, AT_SYMLINK_NOFOLLOW) == 0
    }

    /// The name under which an old bundle waits while the new one is put in its place.
    static func aside(_ staging: String) -> String { "\(staging)\(asideSuffix)" }

    private static let asideSuffix = "-old"

    /// Removes the staging folders of `base` that no living process holds. An old bundle that was put aside by a
    /// process that died before the new one stood is put back.
    static func removeLeftovers(of base: String, in parent: borrowing OpenFile) {
        for name in entries(of: parent) where name.hasPrefix(prefix(base)) {
            let descriptor = openat(parent.descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            let folder = OpenFile(owning: descriptor)
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
            if name.hasSuffix(asideSuffix), !exists(base, in: parent.descriptor) {
                renameat(parent.descriptor, name, parent.descriptor, base)
            } else {
                remove(name, folder, in: parent.descriptor)
            }
        }
    }

    /// Removes the plain files of a folder and the folder. One that holds folders is left alone: it is not ours.
    static func remove(_ name: String, _ folder: borrowing OpenFile, in parent: Int32) {
        for file in entries(of: folder) { unlinkat(folder.descriptor, file, 0) }
        unlinkat(parent, name, AT_REMOVEDIR)
    }

    /// Names in a folder; empty when it cannot be read.
    static func entries(of folder: borrowing OpenFile) -> [String] {
        // A descriptor of its own: reading moves the position that descriptors made by `dup` share.
        let descriptor = openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, let stream = fdopendir(descriptor) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
