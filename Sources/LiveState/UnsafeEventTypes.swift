import Glibc
import Vocabulary

extension EventTypes {
    /// The code of a configured type, named in UTF-8 bytes; nil for a retired or unknown one.
    ///
    /// - Complexity: O(types), at most 32 comparisons of lengths; allocates nothing.
    package func code(named name: UnsafeRawBufferPointer) -> UInt8? {
        guard let address = name.baseAddress else { return nil }
        for code in nameBytes.indices where nameBytes[code].count == name.count {
            let isSame = nameBytes[code].withUnsafeBytes { own in
                own.baseAddress.map { memcmp($0, address, name.count) == 0 } ?? false
            }
            if isSame { return retired.contains(UInt8(code)) ? nil : UInt8(code) }
        }
        return nil
    }

    /// Tells whether stored bytes speak of the same codes: XXH64 over the first `count` names, each behind its length.
    func digest(_ count: Int) -> UInt64 {
        var bytes: [UInt8] = []
        for name in nameBytes.prefix(count) {
            bytes.append(UInt8(name.count))
            bytes += name
        }
        return bytes.withUnsafeBytes { XXH64.hash($0) }
    }
}
