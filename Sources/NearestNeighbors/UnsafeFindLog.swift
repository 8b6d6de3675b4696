import Synchronization
import VectorMath

/// Keys of rows that any of several threads found: appended by all, read by all, without a lock.
///
/// ```
///  tail    places given out; more than there are once it is full
///  slots   key, or 0 while its finder has not put it there
/// ```
/// Whoever reads stops at the first place that is still 0.
///
/// `@unchecked Sendable`: the slots are atomic, and stand where they are until the log goes.
final class FindLog: @unchecked Sendable {
    /// 64 KiB. A search for some hundred rows finds a few thousand on its way; what has no place here stays with its finder.
    static let capacity = 8192

    private let slots: UnsafeMutablePointer<Atomic<UInt64>>
    private let tail = Atomic<Int>(0)

    init() {
        slots = .allocate(capacity: Self.capacity)
        for place in 0..<Self.capacity { (slots + place).initialize(to: Atomic(0)) }
    }

    deinit {
        slots.deinitialize(count: Self.capacity)
        slots.deallocate()
    }

    /// Whether finds may be with their finders alone.
    var isFull: Bool { tail.load(ordering: .relaxed) >= Self.capacity }

    /// Empties it. Only while nobody else uses it.
    func reset() {
        let used = min(tail.load(ordering: .relaxed), Self.capacity)
        for place in 0..<used { slots[place].store(0, ordering: .relaxed) }
        tail.store(0, ordering: .relaxed)
    }

    /// Appends as many of `keys` as there is room for.
    ///
    /// - Returns: How many.
    func append(_ keys: UnsafePointer<UInt64>, _ count: Int) -> Int {
        if count == 0 || tail.load(ordering: .relaxed) >= Self.capacity { return 0 }
        let first = tail.wrappingAdd(count, ordering: .relaxed).oldValue
        let fitting = max(0, min(count, Self.capacity - first))
        // A key says all there is to say: nothing else has to be seen before it.
        for i in 0..<fitting { slots[first + i].store(keys[i], ordering: .relaxed) }
        return fitting
    }

    /// Offers to `top` what stands from place `next` on, and moves that.
    @inline(__always)
    func read(from next: inout Int, into top: inout TopK) {
        let end = min(tail.load(ordering: .relaxed), Self.capacity)
        while next < end {
            let key = slots[next].load(ordering: .relaxed)
            if key == 0 { return }
            top.push(key: key)
            next += 1
        }
    }
}

/// Which parts of a scan are read: set by any thread, read by its owner.
///
/// `@unchecked Sendable`: the words are atomic, and stand where they are until the flags go.
final class PartFlags: @unchecked Sendable {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let wordCount: Int

    init(count: Int) {
        wordCount = (count + 63) / 64
        words = .allocate(capacity: wordCount)
        for word in 0..<wordCount { (words + word).initialize(to: Atomic(0)) }
    }

    deinit {
        words.deinitialize(count: wordCount)
        words.deallocate()
    }

    /// Only while nobody else uses it.
    func reset() { for word in 0..<wordCount { words[word].store(0, ordering: .relaxed) } }

    /// Whatever was written before is seen by who finds it set.
    func set(_ part: Int) { words[part / 64].bitwiseOr(1 << UInt64(part % 64), ordering: .releasing) }

    func isSet(_ part: Int) -> Bool { words[part / 64].load(ordering: .acquiring) >> UInt64(part % 64) & 1 != 0 }
}
