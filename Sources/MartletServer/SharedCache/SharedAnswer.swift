import Serving

/// An answer as it lies in the cache beside the node: all that it was made of, and what was made.
///
/// ```
///  8 bundle | 8 generation | 8 configuration | 8 first second | 8 last second | 4 bytes of the request | request | answer
/// ```
/// Little-endian. Its name in Redis is a hash of the same things, and a hash may be met by another: so they are compared.
struct SharedAnswer: Equatable {
    static let headBytes = 44

    var bundle: UInt64
    var generation: UInt64
    var configuration: UInt64
    /// The Unix seconds during which all its items are available.
    var seconds: ClosedRange<Int64>
    var request: ArraySlice<UInt8>
    var answer: ArraySlice<UInt8>

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.headBytes + request.count + answer.count)
        for word in [
            bundle, generation, configuration, UInt64(bitPattern: seconds.lowerBound),
            UInt64(bitPattern: seconds.upperBound),
        ] {
            for shift in stride(from: 0, to: 64, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
            }
        }
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: request.count >> shift)) }
        bytes.append(contentsOf: request)
        bytes.append(contentsOf: answer)
        return bytes
    }

    init(
        bundle: UInt64, generation: UInt64, configuration: UInt64, seconds: ClosedRange<Int64>,
        request: ArraySlice<UInt8>, answer: ArraySlice<UInt8>
    ) {
        self.bundle = bundle
        self.generation = generation
        self.configuration = configuration
        self.seconds = seconds
        self.request = request
        self.answer = answer
    }

    /// Nil for bytes that are none.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count >= Self.headBytes else { return nil }
        func word(_ offset: Int, _ count: Int) -> UInt64 {
            var word: UInt64 = 0
            for place in 0..<count { word |= UInt64(bytes[bytes.startIndex + offset + place]) << UInt64(8 * place) }
            return word
        }
        let (first, last) = (Int64(bitPattern: word(24, 8)), Int64(bitPattern: word(32, 8)))
        let count = Int(word(40, 4))
        let body = bytes.dropFirst(Self.headBytes)
        guard first <= last, count <= body.count else { return nil }
        self.init(
            bundle: word(0, 8), generation: word(8, 8), configuration: word(16, 8), seconds: first...last,
            request: body.prefix(count), answer: body.dropFirst(count))
    }
}
