/// One tensor of a safetensors header.
struct TensorEntry: Equatable, Sendable {
    let name: String
    let type: TensorType
    let shape: [Int]
    /// Bytes from the start of the data section.
    let range: Range<Int>
}

/// The header of a safetensors file: what stands where.
///
/// ```
/// 0        u64 little-endian: header bytes
/// 8        JSON {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}, spaces
/// 8+header data, without holes: each tensor begins where the one before it ends
/// ```
/// Our own files pad the JSON with spaces and put small U8 tensors named `_pad0`, `_pad1` ... between tensors, so that
/// every tensor begins at a multiple of 64 bytes (the format allows no holes).
enum TensorLayout {
    static let alignment = 64
    static let headerBytesMax = 4 << 20
    static let rankMax = 8
    static let paddingPrefix = "_pad"

    struct Header: Equatable {
        var metadata: [String: String]
        /// In file order.
        var entries: [TensorEntry]
        /// Where the data section begins in the file.
        var dataOffset: Int
    }

    /// The bytes of a tensor, or nil when the shape is impossible.
    static func byteCount(_ type: TensorType, _ shape: [Int]) -> Int? {
        guard shape.count <= rankMax else { return nil }
        var count = type.byteCount
        for extent in shape {
            guard extent >= 0 else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            count = product
        }
        return count
    }

    // MARK: Reading

    /// Checks the first eight bytes and gives the header's length.
    static func headerLength(prefix: UInt64, fileBytes: Int, path: String) throws(ArtifactError) -> Int {
        guard prefix <= UInt64(headerBytesMax) else {
            throw ArtifactError(
                .malformed, path: path,
                "not a safetensors file, or damaged: its header claims \(prefix) bytes (at most \(headerBytesMax))")
        }
        let length = Int(prefix)
        guard 8 + length <= fileBytes else {
            throw ArtifactError(
                .sizeMismatch, path: path,
                "truncated: the header needs \(8 + length) bytes and the file has \(fileBytes); copy it again")
        }
        return length
    }

    /// Reads and checks the JSON part of a header.
    ///
    /// - Parameter dataBytes: Size of the data section; the tensors must fill it exactly.
    static func parse(json: [UInt8], dataBytes: Int, path: String) throws(ArtifactError) -> Header {
        func malformed(_ fault: String) -> ArtifactError {
            ArtifactError(.malformed, path: path, "bad safetensors header: \(fault)")
        }
        let root: JSONValue
        do throws(JSONText.Fault) {
            root = try JSONText.parse(json)
        } catch {
            throw malformed(error.description)
        }
        guard json.first == UInt8(ascii: "{"), case .object(let members) = root else {
            throw malformed("it does not begin with '{'")
        }
        var metadata: [String: String] = [:]
        var entries: [TensorEntry] = []
        for (name, value) in members {
            if name == "__metadata__" {
                guard case .object(let pairs) = value else { throw malformed("__metadata__ is not an object") }
                for (key, value) in pairs {
                    guard case .string(let text) = value else { throw malformed("__metadata__.\(key) is not a text") }
                    metadata[key] = text
                }
            } else {
                entries.append(try entry(name, value, dataBytes: dataBytes, malformed))
            }
        }
        entries.sort {
            ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name)
        }
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                let what = entry.range.lowerBound < end ? "overlaps the tensor before it" : "leaves a hole before it"
                throw malformed("tensor \"\(entry.name)\" \(what)")
            }
            end = entry.range.upperBound
        }
        guard end == dataBytes else {
            throw ArtifactError(
                .sizeMismatch, path: path, "the tensors take \(end) bytes and the file has \(dataBytes) bytes of data")
        }
        return Header(metadata: metadata, entries: entries, dataOffset: 8 + json.count)
    }

    private static func entry(
        _ name: String, _ value: JSONValue, dataBytes: Int, _ malformed: (String) -> ArtifactError
    ) throws(ArtifactError) -> TensorEntry {
        let label = "tensor \"\(name.prefix(80))\""
        guard case .object = value else { throw malformed("\(label) is not described by an object") }
        guard let typeName = value["dtype"]?.stringValue else { throw malformed("\(label) has no dtype") }
        guard let type = TensorType(rawValue: typeName) else {
            throw malformed("\(label) has the unknown type \"\(typeName.prefix(20))\"")
        }
        var shape: [Int] = []
        guard let extents = value["shape"]?.arrayValue else { throw malformed("\(label) has no shape") }
        for extent in extents {
            guard let count = extent.intValue, count >= 0 else {
                throw malformed("\(label) has a shape that is not a list of whole numbers")
            }
            shape.append(count)
        }
        guard let bytes = byteCount(type, shape) else { throw malformed("\(label) has an impossible shape \(shape)") }
        guard let offsets = value["data_offsets"]?.arrayValue, offsets.count == 2,
            let begin = offsets[0].intValue, let end = offsets[1].intValue, begin >= 0, begin <= end
        else {
            throw malformed("\(label) has no data_offsets of the form [begin, end]")
        }
        guard end <= dataBytes else {
            throw malformed("\(label) ends at byte \(end) of \(dataBytes) bytes of data (truncated?)")
        }
        guard end - begin == bytes else {
            throw malformed(
                "\(label) is \(typeName) \(shape), \(bytes) bytes, but its data_offsets span \(end - begin)")
        }
        return TensorEntry(name: name, type: type, shape: shape, range: begin..<end)
    }

    // MARK: Writing

    /// Places tensors one after the other, each at a multiple of `alignment`, padding tensors between.
    static func place(_ tensors: [(name: String, type: TensorType, shape: [Int], bytes: Int)]) -> [TensorEntry] {
        var entries: [TensorEntry] = []
        var end = 0
        for tensor in tensors {
            let gap = (alignment - end % alignment) % alignment
            if gap > 0 {
                let name = "\(paddingPrefix)\(entries.count)"
                entries.append(TensorEntry(name: name, type: .u8, shape: [gap], range: end..<(end + gap)))
                end += gap
            }
            entries.append(
                TensorEntry(
                    name: tensor.name, type: tensor.type, shape: tensor.shape, range: end..<(end + tensor.bytes)))
            end += tensor.bytes
        }
        return entries
    }

    /// The bytes before the data section: length, JSON, spaces up to a multiple of `alignment`.
    static func encode(metadata: [String: String], entries: [TensorEntry]) -> [UInt8] {
        var text = "{"
        if !metadata.isEmpty {
            text += "\"__metadata__\":" + JSONText.print(.object(metadata.mapValues(JSONValue.string)), indented: false)
        }
        for entry in entries {
            if text.utf8.count > 1 { text += "," }
            JSONText.appendQuoted(entry.name, to: &text)
            let shape = entry.shape.map(String.init).joined(separator: ",")
            text += ":{\"dtype\":\"\(entry.type.rawValue)\",\"shape\":[\(shape)],"
            text += "\"data_offsets\":[\(entry.range.lowerBound),\(entry.range.upperBound)]}"
        }
        text += "}"
        var json = Array(text.utf8)
        while (8 + json.count) % alignment != 0 { json.append(UInt8(ascii: " ")) }
        let length = UInt64(json.count).littleEndian
        return withUnsafeBytes(of: length) { Array($0) } + json
    }
}
