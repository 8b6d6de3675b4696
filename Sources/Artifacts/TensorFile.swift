import Glibc
import Synchronization

/// A safetensors file, mapped read-only.
///
/// Opening checks every field of the header: sizes, types, shapes, offsets, overlaps, holes, names given twice. After
/// that each tensor lies inside the file; what its numbers say is for the reader of the tensor to check.
/// `Sendable`: nothing changes after `init`.
package final class TensorFile: @unchecked Sendable {
    package let path: String
    /// The `__metadata__` texts.
    package let metadata: [String: String]
    package let fileBytes: Int

    private let map: MappedFile
    private let data: UnsafeRawBufferPointer
    private let entries: [String: TensorEntry]
    /// Tensors that do not begin at a multiple of 64 bytes, copied to such a place when first asked for.
    private let copies = Mutex<[String: AlignedCopy]>([:])
    /// Tensor names in file order, padding left out.
    package let names: [String]

    /// Opens the file at `path`; symbolic links are followed.
    package convenience init(path: String) throws(ArtifactError) {
        let file = try OpenFile.reading(path, in: AT_FDCWD, path: path)
        try self.init(file, path: path)
    }

    /// Maps an open file. Its size is taken now.
    init(_ file: borrowing OpenFile, path: String) throws(ArtifactError) {
        let size = try file.size(path: path)
        guard size >= 8 else {
            throw ArtifactError(
                .sizeMismatch, path: path, "truncated or not a safetensors file: it has \(size) bytes; copy it again")
        }
        let map = try MappedFile(file, size: size, path: path)
        let prefix = UInt64(littleEndian: map.bytes.loadUnaligned(as: UInt64.self))
        let length = try TensorLayout.headerLength(prefix: prefix, fileBytes: size, path: path)
        let header = try TensorLayout.parse(
            json: Array(map.bytes[8..<(8 + length)]), dataBytes: size - 8 - length, path: path)
        self.path = path
        self.map = map
        metadata = header.metadata
        fileBytes = size
        data = UnsafeRawBufferPointer(rebasing: map.bytes[header.dataOffset...])
        let real = header.entries.filter { !$0.name.hasPrefix(TensorLayout.paddingPrefix) }
        entries = Dictionary(real.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        names = real.map(\.name)
    }

    package func has(_ name: String) -> Bool { entries[name] != nil }

    /// Tells the kernel how the whole file will be used.
    package func advise(_ advice: AccessAdvice) { Artifacts.advise(data, advice) }

    /// Type and shape of a tensor, whatever they are.
    package func describe(_ name: String) -> (type: TensorType, shape: [Int])? {
        entries[name].map { ($0.type, $0.shape) }
    }

    /// The tensor `name`, which must have this type and shape.
    ///
    /// - Parameter shape: The extents wanted; nil where any will do.
    /// - Throws: `missingTensor` or `wrongTensor`, naming what was expected and found.
    /// - Complexity: O(1) for files written here; a tensor that does not begin at a multiple of 64 bytes (files written
    ///   by other tools) is copied to memory when first asked for.
    package func tensor(_ name: String, _ type: TensorType, shape: [Int?]) throws(ArtifactError) -> Tensor {
        let expected = "\(type.rawValue) [\(shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", "))]"
        guard let entry = entries[name] else {
            throw ArtifactError(
                .missingTensor, path: path, "lacks the tensor \"\(name)\" (\(expected)); it has \(names.sorted())")
        }
        let fits = entry.shape.count == shape.count && zip(entry.shape, shape).allSatisfy { $1 == nil || $0 == $1 }
        guard entry.type == type, fits else {
            throw ArtifactError(
                .wrongTensor, path: path,
                "tensor \"\(name)\" is \(entry.type.rawValue) \(entry.shape); expected \(expected)")
        }
        return Tensor(name: name, type: type, shape: entry.shape, bytes: aligned(entry), file: self)
    }

    private func aligned(_ entry: TensorEntry) -> UnsafeRawBufferPointer {
        let bytes = UnsafeRawBufferPointer(rebasing: data[entry.range])
        if bytes.isEmpty || Int(bitPattern: bytes.baseAddress) % TensorLayout.alignment == 0 { return bytes }
        return copies.withLock { copies in
            let copy = copies[entry.name] ?? AlignedCopy(bytes)
            copies[entry.name] = copy
            return copy.bytes
        }
    }
}

/// A typed, shaped view of a file's bytes.
///
/// Pointers taken from it are valid while `file` lives; whoever keeps a pointer keeps the file too, and the compiler does
/// not see that: use `withExtendedLifetime` for a pointer taken and used in one function.
/// `Sendable`: the bytes are read-only for as long as the file lives.
package struct Tensor: @unchecked Sendable {
    package let name: String
    package let type: TensorType
    package let shape: [Int]
    /// Little-endian, row-major, beginning at a multiple of 64 bytes. Valid while `file` lives.
    package let bytes: UnsafeRawBufferPointer
    package let file: TensorFile
    /// What has to be kept alive with `bytes`: the file.
    package var owner: any AnyObject & Sendable { file }

    /// The elements; valid while `file` lives.
    ///
    /// - Precondition: `T` is as wide as the tensor's type.
    package func elements<T: BitwiseCopyable>(as _: T.Type = T.self) -> UnsafeBufferPointer<T> {
        precondition(
            MemoryLayout<T>.stride == type.byteCount, "tensor \(name) is \(type.rawValue), asked for as \(T.self)")
        return bytes.bindMemory(to: T.self)
    }

    /// A copy of the elements, for small tensors.
    package func array<T: BitwiseCopyable>(of type: T.Type = T.self) -> [T] {
        withExtendedLifetime(file) { Array(elements(as: type)) }
    }

    /// Tells the kernel how the tensor will be used.
    package func advise(_ advice: AccessAdvice) { Artifacts.advise(bytes, advice) }
}

/// Bytes copied to a 64-byte boundary. `Sendable`: written once, in `init`.
private final class AlignedCopy: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer

    init(_ source: UnsafeRawBufferPointer) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: source.count, alignment: TensorLayout.alignment)
        copy.copyMemory(from: source)
        bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}
