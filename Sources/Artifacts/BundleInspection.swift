import Glibc
import Synchronization

/// What a look at a bundle found, file by file; unlike opening it goes on after the first fault.
package struct BundleInspection: Sendable {
    package enum FileState: Equatable, Sendable {
        /// Size and SHA-256 are those of the manifest, and the header is sound.
        case verified
        /// The size is right and the header is sound; the checksum was not computed.
        case sizeOnly
        case faulty(ArtifactError)
    }

    package struct File: Sendable {
        package let file: Manifest.File
        package let state: FileState
        /// The tensors, where the file is a sound tensor file.
        package let tensors: [(name: String, type: TensorType, shape: [Int])]
    }

    package let path: String
    package let manifest: Manifest
    /// In the order of the manifest.
    package let files: [File]

    package var faults: [ArtifactError] {
        files.compactMap { if case .faulty(let error) = $0.state { error } else { nil } }
    }

    /// Looks at the bundle in the folder `path`.
    ///
    /// - Throws: `ArtifactError` when there is no bundle or its manifest cannot be trusted.
    package init(of path: String, verify: Bundle.Verification = .full) throws(ArtifactError) {
        let path = Bundle.withoutTrailingSlash(path)
        let folder = try OpenFile.folder(path)
        let manifest = try Bundle.readManifest(in: folder, path: path)
        let descriptor = folder.descriptor
        let found = Mutex<[Int: File]>([:])
        try Checksum.inParallel(manifest.files.count) { index throws(ArtifactError) in
            let file = manifest.files[index]
            var state = verify == .full ? FileState.verified : .sizeOnly
            var tensors: [(name: String, type: TensorType, shape: [Int])] = []
            do throws(ArtifactError) {
                let opened = try Bundle.open(file, in: descriptor, of: path, verify)
                tensors =
                    opened.map { opened in
                        opened.names.compactMap { name in opened.describe(name).map { (name, $0.type, $0.shape) } }
                    } ?? []
            } catch {
                state = .faulty(error)
            }
            let result = File(file: file, state: state, tensors: tensors)
            found.withLock { $0[index] = result }
        }
        self.path = path
        self.manifest = manifest
        files = found.withLock { found in found.sorted { $0.key < $1.key }.map(\.value) }
    }
}
