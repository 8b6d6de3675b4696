import Testing

@testable import MartletServer

@Suite struct WarmKeysFileTests {
    private static let keys: [[UInt8]] = [[1, 2, 3], [], Array(repeating: 9, count: 4096), Array("user".utf8)]

    @Test func `what is written is read again`() throws {
        #expect(try WarmKeysFile.decode(WarmKeysFile.encode(Self.keys)) == Self.keys)
        #expect(try WarmKeysFile.decode(WarmKeysFile.encode([])) == [])
    }

    @Test func `a key that is too long is left out`() throws {
        let long = [UInt8](repeating: 1, count: 4097)
        #expect(try WarmKeysFile.decode(WarmKeysFile.encode([[1], long, [2]])) == [[1], [2]])
    }

    @Test func `a file that was cut or changed anywhere is refused`() {
        let bytes = WarmKeysFile.encode(Self.keys)
        for count in stride(from: 0, to: bytes.count, by: 13) {
            #expect(throws: WarmKeysFault.self) { try WarmKeysFile.decode(Array(bytes.prefix(count))) }
        }
        for place in stride(from: 0, to: bytes.count, by: 17) {
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8)
            #expect(throws: WarmKeysFault.self) { try WarmKeysFile.decode(changed) }
        }
        #expect(throws: WarmKeysFault.self) { try WarmKeysFile.decode(bytes + [0]) }
    }

    @Test func `bytes of chance are refused`() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let count = Int.random(in: 0..<300, using: &random)
            let bytes = Array("MARTLETK".utf8) + (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(throws: WarmKeysFault.self, "\(bytes)") { try WarmKeysFile.decode(bytes) }
        }
    }
}
