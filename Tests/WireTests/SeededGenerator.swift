/// SplitMix64: the same numbers on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Random messages whose every field is used now and then.
extension SeededGenerator {
    mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &self) == 0 }

    /// UTF-8 of at least `least` bytes, with letters of one to four bytes and an embedded NUL now and then.
    mutating func text(least: Int = 0, most: Int = 24) -> String {
        let letters = ["a", "b", "7", "-", "é", "ж", "漢", "🐦", "\0"]
        let wanted = Int.random(in: least...most, using: &self)
        var text = ""
        while text.utf8.count < wanted {
            let letter = letters.randomElement(using: &self) ?? "a"
            text += text.utf8.count + letter.utf8.count <= most ? letter : "z"
        }
        return text
    }

    mutating func texts(_ count: Int, least: Int = 0) -> [String] { (0..<count).map { _ in text(least: least) } }

    mutating func floats(_ count: Int) -> [Float] {
        (0..<count).map { _ in chance(8) ? 0 : Float.random(in: -9...9, using: &self) }
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) } }

    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type) -> T {
        switch Int.random(in: 0..<4, using: &self) {
        case 0: 0
        case 1: T.max
        case 2: T.random(in: 0...200, using: &self)
        default: T.random(in: 0...T.max, using: &self)
        }
    }
}
