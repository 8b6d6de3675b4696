import Crypto
import Glibc
import Synchronization

/// Puts a bundle together beside its destination and publishes it in one step.
///
/// Files go to a staging folder; `publish` flushes everything to disk and renames the folder, so a reader sees the
/// whole bundle or nothing. Until then `abandon`, or letting go of the writer, leaves no trace; what a killed process
/// leaves behind is removed by the next writer to the same destination.
///
/// ```
/// staging --publish--> published          staging --abandon / deinit--> abandoned
/// ```
package final class BundleWriter: Sendable {
    private struct State {
        var phase = Phase.staging
        /// nil while the file is being written.
        var files: [String: TensorFileWriter.Record?] = [:]
    }

    private enum Phase { case staging, published, abandoned }

    /// Where the bundle will stand.
    package let destination: String
    private let replace: Bool
    private let base: String
    private let parentPath: String
    private let staging: StagingFolder
    private let state = Mutex(State())

    /// Checks the destination and makes the staging folder.
    ///
    /// - Parameters:
    ///   - destination: The bundle's folder; its parent must exist. An empty folder may stand there.
    ///   - replace: Whether a bundle that stands there is exchanged for the new one. Anything else is never replaced.
    /// - Throws: `alreadyExists`, `notFound` (no parent) or `system`.
    package init(destination: String, replace: Bool = false) throws(ArtifactError) {
        let (parentPath, base) = try Self.split(destination)
        self.destination = destination
        self.replace = replace
        self.base = base
        self.parentPath = parentPath
        do throws(ArtifactError) {
            staging = try StagingFolder(for: base, in: parentPath)
        } catch  where error.code == .notFound {
            throw ArtifactError(.notFound, path: parentPath, "no such folder to publish \(base) in; create it first")
        } catch  where error.code == .notABundle {
            throw ArtifactError(.notFound, path: parentPath, "not a folder; \(base) needs one to be published in")
        }
        StagingFolder.removeLeftovers(of: base, in: staging.parent)
        do throws(ArtifactError) {
            _ = try occupant()
        } catch {
            abandon()
            throw error
        }
    }

    deinit { abandon() }

    /// The staging folder's path.
    package var stagingPath: String { "\(parentPath)/\(staging.name)" }

    /// Starts the tensor file `name` (without `.safetensors`). Several may be written at the same time.
    package func file(_ name: String, metadata: [String: String] = [:]) throws(ArtifactError) -> TensorFileWriter {
        let fileName = "\(name).safetensors"
        precondition(Manifest.isFileName(fileName), "\(fileName) cannot be the name of a bundle's file")
        let path = "\(stagingPath)/\(fileName)"
        let isStaging = state.withLock { state in
            guard state.phase == .staging else { return false }
            precondition(state.files[fileName] == nil, "\(fileName) is written twice")
            state.files[fileName] = .some(nil)
            return true
        }
        guard isStaging else { throw abandoned() }
        let file = try create(fileName, path: path)
        return TensorFileWriter(file: file, path: path, metadata: metadata) { [self] record in
            state.withLock { $0.files[fileName] = record }
        }
    }

    /// Flushes everything, puts the bundle in its place and gives its manifest.
    ///
    /// - Throws: `alreadyExists` when another bundle came to stand there, `system` when the disk is full or the writer
    ///   was abandoned. After an error the writer can only be abandoned.
    /// - Precondition: Every file is finished.
    @discardableResult
    package func publish(_ content: ManifestContent) throws(ArtifactError) -> Manifest {
        let manifest = try seal(content)
        try staging.folder.synchronize(path: stagingPath)
        try put()
        state.withLock { $0.phase = .published }
        try staging.parent.synchronize(path: parentPath)
        return manifest
    }

    /// Removes the staging folder, unless the bundle is published. May be called from any thread, more than once.
    package func abandon() {
        let isStaging = state.withLock { state in
            defer { if state.phase == .staging { state.phase = .abandoned } }
            return state.phase == .staging
        }
        if isStaging { StagingFolder.remove(staging.name, staging.folder, in: staging.parent.descriptor) }
    }

    // MARK: Manifest

    private func seal(_ content: ManifestContent) throws(ArtifactError) -> Manifest {
        let (phase, records) = state.withLock { ($0.phase, $0.files) }
        guard phase == .staging else { throw abandoned() }
        let files = records.sorted { $0.key < $1.key }.map { name, record in
            guard let record else { preconditionFailure("\(name) is not finished") }
            return Manifest.File(path: name, bytes: record.bytes, sha256: record.sha256, chunks: record.chunks)
        }
        let manifest = Manifest(content: content, files: files)
        let text = Array((JSONText.print(manifest.json, indented: true) + "\n").utf8)
        // Nothing is published that could not be opened again.
        _ = try Manifest(json: text, path: "\(stagingPath)/\(Manifest.fileName)")
        try write(text, to: Manifest.fileName)
        let sum = "\(Checksum.sha256(of: text))  \(Manifest.fileName)\n"
        try write(Array(sum.utf8), to: Manifest.sumFileName)
        return manifest
    }

    private func create(_ name: String, path: String) throws(ArtifactError) -> OpenFile {
        let descriptor = retryingOnInterrupt {
            openat(staging.folder.descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        }
        guard descriptor >= 0 else { throw .system(path: path, "cannot create the file") }
        return OpenFile(owning: descriptor)
    }

    private func write(_ bytes: [UInt8], to name: String) throws(ArtifactError) {
        let path = "\(stagingPath)/\(name)"
        let file = try create(name, path: path)
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(ArtifactError) in try file.write(bytes, path: path) }
        }
        try result.get()
        try file.synchronize(path: path)
    }

    private func abandoned() -> ArtifactError {
        ArtifactError(.system, path: destination, "the bundle was abandoned before it was published")
    }

    // MARK: Into place

    /// What stands at the destination and may be replaced.
    private enum Occupant { case none, emptyFolder, bundle }

    private func taken(_ fault: String) -> ArtifactError { ArtifactError(.alreadyExists, path: destination, fault) }

    private func occupant() throws(ArtifactError) -> Occupant {
        var information = stat()
        guard fstatat(staging.parent.descriptor, base, &information, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return .none }
            throw .system(path: destination, "cannot look at the destination")
        }
        switch information.st_mode & S_IFMT {
        case S_IFDIR: break
        case S_IFLNK: throw taken("a symbolic link; publish to the folder itself or to a new name")
        default: throw taken("a file stands there; choose another name")
        }
        do throws(ArtifactError) {
            let isEmpty = try Bundle.steadily("\(parentPath)/\(base)") { folder throws(ArtifactError) in
                if StagingFolder.entries(of: folder).isEmpty { return true }
                _ = try Bundle.readManifest(in: folder, path: destination)
                return false
            }
            if isEmpty { return .emptyFolder }
        } catch {
            switch error.code {
            case .notFound: return .none
            // A damaged bundle or one of another version is still a bundle.
            case .checksumMismatch, .newerFormat: break
            default: throw taken("the folder is not empty and not a bundle; remove it or choose another name")
            }
        }
        guard replace else { throw taken("a bundle stands there; --replace replaces it, or choose another name") }
        return .bundle
    }

    private func put() throws(ArtifactError) {
        let parent = staging.parent.descriptor
        // Others may publish to the same place: look again when what stands there has changed.
        for _ in 0..<16 {
            if try occupant() == .bundle {
                if exchange(staging.name, base, in: parent) { return removeOld(staging.name) }
                switch errno {
                case ENOENT: continue
                case ENOSYS, EINVAL, ENOTSUP: return try replaceInTwoSteps()
                default: throw .system(path: destination, "cannot put the bundle in its place")
                }
            }
            // Succeeds only where nothing, or an empty folder, stands.
            if renameat(parent, staging.name, parent, base) == 0 { return }
            guard [EEXIST, ENOTEMPTY, ENOTDIR].contains(errno) else {
                throw .system(path: destination, "cannot put the bundle in its place")
            }
        }
        throw taken("others keep publishing there; choose another name")
    }

    /// Removes an old bundle that now bears another name.
    private func removeOld(_ name: String) {
        let parent = staging.parent.descriptor
        let old = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if old >= 0 { StagingFolder.remove(name, OpenFile(owning: old), in: parent) }
    }

    /// For file systems that cannot exchange two folders: for a moment no bundle stands at the destination.
    private func replaceInTwoSteps() throws(ArtifactError) {
        let parent = staging.parent.descriptor
        let aside = StagingFolder.aside(staging.name)
        guard renameat(parent, base, parent, aside) == 0 else {
            throw .system(path: destination, "cannot move the old bundle aside")
        }
        guard renameat(parent, staging.name, parent, base) == 0 else {
            let error = ArtifactError.system(path: destination, "cannot put the bundle in its place")
            renameat(parent, aside, parent, base)
            throw error
        }
        removeOld(aside)
    }

    /// The parent folder and the last part of a path.
    private static func split(_ destination: String) throws(ArtifactError) -> (parent: String, base: String) {
        var path = destination[...]
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        let base = path.lastIndex(of: "/").map { path[path.index(after: $0)...] } ?? path
        guard !base.isEmpty, base != ".", base != "..", base.utf8.count <= 200 else {
            throw ArtifactError(.unsafePath, path: destination, "not the name of a folder to publish to")
        }
        let parent = path.dropLast(base.count)
        return (parent.isEmpty ? "." : parent == "/" ? "/" : String(parent.dropLast()), String(base))
    }
}
