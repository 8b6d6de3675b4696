import Foundation
import VectorMath

/// A file of vectors as ANN benches write them: u32 rows, u32 columns, then the values, all little-endian.
enum VectorFile {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads Float32 rows (`.fbin`).
    static func matrix(_ path: String, rowsMax: Int? = nil) throws -> FactorMatrix {
        let (data, rows, columns) = try content(path)
        let count = min(rows, rowsMax ?? rows)
        return data.withUnsafeBytes { bytes in
            FactorMatrix(rowCount: count, columnCount: columns) { row, target in
                for i in target.indices {
                    target[i] = bytes.loadUnaligned(fromByteOffset: 8 + (row * columns + i) * 4, as: Float.self)
                }
            }
        }
    }

    /// Reads Int32 rows (`.ibin`): for each query the true nearest rows, best first.
    static func neighbours(_ path: String) throws -> [[UInt32]] {
        let (data, rows, columns) = try content(path)
        return data.withUnsafeBytes { bytes in
            (0..<rows).map { row in
                (0..<columns).map {
                    bytes.loadUnaligned(fromByteOffset: 8 + (row * columns + $0) * 4, as: UInt32.self)
                }
            }
        }
    }

    private static func content(_ path: String) throws -> (Data, Int, Int) {
        let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        guard data.count >= 8 else { throw Fault(description: "\(path): shorter than its header of 8 bytes") }
        let (rows, columns) = data.withUnsafeBytes {
            (Int($0.loadUnaligned(as: UInt32.self)), Int($0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        }
        guard columns > 0, data.count == 8 + rows * columns * 4 else {
            throw Fault(description: "\(path): \(data.count) bytes do not hold \(rows) x \(columns) values")
        }
        return (data, rows, columns)
    }
}
