import TestSupport
import Testing

@testable import Artifacts

@Suite(.ownThreads) struct TensorFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder(inMemory: true) }

    /// A safetensors file with this header and data.
    private func open(_ json: String, data: Int) throws -> TensorFile {
        let count = UInt64(json.utf8.count)
        let prefix = withUnsafeBytes(of: count.littleEndian) { Array($0) }
        let bytes = prefix + Array(json.utf8) + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
        try folder.write(bytes, to: "file.safetensors")
        return try TensorFile(path: folder.file("file.safetensors"))
    }

    @Test func aFileOfAnotherToolIsRead() throws {
        // No alignment, spaces, keys in another order, unknown keys, tensors not in the order of the data.
        let file = try open(
            #" {"b": {"shape":[2], "dtype":"U16", "data_offsets":[3,7], "more":[{}]}, "__metadata__":{"k":"\u00e9"},"#
                .trimmingPrefix(" ")
                + #" "a":{"dtype":"U8","data_offsets":[0,3],"shape":[3,1]}, "s":{"dtype":"I8","shape":[],"data_offsets":[7,8]}}  "#,
            data: 8)
        #expect(file.metadata == ["k": "é"])
        #expect(file.names == ["a", "b", "s"])
        let tensor = try file.tensor("b", .u16, shape: [2])
        #expect(tensor.array(of: UInt16.self) == [0x0403, 0x0605])
        #expect(Int(bitPattern: tensor.bytes.baseAddress) % 64 == 0)
        #expect(try file.tensor("s", .i8, shape: []).array(of: Int8.self) == [7])
    }

    @Test(arguments: [
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}"#,
            5, "overlaps"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}}"#,
            7, "hole"
        ),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}"#, 5, "hole"),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            4, "twice"
        ),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 5, "5 bytes of data"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, 3, "truncated"),
        (#"{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,4]}}"#, 4, "data_offsets span 4"),
        (#"{"a":{"dtype":"Q8","shape":[4],"data_offsets":[0,4]}}"#, 4, "unknown type"),
        (#"{"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
        (#"{"a":{"dtype":"U8","shape":[2.5],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
        (#"{"a":{"dtype":"U8","shape":4,"data_offsets":[0,4]}}"#, 4, "no shape"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}}"#, 4, "data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[-4,0]}}"#, 4, "data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0]}}"#, 4, "data_offsets"),
        (#"{"a":{"dtype":"U8","shape":[4]}}"#, 4, "data_offsets"),
        (#"{"a":{"dtype":"U64","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0, "impossible shape"),
        (
            #"{"a":{"dtype":"U8","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]}}"#, 0,
            "impossible"
        ),
        (#"{"a":{"dtype":"U8","shape":[18446744073709551620],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
        (#"{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]}}"#, 4, "impossible shape"),
        (#"{"a":7}"#, 0, "not described by an object"),
        (#"{"__metadata__":{"a":1}}"#, 0, "not a text"),
        (#"[]"#, 0, "does not begin with '{'"),
        (#"{"a":"#, 0, "too early"),
        (#"{} x"#, 0, "after the end"),
    ])
    func aBadHeaderIsRefused(json: String, data: Int, reason: String) throws {
        let error = try #require(throws: ArtifactError.self) { try open(json, data: data) }
        #expect(error.path.hasSuffix("file.safetensors"))
        #expect(error.fault.contains(reason), "\(error)")
    }

    @Test func aHeaderOfImpossibleLengthIsRefused() throws {
        for length: UInt64 in [1000, 1 << 40, .max, UInt64(Int64.max), UInt64(TensorLayout.headerBytesMax) + 1] {
            let prefix = withUnsafeBytes(of: length.littleEndian) { Array($0) }
            try folder.write(prefix + Array("{}".utf8), to: "file.safetensors")
            #expect(throws: ArtifactError.self) { try TensorFile(path: folder.file("file.safetensors")) }
        }
    }

    @Test func everyTruncationIsRefused() throws {
        try publishSample(at: folder.file("model"))
        let good = try folder.read("model/als.safetensors")
        for count in good.indices {
            try folder.write(Array(good.prefix(count)), to: "file.safetensors")
            #expect(throws: ArtifactError.self) { try TensorFile(path: folder.file("file.safetensors")) }
        }
    }

    /// A mutated file is refused, or every tensor of it can be read to its last byte.
    @Test func mutatedFilesAreRefusedOrStayInside() throws {
        try publishSample(at: folder.file("model"))
        let good = try folder.read("model/als.safetensors")
        var random = SeededGenerator(seed: 2026)
        var refused = 0
        for _ in 0..<4000 {
            try folder.write(random.mutated(good), to: "file.safetensors")
            do {
                let file = try TensorFile(path: folder.file("file.safetensors"))
                for name in file.names {
                    let (type, shape) = try #require(file.describe(name))
                    let tensor = try file.tensor(name, type, shape: shape)
                    #expect(tensor.bytes.count == shape.reduce(type.byteCount, *))
                    #expect(withExtendedLifetime(file) { tensor.bytes.reduce(0) { $0 &+ Int($1) } } >= 0)
                }
            } catch is ArtifactError {
                refused += 1
            }
        }
        #expect(refused > 1000)
    }
}
