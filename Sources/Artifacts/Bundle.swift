import Glibc

/// A model on disk: a folder with a checked manifest and the tensor files it lists.
///
/// Everything is checked while opening, in parallel: the manifest against its own checksum, each file against the
/// size (and, with `.full`, the SHA-256) that the manifest gives, each tensor file's header. Files that the manifest
/// does not list are never opened. A bundle that was replaced or removed while open stays readable until released.
///
/// A file that also imports Foundation says `import class Artifacts.Bundle` to mean this one.
package final class Bundle: Sendable {
    /// How far the files are compared with the manifest.
    package enum Verification: String, Sendable, CaseIterable {
        /// Sizes and SHA-256 of every byte.
        case full
        /// Sizes only: finds truncated copies, not flipped bits.
        case sizes
    }

    /// The folder, as given, without a slash at its end.
    package let path: String
    package let manifest: Manifest
    package let verification: Verification

    private let tensorFiles: [String: TensorFile]
    private static let tensorFileSuffix = ".safetensors"

    /// Opens and checks a bundle.
    ///
    /// - Throws: `ArtifactError` naming the file and the fault.
    /// - Complexity: With `.full` reads every byte once: 1 to 2 GB/s and core where the processor has SHA instructions.
    package init(opening path: String, verify verification: Verification = .full) throws(ArtifactError) {
        let path = Self.withoutTrailingSlash(path)
        self.path = path
        self.verification = verification
        (manifest, tensorFiles) = try Self.steadily(path) { folder throws(ArtifactError) in
            try Self.openAll(in: folder, path: path, verification)
        }
    }

    /// Runs `body` on the folder at `path`, again when the folder was replaced meanwhile: the files of the old one are
    /// then going away, and that is no fault of the new one.
    static func steadily<Result>(
        _ path: String, _ body: (borrowing OpenFile) throws(ArtifactError) -> Result
    ) throws(ArtifactError) -> Result {
        var attemptsLeft = 16
        while true {
            let folder = try OpenFile.folder(path)
            do throws(ArtifactError) {
                return try body(folder)
            } catch {
                attemptsLeft -= 1
                if attemptsLeft == 0 || folder.isStill(at: path) { throw error }
            }
        }
    }

    private static func openAll(
        in folder: borrowing OpenFile, path: String, _ verification: Verification
    ) throws(ArtifactError) -> (Manifest, [String: TensorFile]) {
        let manifest = try Self.readManifest(in: folder, path: path)
        let files = manifest.files
        let opened = BundleFiles()
        let descriptor = folder.descriptor
        let tasks = Self.tasks(files, verification)
        try Checksum.inParallel(tasks.count) { index throws(ArtifactError) in
            let file = files[tasks[index].file]
            if let chunk = tasks[index].chunk {
                try Self.verify(file, chunk: chunk, in: descriptor, of: path)
            } else if let tensorFile = try Self.open(
                file, in: descriptor, of: path, file.chunks.isEmpty ? verification : .sizes)
            {
                opened.add(String(file.path.dropLast(Self.tensorFileSuffix.utf8.count)), tensorFile)
            }
        }
        return (manifest, opened.all)
    }

    /// What there is to do to open all files: to open each, and to check the chunks of those that have chunk sums.
    ///
    /// Largest first, so that the cores finish together.
    private static func tasks(_ files: [Manifest.File], _ verification: Verification) -> [(file: Int, chunk: Int?)] {
        let order = files.indices.sorted { (files[$1].bytes, files[$0].path) < (files[$0].bytes, files[$1].path) }
        let whole = order.map { (file: $0, chunk: Int?.none) }
        guard verification == .full else { return whole }
        return whole + order.flatMap { file in files[file].chunks.indices.map { (file: file, chunk: Int?.some($0)) } }
    }

    /// Checks one chunk of a listed file.
    private static func verify(
        _ file: Manifest.File, chunk: Int, in folder: Int32, of path: String
    ) throws(ArtifactError) {
        let filePath = "\(path)/\(file.path)"
        let source = try OpenFile.reading(file.path, in: folder, path: filePath)
        let start = chunk * Manifest.chunkBytes
        let range = start..<min(file.bytes, start + Manifest.chunkBytes)
        let sum = try Checksum.sha256(of: source, range, path: filePath)
        guard sum == file.chunks[chunk] else {
            throw corrupt(filePath, sum, file.chunks[chunk], " from byte \(start) on")
        }
    }

    private static func corrupt(_ path: String, _ sum: String, _ said: String, _ place: String = "") -> ArtifactError {
        ArtifactError(
            .checksumMismatch, path: path,
            "corrupt\(place): its SHA-256 is \(sum.prefix(12))... and the manifest says \(said.prefix(12))...; "
                + "publish or copy the bundle again")
    }

    static func withoutTrailingSlash(_ path: String) -> String {
        path.count > 1 && path.hasSuffix("/") ? withoutTrailingSlash(String(path.dropLast())) : path
    }

    /// Whether the bundle has the tensor file `name` (without `.safetensors`).
    package func has(_ name: String) -> Bool { tensorFiles[name] != nil }

    /// The tensor file `name` (without `.safetensors`).
    package func file(_ name: String) throws(ArtifactError) -> TensorFile {
        guard let file = tensorFiles[name] else {
            throw ArtifactError(
                .notFound, path: path,
                "the bundle has no \(name)\(Self.tensorFileSuffix); it has \(manifest.files.map(\.path).sorted())")
        }
        return file
    }

    /// Reads the manifest alone, without looking at the files.
    package static func readManifest(at path: String) throws(ArtifactError) -> Manifest {
        try steadily(path) { folder throws(ArtifactError) in try readManifest(in: folder, path: path) }
    }

    static func readManifest(in folder: borrowing OpenFile, path: String) throws(ArtifactError) -> Manifest {
        let manifestPath = "\(path)/\(Manifest.fileName)"
        let bytes: [UInt8]
        do throws(ArtifactError) {
            bytes = try readSmall(Manifest.fileName, in: folder, path: manifestPath)
        } catch  where error.code == .notFound {
            throw ArtifactError(
                .notABundle, path: path, "not a bundle: it has no \(Manifest.fileName); was it published completely?")
        }
        let manifest = try Manifest(json: bytes, path: manifestPath)
        let sumPath = "\(path)/\(Manifest.sumFileName)"
        let sum: [UInt8]
        do throws(ArtifactError) {
            sum = try readSmall(Manifest.sumFileName, in: folder, path: sumPath)
        } catch  where error.code == .notFound {
            return manifest  // Made by another tool; the sum is optional.
        }
        guard Array(sum.prefix(64)) == Array(Checksum.sha256(of: bytes).utf8) else {
            throw ArtifactError(
                .checksumMismatch, path: manifestPath,
                "changed since it was published (\(Manifest.sumFileName) differs); publish or copy the bundle again"
            )
        }
        return manifest
    }

    private static func readSmall(
        _ name: String, in folder: borrowing OpenFile, path: String
    ) throws(ArtifactError) -> [UInt8] {
        let file = try OpenFile.reading(name, in: folder.descriptor, path: path)
        let size = try file.size(path: path)
        guard size <= Manifest.bytesMax else {
            throw ArtifactError(.malformed, path: path, "it has \(size) bytes; at most \(Manifest.bytesMax) are read")
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 1)
        defer { buffer.deallocate() }
        let count = try file.read(into: buffer, at: 0, path: path)
        return Array(buffer[..<count])
    }

    /// Checks one listed file; maps it when it is a tensor file.
    static func open(
        _ file: Manifest.File, in folder: Int32, of path: String, _ verification: Verification
    ) throws(ArtifactError) -> TensorFile? {
        let filePath = "\(path)/\(file.path)"
        let source = try OpenFile.reading(file.path, in: folder, path: filePath)
        let size = try source.size(path: filePath)
        guard size == file.bytes else {
            let what = size < file.bytes ? "truncated" : "longer than published"
            throw ArtifactError(
                .sizeMismatch, path: filePath,
                "\(what): it has \(size) bytes and the manifest says \(file.bytes); publish or copy the bundle again")
        }
        if verification == .full {
            let sum = try Checksum.sha256(of: source, path: filePath)
            guard sum == file.sha256 else { throw corrupt(filePath, sum, file.sha256) }
        }
        guard file.path.hasSuffix(tensorFileSuffix) else { return nil }
        return try TensorFile(source, path: filePath)
    }
}
