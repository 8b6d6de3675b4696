/// Numbers for values: a small table that costs a few nanoseconds where a dictionary takes tens.
///
/// Open addressing, linear probing, at most half full. Values come from the bundle, not from callers: the hash need not
/// resist anybody.
struct ValueNumbers: Sendable {
    private var keys: [UInt64]
    /// Number plus one; 0 is free.
    private var numbers: [UInt32]
    private var shift: UInt64
    private(set) var count = 0

    init() {
        keys = Array(repeating: 0, count: 16)
        numbers = Array(repeating: 0, count: 16)
        shift = 60
    }

    private func slot(_ value: UInt64) -> Int {
        // The bits of floats differ at the top alone.
        let mixed = (value ^ value >> 32) &* 0x9E37_79B9_7F4A_7C15
        var slot = Int(truncatingIfNeeded: mixed >> shift)
        while numbers[slot] != 0, keys[slot] != value { slot = (slot + 1) & (keys.count - 1) }
        return slot
    }

    /// The number of a value; nil when it has none.
    func number(_ value: UInt64) -> Int? {
        let number = numbers[slot(value)]
        return number == 0 ? nil : Int(number) - 1
    }

    /// The number of a value, which gets the next one when it has none.
    mutating func insert(_ value: UInt64) -> Int {
        if count * 2 >= keys.count { grow() }
        let slot = slot(value)
        if numbers[slot] == 0 {
            count += 1
            keys[slot] = value
            numbers[slot] = UInt32(count)
        }
        return Int(numbers[slot]) - 1
    }

    private mutating func grow() {
        let (oldKeys, oldNumbers) = (keys, numbers)
        keys = Array(repeating: 0, count: oldKeys.count * 2)
        numbers = Array(repeating: 0, count: oldKeys.count * 2)
        shift -= 1
        for (old, number) in oldNumbers.enumerated() where number != 0 {
            let slot = slot(oldKeys[old])
            keys[slot] = oldKeys[old]
            numbers[slot] = number
        }
    }
}
