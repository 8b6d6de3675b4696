import TestSupport
import Testing

@testable import Artifacts

/// Files written here are read by Python's safetensors, and the other way round.
@Suite(.ownThreads) struct PythonTests {
    private static let python = PythonEnvironment.safetensors
    private static let comment: Comment = "needs python3 with numpy and safetensors from PyPI"

    @Test(.enabled(if: python.mayRun, comment))
    func pythonReadsOurFiles() throws {
        let folder = try TemporaryFolder()
        try publishSample(at: folder.file("model"))
        let result = try Self.python.run(
            """
            import sys
            from safetensors import safe_open
            with safe_open(sys.argv[1], framework="numpy") as f:
                print(f.metadata())
                for name in sorted(f.keys()):
                    if not name.startswith("_pad"):
                        t = f.get_tensor(name)
                        print(name, t.dtype, t.shape, t.ravel().tolist())
            """, [folder.file("model/als.safetensors")])
        #expect(
            result.output == """
                {'kind': 'als'}
                empty uint8 (0,) []
                offsets uint64 (4,) [0, 1, 2, 3]
                user_factors float32 (3, 5) [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0]

                """)
        #expect(result.status == 0)
    }

    @Test(.enabled(if: python.mayRun, comment))
    func weReadPythonsFiles() throws {
        let folder = try TemporaryFolder()
        let result = try Self.python.run(
            """
            import sys, numpy as np
            from safetensors.numpy import save_file
            save_file({"bytes": np.arange(5, dtype=np.uint8), "half": np.array([[0.5, -2]], dtype=np.float16),
                       "long": np.array([-1, 1 << 40], dtype=np.int64), "scalar": np.array(7, dtype=np.uint32)},
                      sys.argv[1], metadata={"by": "python"})
            """, [folder.file("file.safetensors")])
        try #require(result.status == 0, "\(result.output)")
        let file = try TensorFile(path: folder.file("file.safetensors"))
        #expect(file.metadata == ["by": "python"])
        #expect(try file.tensor("bytes", .u8, shape: [5]).array(of: UInt8.self) == [0, 1, 2, 3, 4])
        #expect(try file.tensor("half", .f16, shape: [1, 2]).array(of: UInt16.self) == [0x3800, 0xC000])
        #expect(try file.tensor("long", .i64, shape: [nil]).array(of: Int64.self) == [-1, 1 << 40])
        #expect(try file.tensor("scalar", .u32, shape: []).array(of: UInt32.self) == [7])
    }
}
