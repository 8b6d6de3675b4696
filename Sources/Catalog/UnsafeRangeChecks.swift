/// Passes over whole columns, written without early exits so that they run at the speed of memory.
enum RangeChecks {
    /// Whether offsets begin at 0, never go back, and end at `end`.
    static func areOffsets(_ offsets: UnsafeBufferPointer<UInt64>, end: Int) -> Bool {
        guard let first = offsets.first, let last = offsets.last, first == 0, last == UInt64(end) else { return false }
        var faults: UInt64 = 0
        for index in 1..<max(offsets.count, 1) { faults |= offsets[index] < offsets[index - 1] ? 1 : 0 }
        return faults == 0
    }

    /// Whether offsets begin at 0, grow by `steps` each, and end at `end`.
    static func areOffsets(_ offsets: UnsafeBufferPointer<UInt32>, end: Int, steps: ClosedRange<UInt32>) -> Bool {
        guard let first = offsets.first, let last = offsets.last, first == 0, Int(last) == end else { return false }
        var smallest = UInt32.max
        var largest: UInt32 = 0
        var faults: UInt32 = 0
        for index in 1..<max(offsets.count, 1) {
            let step = offsets[index] &- offsets[index - 1]
            faults |= offsets[index] < offsets[index - 1] ? 1 : 0
            smallest = min(smallest, step)
            largest = max(largest, step)
        }
        return faults == 0 && (offsets.count == 1 || (smallest >= steps.lowerBound && largest <= steps.upperBound))
    }

    /// Whether all values are below `bound`.
    static func areBelow(_ bound: Int, _ values: UnsafeBufferPointer<UInt32>) -> Bool {
        var largest: UInt32 = 0
        for value in values { largest = max(largest, value) }
        return values.isEmpty || Int(largest) < bound
    }

    /// Whether no byte has its highest bit set.
    static func areASCII(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var all: UInt8 = 0
        for byte in bytes { all |= byte }
        return all < 0x80
    }
}
