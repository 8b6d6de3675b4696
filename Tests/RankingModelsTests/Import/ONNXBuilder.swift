/// Writes small ONNX files, node by node.
struct ONNXBuilder {
    enum Attribute {
        case int(Int)
        case float(Float)
        case text(String)
        case ints([Int])
        case floats([Float])
    }

    private var graph: [UInt8] = []
    var version = 17

    /// Bytes of the file.
    var bytes: [UInt8] {
        Self.varint(1, 8) + Self.field(7, graph)
            + Self.field(8, Self.field(1, Array("".utf8)) + Self.varint(2, version))
            + Self.field(8, Self.field(1, Array("ai.onnx.ml".utf8)) + Self.varint(2, 3))
    }

    mutating func input(_ name: String, _ shape: [Int?], type: Int = 1) {
        graph += Self.field(11, Self.port(name, shape, type))
    }
    mutating func output(_ name: String) { graph += Self.field(12, Self.port(name, [nil, 1], 1)) }

    mutating func node(
        _ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [String: Attribute] = [:],
        domain: String = ""
    ) {
        var node = inputs.flatMap { Self.field(1, Array($0.utf8)) } + outputs.flatMap { Self.field(2, Array($0.utf8)) }
        node += Self.field(4, Array(type.utf8)) + Self.field(7, Array(domain.utf8))
        for (name, attribute) in attributes.sorted(by: { $0.key < $1.key }) {
            var bytes = Self.field(1, Array(name.utf8))
            switch attribute {
            case .int(let value): bytes += Self.varint(3, value) + Self.varint(20, 2)
            case .float(let value): bytes += [2 << 3 | 5] + Self.little(value) + Self.varint(20, 1)
            case .text(let text): bytes += Self.field(4, Array(text.utf8)) + Self.varint(20, 3)
            case .ints(let values): bytes += values.flatMap { Self.varint(8, $0) } + Self.varint(20, 7)
            case .floats(let values): bytes += Self.field(7, values.flatMap(Self.little)) + Self.varint(20, 6)
            }
            node += Self.field(5, bytes)
        }
        graph += Self.field(1, node)
    }

    mutating func constant(_ name: String, _ shape: [Int], _ values: [Float]) {
        graph += Self.field(5, Self.tensor(name, shape, 1, Self.field(4, values.flatMap(Self.little))))
    }

    mutating func constant(_ name: String, ints values: [Int], shape: [Int]? = nil) {
        graph += Self.field(
            5, Self.tensor(name, shape ?? [values.count], 7, Self.field(7, values.flatMap(Self.number))))
    }

    /// A tensor whose data are said to stand in another file.
    mutating func external(_ name: String, _ shape: [Int], file: String) {
        let entry = Self.field(1, Array("location".utf8)) + Self.field(2, Array(file.utf8))
        graph += Self.field(5, Self.tensor(name, shape, 1, Self.field(13, entry) + Self.varint(14, 1)))
    }

    private static func tensor(_ name: String, _ shape: [Int], _ type: Int, _ data: [UInt8]) -> [UInt8] {
        field(1, shape.flatMap(number)) + varint(2, type) + field(8, Array(name.utf8)) + data
    }

    private static func port(_ name: String, _ shape: [Int?], _ type: Int) -> [UInt8] {
        let extents = shape.flatMap { field(1, $0.map { varint(1, $0) } ?? field(2, Array("batch".utf8))) }
        return field(1, Array(name.utf8)) + field(2, field(1, varint(1, type) + field(2, extents)))
    }

    private static func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
        self.number(number << 3 | 2) + self.number(bytes.count) + bytes
    }

    private static func varint(_ number: Int, _ value: Int) -> [UInt8] { self.number(number << 3) + self.number(value) }

    private static func number(_ value: Int) -> [UInt8] {
        var (rest, bytes): (UInt64, [UInt8]) = (UInt64(bitPattern: Int64(value)), [])
        while rest > 127 {
            bytes.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    private static func little(_ value: Float) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
    }
}
