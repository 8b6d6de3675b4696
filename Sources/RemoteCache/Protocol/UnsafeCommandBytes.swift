import CHiredis

/// Words of a command, put into RESP2.
///
/// The commands of every request (GET, MGET, SET) are put together here; all others by hiredis' formatter, which takes an array
/// of words and allocates twice. A test holds the two against each other.
struct CommandBytes {
    private(set) var bytes: [UInt8] = []

    /// - Parameter bytes: Of all words, so that nothing is allocated twice.
    init(words: Int, bytes count: Int) {
        bytes.reserveCapacity(count + 16 * (words + 1))
        header("*", words)
    }

    mutating func append(_ word: StaticString) {
        header("$", word.utf8CodeUnitCount)
        word.withUTF8Buffer { bytes.append(contentsOf: $0) }
        end()
    }

    mutating func append(_ word: [UInt8]) {
        header("$", word.count)
        bytes.append(contentsOf: word)
        end()
    }

    mutating func append(_ number: Int) {
        precondition(number >= 0, "\(number) is no length and no time")
        header("$", Self.digits(number))
        self.number(number)
        end()
    }

    private mutating func header(_ mark: Unicode.Scalar, _ count: Int) {
        bytes.append(UInt8(ascii: mark))
        number(count)
        end()
    }

    private mutating func end() {
        bytes.append(0x0D)
        bytes.append(0x0A)
    }

    private static func digits(_ number: Int) -> Int {
        var count = 1
        var rest = number / 10
        while rest > 0 {
            count += 1
            rest /= 10
        }
        return count
    }

    private mutating func number(_ number: Int) {
        var power = 1
        for _ in 1..<Self.digits(number) { power *= 10 }
        while power > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(number / power % 10))
            power /= 10
        }
    }

    /// Any words, by hiredis' `redisFormatCommandArgv`.
    static func formatted(_ words: [[UInt8]]) -> [UInt8] {
        var joined: [CChar] = []
        joined.reserveCapacity(words.reduce(0) { $0 + $1.count })
        for word in words { joined.append(contentsOf: word.lazy.map { CChar(bitPattern: $0) }) }
        let lengths = words.map(\.count)
        return joined.withUnsafeBufferPointer { text in
            // An address for words without bytes, too: hiredis copies nothing from it.
            let empty: [CChar] = [0]
            return empty.withUnsafeBufferPointer { empty in
                var offset = 0
                var starts: [UnsafePointer<CChar>?] = lengths.map { length in
                    defer { offset += length }
                    return length == 0 ? empty.baseAddress : text.baseAddress.map { $0 + offset }
                }
                var target: UnsafeMutablePointer<CChar>?
                let count = redisFormatCommandArgv(&target, Int32(clamping: words.count), &starts, lengths)
                guard let target, count > 0 else {
                    preconditionFailure("hiredis formats no command of \(words.count) words")
                }
                defer { redisFreeCommand(target) }
                return Array(UnsafeRawBufferPointer(start: target, count: Int(count)))
            }
        }
    }
}
