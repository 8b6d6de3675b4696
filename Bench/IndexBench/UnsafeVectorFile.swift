import Foundation
import VectorMath

/// A file of vectors, or of each query's true neighbours, in a format that its name tells.
///
/// ```
///  .fbin .ibin .u8bin     u32 rows, u32 columns, then Float32, Int32 or UInt8 values
///  .fvecs .ivecs .bvecs   each row: u32 columns, then its Float32, Int32 or UInt8 values
///  .npy                   numpy's own: <f4, |u1 or <i4, C order
///  idx3-ubyte and so on   big-endian: magic, a u32 for each extent, then UInt8 or Float32 values
/// ```
/// All little-endian but the last. Everything is checked, as files come from elsewhere: sizes against headers, and that
/// vectors are finite.
package enum VectorFile {
    /// Rows longer than this are refused: indexes take memory by the square of it.
    package static let columnsMax = 8192
    /// Larger components are refused: their products leave what a Float32 holds.
    package static let componentMax: Float = 1e15

    /// Reads vectors as Float32 rows.
    ///
    /// - Parameter rowsMax: Rows to read at most, from the first.
    /// - Throws: `IndexBenchError` that names the file and the fault.
    package static func matrix(_ path: String, rowsMax: Int? = nil) throws(IndexBenchError) -> FactorMatrix {
        try matrix(in: content(path), named: path, rowsMax: rowsMax)
    }

    /// The same from bytes; the end of `path` says the format.
    package static func matrix(
        in data: Data, named path: String, rowsMax: Int? = nil
    ) throws(IndexBenchError) -> FactorMatrix {
        let layout = try VectorLayout(of: data, named: path)
        guard layout.element != .int32 else {
            throw IndexBenchError("\(path) holds whole numbers, as files of true neighbours do; vectors are wanted")
        }
        guard layout.columns <= columnsMax else {
            throw IndexBenchError("\(path): rows of \(layout.columns) columns; at most \(columnsMax) are measured")
        }
        let matrix = data.withUnsafeBytes { bytes in
            FactorMatrix(rowCount: min(layout.rows, rowsMax ?? layout.rows), columnCount: layout.columns) {
                row, target in
                let start = layout.start + row * layout.pitch
                for i in target.indices { target[i] = layout.element.value(bytes, start, i) }
            }
        }
        for row in 0..<matrix.rowCount {
            guard Kernels.allFinite(matrix.row(row)) else {
                throw IndexBenchError("\(path): row \(row) holds a NaN or an infinity")
            }
            if let value = matrix.row(row).first(where: { abs($0) > componentMax }) {
                throw IndexBenchError("\(path): row \(row) holds \(value); components are at most \(componentMax)")
            }
        }
        return matrix
    }

    /// Reads the true nearest rows of each query, best first.
    ///
    /// - Parameters:
    ///   - wanted: The first so many of each query; the file may hold more.
    ///   - rowCount: Rows that there are: all that the file names must be among them.
    package static func neighbours(
        _ path: String, queries: Int, wanted: Int, rowCount: Int
    ) throws(IndexBenchError) -> [[UInt32]] {
        try neighbours(in: content(path), named: path, queries: queries, wanted: wanted, rowCount: rowCount)
    }

    /// The same from bytes; the end of `path` says the format.
    package static func neighbours(
        in data: Data, named path: String, queries: Int, wanted: Int, rowCount: Int
    ) throws(IndexBenchError) -> [[UInt32]] {
        let layout = try VectorLayout(of: data, named: path)
        guard layout.element == .int32 else {
            throw IndexBenchError("\(path) holds vectors; true neighbours are Int32 (.ibin, .ivecs or .npy)")
        }
        guard layout.rows >= queries else {
            throw IndexBenchError("\(path) has the neighbours of \(layout.rows) queries; \(queries) are asked")
        }
        guard layout.columns >= wanted else {
            throw IndexBenchError("\(path) has \(layout.columns) neighbours of each query; k wants \(wanted)")
        }
        var found: [[UInt32]] = []
        for query in 0..<queries {
            let rows = data.withUnsafeBytes { bytes in
                (0..<wanted).map {
                    bytes.loadUnaligned(
                        fromByteOffset: layout.start + query * layout.pitch + $0 * 4, as: UInt32.self
                    ).littleEndian
                }
            }
            if let stranger = rows.first(where: { $0 >= rowCount }) {
                throw IndexBenchError(
                    "\(path): query \(query) has row \(Int32(bitPattern: stranger)) among its neighbours; there are rows "
                        + "0 to \(rowCount - 1)")
            }
            guard Set(rows).count == wanted else {
                throw IndexBenchError("\(path): query \(query) has a row twice among its neighbours")
            }
            found.append(rows)
        }
        return found
    }

    private static func content(_ path: String) throws(IndexBenchError) -> Data {
        var information = stat()
        guard stat(path, &information) == 0 else {
            throw IndexBenchError(
                errno == ENOENT ? "\(path): there is no such file" : "\(path): \(String(cString: strerror(errno)))")
        }
        guard information.st_mode & S_IFMT == S_IFREG else {
            throw IndexBenchError(
                "\(path) is \(information.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a plain file")")
        }
        // Foundation maps no empty files.
        guard information.st_size > 0 else { throw IndexBenchError("\(path) is empty") }
        do { return try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) } catch {
            throw IndexBenchError("\(path) cannot be read: \(error.localizedDescription)")
        }
    }
}
