import Artifacts

/// Texts one after the other: their UTF-8 bytes, and where each begins.
///
/// ```
/// <name>.bytes    U8  [total]
/// <name>.offsets  U32 [count + 1]   0, ascending, total
/// ```
struct TextColumn: Sendable {
    let bytes: Column<UInt8>
    let offsets: Column<UInt32>

    /// The largest total of bytes.
    static let bytesMax = Int(UInt32.max)

    var count: Int { offsets.count - 1 }

    /// Adopts checked columns: offsets in order and inside the bytes, lengths in `lengths`, each text valid UTF-8.
    ///
    /// - Parameter what: What a text is, for messages ("user ID").
    init(
        bytes: Column<UInt8>, offsets: Column<UInt32>, lengths: ClosedRange<UInt32>, what: String, path: String
    ) throws(ArtifactError) {
        guard RangeChecks.areOffsets(offsets.values, end: bytes.count, steps: lengths) else {
            throw ArtifactError(
                .invalidContent, path: path,
                "the offsets of the \(what)s are damaged: they must begin at 0, end at \(bytes.count) and give each "
                    + "\(what) \(lengths.lowerBound) to \(lengths.upperBound) bytes")
        }
        self.bytes = bytes
        self.offsets = offsets
        if RangeChecks.areASCII(bytes.values) { return }
        for row in 0..<count where !Self.isUTF8(self[row]) {
            throw ArtifactError(.invalidContent, path: path, "the \(what) of row \(row) is not valid UTF-8")
        }
    }

    /// Reads `<name>.bytes` and `<name>.offsets`.
    init(
        _ file: TensorFile, _ name: String, count: Int?, lengths: ClosedRange<UInt32>, what: String
    ) throws(ArtifactError) {
        let bytes = Column<UInt8>(try file.tensor("\(name).bytes", .u8, shape: [nil]))
        let offsets = Column<UInt32>(try file.tensor("\(name).offsets", .u32, shape: [count.map { $0 + 1 }]))
        try self.init(bytes: bytes, offsets: offsets, lengths: lengths, what: what, path: file.path)
    }

    /// The bytes of the text at `row`; valid while the column lives.
    subscript(row: Int) -> UnsafeRawBufferPointer {
        let begin = Int(offsets[row])
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes.values)[begin..<Int(offsets[row + 1])])
    }

    func string(_ row: Int) -> String { String(decoding: self[row], as: UTF8.self) }

    func declare(_ name: String, in writer: TensorFileWriter) {
        writer.declare("\(name).offsets", .u32, shape: [offsets.count])
        writer.declare("\(name).bytes", .u8, shape: [bytes.count])
    }

    func write(_ name: String, to writer: TensorFileWriter) throws(ArtifactError) {
        try writer.append(offsets.values, to: "\(name).offsets")
        try writer.append(bytes.values, to: "\(name).bytes")
    }

    private static func isUTF8(_ text: UnsafeRawBufferPointer) -> Bool {
        text.allSatisfy { $0 < 0x80 } || String(validating: text, as: UTF8.self) != nil
    }
}

/// Collects texts for a `TextColumn`.
struct TextColumnBuilder {
    private(set) var bytes: [UInt8] = []
    private(set) var offsets: [UInt32] = [0]

    var count: Int { offsets.count - 1 }

    /// - Returns: false when the column is full; nothing is added then.
    mutating func append(_ text: some Collection<UInt8>) -> Bool {
        guard bytes.count + text.count <= TextColumn.bytesMax else { return false }
        bytes.append(contentsOf: text)
        offsets.append(UInt32(bytes.count))
        return true
    }
}
