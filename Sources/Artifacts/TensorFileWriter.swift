import Crypto
import Glibc

/// Streams tensors into a safetensors file: all are declared first, then their bytes are appended in that order.
///
/// Holds 1 MiB at most, whatever the size of the model. The SHA-256 is computed on the way.
/// Every tensor of the file begins at a multiple of 64 bytes.
///
/// ```swift
/// try writer.declare("user_factors", .f16, shape: [users, rank])
/// for block in blocks { try writer.append(block, to: "user_factors") }
/// try writer.finish()
/// ```
package final class TensorFileWriter {
    /// What a finished file is.
    struct Record: Sendable {
        let bytes: Int
        let sha256: String
        /// Of each `Manifest.chunkBytes`; empty for a file of one chunk.
        let chunks: [String]
    }

    private enum Phase {
        case declaring  // -> writing, finished
        case writing  // -> finished, failed
        case finished
        case failed
    }

    package let path: String
    private let metadata: [String: String]
    private let file: OpenFile
    private let onFinish: (Record) -> Void
    private var phase = Phase.declaring
    private var declared: [(name: String, type: TensorType, shape: [Int], bytes: Int)] = []
    private var entries: [TensorEntry] = []
    /// The entry being written, and how many of its bytes have been appended.
    private var current = 0
    private var currentBytes = 0
    private var written = 0
    private var hasher = SHA256()
    private var chunkHasher = SHA256()
    private var chunks: [String] = []
    private var buffer: [UInt8] = []
    private static let bufferBytesMax = 1 << 20

    /// Creates a new file at `path`; an existing one is refused.
    package convenience init(path: String, metadata: [String: String] = [:]) throws(ArtifactError) {
        let descriptor = retryingOnInterrupt { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644) }
        guard descriptor >= 0 else { throw .system(path: path, "cannot create the file") }
        self.init(file: OpenFile(owning: descriptor), path: path, metadata: metadata, onFinish: { _ in })
    }

    init(file: consuming OpenFile, path: String, metadata: [String: String], onFinish: @escaping (Record) -> Void) {
        self.file = file
        self.path = path
        self.metadata = metadata
        self.onFinish = onFinish
    }

    /// Announces a tensor. Not after the first `append`.
    ///
    /// - Precondition: The name is new and not reserved; the shape's bytes fit an Int.
    package func declare(_ name: String, _ type: TensorType, shape: [Int]) {
        precondition(phase == .declaring, "tensor \(name) declared after the first append")
        precondition(!declared.contains { $0.name == name }, "tensor \(name) declared twice")
        precondition(
            name != "__metadata__" && !name.hasPrefix(TensorLayout.paddingPrefix), "the name \(name) is reserved")
        guard let bytes = TensorLayout.byteCount(type, shape) else {
            preconditionFailure("\(name): impossible shape \(shape)")
        }
        declared.append((name, type, shape, bytes))
    }

    /// Appends raw little-endian bytes to the tensor `name`, which must be the next unfilled one.
    package func append(_ bytes: UnsafeRawBufferPointer, to name: String) throws(ArtifactError) {
        try begin()
        if bytes.isEmpty { return }  // An empty tensor is filled by nothing.
        try skipFilled()
        precondition(
            current < entries.count && entries[current].name == name,
            "\(path): bytes for \(name), which is full or not the next tensor")
        currentBytes += bytes.count
        precondition(
            currentBytes <= entries[current].range.count,
            "\(path): tensor \(name) was declared with \(entries[current].range.count) bytes and got \(currentBytes)")
        try emit(bytes)
    }

    /// Appends elements to the tensor `name`.
    package func append<T: BitwiseCopyable>(_ elements: UnsafeBufferPointer<T>, to name: String) throws(ArtifactError) {
        checkWidth(of: T.self, for: name)
        try append(UnsafeRawBufferPointer(elements), to: name)
    }

    /// Appends elements to the tensor `name`.
    package func append<T: BitwiseCopyable>(_ elements: [T], to name: String) throws(ArtifactError) {
        checkWidth(of: T.self, for: name)
        let result = elements.withUnsafeBytes { bytes in
            Result { () throws(ArtifactError) in try append(bytes, to: name) }
        }
        try result.get()
    }

    /// Writes what is buffered and waits until it has reached the disk.
    ///
    /// - Precondition: Every declared tensor is filled.
    package func finish() throws(ArtifactError) {
        try begin()
        try skipFilled()
        precondition(
            current == entries.count,
            "\(path): tensor \(current < entries.count ? entries[current].name : "") is not filled")
        try flush()
        try guarded { () throws(ArtifactError) in try file.synchronize(path: path) }
        phase = .finished
        if written % Manifest.chunkBytes != 0 { chunks.append(hexadecimal(chunkHasher.finalize())) }
        let sum = hexadecimal(hasher.finalize())
        onFinish(Record(bytes: written, sha256: sum, chunks: chunks.count > 1 ? chunks : []))
    }

    private func checkWidth<T>(of _: T.Type, for name: String) {
        guard let type = declared.first(where: { $0.name == name })?.type else {
            preconditionFailure("no tensor \(name)")
        }
        precondition(
            MemoryLayout<T>.stride == type.byteCount, "tensor \(name) is \(type.rawValue), written as \(T.self)")
    }

    /// Writes the header before the first byte.
    private func begin() throws(ArtifactError) {
        switch phase {
        case .writing: return
        case .finished: preconditionFailure("\(path) is finished")
        case .failed: throw ArtifactError(.system, path: path, "an earlier write failed")
        case .declaring:
            phase = .writing
            entries = TensorLayout.place(declared)
            try emit(TensorLayout.encode(metadata: metadata, entries: entries))
        }
    }

    /// Moves past full tensors and writes the padding between them.
    private func skipFilled() throws(ArtifactError) {
        while current < entries.count {
            let entry = entries[current]
            if entry.name.hasPrefix(TensorLayout.paddingPrefix) {
                try emit([UInt8](repeating: 0, count: entry.range.count))
            } else if currentBytes < entry.range.count {
                return
            }
            current += 1
            currentBytes = 0
        }
    }

    private func emit(_ bytes: [UInt8]) throws(ArtifactError) {
        let result = bytes.withUnsafeBytes { bytes in Result { () throws(ArtifactError) in try emit(bytes) } }
        try result.get()
    }

    private func emit(_ bytes: UnsafeRawBufferPointer) throws(ArtifactError) {
        if buffer.count + bytes.count > Self.bufferBytesMax { try flush() }
        if bytes.count >= Self.bufferBytesMax {
            try put(bytes)
        } else {
            buffer.append(contentsOf: bytes)
        }
    }

    private func flush() throws(ArtifactError) {
        let full = buffer
        let result = full.withUnsafeBytes { bytes in Result { () throws(ArtifactError) in try put(bytes) } }
        try result.get()
        buffer.removeAll(keepingCapacity: true)
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(ArtifactError) {
        try guarded { () throws(ArtifactError) in try file.write(bytes, path: path) }
        hasher.update(bufferPointer: bytes)
        var rest = bytes
        while !rest.isEmpty {
            let room = Manifest.chunkBytes - written % Manifest.chunkBytes
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(room))
            chunkHasher.update(bufferPointer: part)
            written += part.count
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
            if written % Manifest.chunkBytes == 0 {
                chunks.append(hexadecimal(chunkHasher.finalize()))
                chunkHasher = SHA256()
            }
        }
    }

    private func guarded(_ body: () throws(ArtifactError) -> Void) throws(ArtifactError) {
        do throws(ArtifactError) {
            try body()
        } catch {
            phase = .failed
            throw error
        }
    }
}
