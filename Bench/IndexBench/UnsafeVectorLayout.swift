import Foundation

/// Where a file of vectors has its values: row r begins at `start + r * pitch` and holds `columns` elements.
struct VectorLayout: Equatable {
    enum Element: Equatable {
        case float32
        case float32BigEndian
        case int32
        case uint8

        var byteCount: Int { self == .uint8 ? 1 : 4 }

        /// Element `index` of the row at `start`, as a Float.
        func value(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ index: Int) -> Float {
            if self == .uint8 { return Float(bytes[start + index]) }
            let bits = bytes.loadUnaligned(fromByteOffset: start + index * 4, as: UInt32.self)
            return Float(bitPattern: self == .float32BigEndian ? UInt32(bigEndian: bits) : UInt32(littleEndian: bits))
        }
    }

    let rows: Int
    let columns: Int
    let start: Int
    let pitch: Int
    let element: Element

    static let suffixes = ".fbin, .fvecs, .bvecs, .u8bin, .ibin, .ivecs, .npy, idx3-ubyte"

    /// Reads and checks the header, and the file's size against it.
    init(of data: Data, named path: String) throws(IndexBenchError) {
        let bytes = HeaderBytes(data: data, path: path)
        if data.starts(with: [0x1f, 0x8b]) || path.hasSuffix(".gz") {
            throw IndexBenchError("\(path) is compressed; unpack it first (gunzip)")
        }
        let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
        switch name.split(separator: ".").last.map(String.init) ?? "" {
        case "fbin": try self.init(counted: bytes, .float32)
        case "u8bin": try self.init(counted: bytes, .uint8)
        case "ibin": try self.init(counted: bytes, .int32)
        case "fvecs": try self.init(rowByRow: bytes, .float32)
        case "bvecs": try self.init(rowByRow: bytes, .uint8)
        case "ivecs": try self.init(rowByRow: bytes, .int32)
        case "npy": try self.init(numpy: bytes)
        case _ where name.contains("idx") && (name.hasSuffix("ubyte") || name.hasSuffix("idx")):
            try self.init(idx: bytes)
        default:
            throw IndexBenchError("\(path): its name tells none of the formats read here (\(Self.suffixes))")
        }
    }

    /// Rows that follow one another without a gap up to the end of the file.
    private init(
        _ bytes: HeaderBytes, _ rows: Int, _ columns: Int, from start: Int, _ element: Element
    ) throws(IndexBenchError) {
        guard rows > 0, columns > 0 else {
            throw IndexBenchError("\(bytes.path) holds nothing: its header says \(rows) x \(columns)")
        }
        let (count, isTooMany) = rows.multipliedReportingOverflow(by: columns)
        let (size, isTooLong) = count.multipliedReportingOverflow(by: element.byteCount)
        guard !isTooMany, !isTooLong, bytes.data.count - start == size else {
            throw IndexBenchError(
                "\(bytes.path): its header says \(rows) x \(columns) values of \(element.byteCount) bytes, and "
                    + "\(max(bytes.data.count - start, 0)) bytes follow; it is cut off or something else")
        }
        (self.rows, self.columns, self.start, self.element) = (rows, columns, start, element)
        pitch = columns * element.byteCount
    }

    /// .fbin and its like.
    private init(counted bytes: HeaderBytes, _ element: Element) throws(IndexBenchError) {
        try self.init(bytes, bytes.word(at: 0), bytes.word(at: 4), from: 8, element)
    }

    /// .fvecs and its like.
    private init(rowByRow bytes: HeaderBytes, _ element: Element) throws(IndexBenchError) {
        let columns = try bytes.word(at: 0)
        guard columns > 0 else { throw IndexBenchError("\(bytes.path): row 0 says that it has no columns") }
        let pitch = 4 + columns * element.byteCount
        guard bytes.data.count % pitch == 0 else {
            throw IndexBenchError(
                "\(bytes.path): row 0 has \(columns) columns, and \(bytes.data.count) bytes are no whole number of rows of "
                    + "\(pitch) bytes; it is cut off or something else")
        }
        let rows = bytes.data.count / pitch
        for row in 0..<rows {
            let found = try bytes.word(at: row * pitch)
            guard found == columns else {
                throw IndexBenchError("\(bytes.path): row \(row) says \(found) columns, row 0 says \(columns)")
            }
        }
        (self.rows, self.columns, self.start, self.pitch, self.element) = (rows, columns, 4, pitch, element)
    }

    /// Numpy's format, versions 1 to 3.
    private init(numpy bytes: HeaderBytes) throws(IndexBenchError) {
        let path = bytes.path
        guard bytes.data.starts(with: [0x93] + Array("NUMPY".utf8)), bytes.data.count >= 12 else {
            throw IndexBenchError("\(path) does not begin as .npy files do")
        }
        let isShort = try bytes.byte(at: 6) == 1
        let length = try isShort ? bytes.word(at: 8) & 0xffff : bytes.word(at: 8)
        let start = (isShort ? 10 : 12) + length
        guard start <= bytes.data.count else { throw IndexBenchError("\(path) is cut off in its header") }
        let header = NumpyHeader(text: bytes.text((isShort ? 10 : 12)..<start))
        guard let type = header.quoted("descr"), let order = header.word("fortran_order"), let shape = header.shape
        else {
            throw IndexBenchError("\(path): its header names no type, order and shape of plain values")
        }
        let elements: [String: Element] = ["<f4": .float32, "|u1": .uint8, "<i4": .int32]
        guard let element = elements[type] else {
            throw IndexBenchError("\(path) holds values of type \(type); save them as <f4 (numpy.float32)")
        }
        guard order == "False" else {
            throw IndexBenchError("\(path) is in column order; save numpy.ascontiguousarray of it")
        }
        guard shape.count == 2 else {
            throw IndexBenchError("\(path) has \(shape.count) dimensions; 2 are wanted, rows and columns")
        }
        try self.init(bytes, shape[0], shape[1], from: start, element)
    }

    /// The IDX format: what follows the first extent makes the row.
    private init(idx bytes: HeaderBytes) throws(IndexBenchError) {
        let path = bytes.path
        let (type, extents) = (try bytes.byte(at: 2), Int(try bytes.byte(at: 3)))
        guard try bytes.byte(at: 0) == 0, try bytes.byte(at: 1) == 0, (1...8).contains(extents) else {
            throw IndexBenchError("\(path) does not begin as IDX files do")
        }
        guard type == 0x08 || type == 0x0d else {
            throw IndexBenchError("\(path) holds values of the IDX type \(type); 8 (bytes) and 13 (Float32) are read")
        }
        var columns = 1
        for extent in 1..<extents {
            let (product, isTooMany) = columns.multipliedReportingOverflow(
                by: Int(UInt32(truncatingIfNeeded: try bytes.word(at: 4 + extent * 4)).byteSwapped))
            guard !isTooMany else { throw IndexBenchError("\(path): its extents are beyond any file") }
            columns = product
        }
        let rows = Int(UInt32(truncatingIfNeeded: try bytes.word(at: 4)).byteSwapped)
        try self.init(bytes, rows, columns, from: 4 + extents * 4, type == 0x08 ? .uint8 : .float32BigEndian)
    }
}

/// The bytes of a header, read with a check of each place.
private struct HeaderBytes {
    let data: Data
    let path: String

    func byte(at place: Int) throws(IndexBenchError) -> UInt8 {
        guard place < data.count else {
            throw IndexBenchError("\(path): \(data.count) bytes are fewer than its header takes")
        }
        return data[data.startIndex + place]
    }

    /// A little-endian u32.
    func word(at place: Int) throws(IndexBenchError) -> Int {
        guard place >= 0, place <= data.count - 4 else {
            throw IndexBenchError("\(path): \(data.count) bytes are fewer than its header takes")
        }
        return data.withUnsafeBytes {
            Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
        }
    }

    func text(_ places: Range<Int>) -> String {
        String(
            decoding: data[(data.startIndex + places.lowerBound)..<(data.startIndex + places.upperBound)], as: UTF8.self
        )
    }
}

/// The header of an .npy file: a Python dictionary such as `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
private struct NumpyHeader {
    let text: String

    /// What follows the colon after the key.
    private func value(of key: String) -> Substring? {
        text.range(of: "'\(key)':").map { text[$0.upperBound...].drop(while: { $0 == " " }) }
    }

    func quoted(_ key: String) -> String? {
        guard let value = value(of: key), value.first == "'", let end = value.dropFirst().firstIndex(of: "'") else {
            return nil
        }
        return String(value[value.index(after: value.startIndex)..<end])
    }

    func word(_ key: String) -> String? { value(of: key).map { String($0.prefix(while: \.isLetter)) } }

    /// The extents; nil where one of them is no count.
    var shape: [Int]? {
        guard let value = value(of: "shape"), value.first == "(", let end = value.firstIndex(of: ")") else {
            return nil
        }
        let words = value[value.index(after: value.startIndex)..<end].split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        let extents = words.filter { !$0.isEmpty }.map { Int($0) ?? -1 }
        return extents.contains { $0 < 0 } ? nil : extents
    }
}
