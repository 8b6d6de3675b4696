import VectorMath

/// Several scans at once, turn by turn: what one reads of the first level, the others find in the nearest cache.
///
/// Worth it where that level does not fit the second-level cache (`gainsTogether`); each scan's answer is the one it would
/// have had alone.
extension ScanIndex {
    /// First levels longer than this come from a farther cache each time.
    private static let nearBytes = 1 << 20
    /// First levels longer than this come from memory.
    private static let cachedBytes = 8 << 20

    /// How many scans may take turns: more would push each other's best rows and masks out of the near caches for
    /// longer than they save; 1: none.
    package var togetherWidth: Int {
        let bytes = bounds.levels[0].byteCount
        return bytes > Self.cachedBytes ? 8 : bytes > Self.nearBytes ? 4 : 1
    }

    /// Whether scans that take turns cost less than one after the other.
    package var gainsTogether: Bool { togetherWidth > 1 }

    /// Ends several scans together.
    package func finish(_ scans: [RunningScan], _ scratch: SearchScratch) {
        while !advance(scans, turns: .max, scratch) {}
    }

    /// Does up to `turns` turns of each of `scans`; true when all are done.
    package func advance(_ scans: [RunningScan], turns: Int, _ scratch: SearchScratch) -> Bool {
        var open = scans.filter { !$0.isDone }
        var turns = turns
        while turns > 0, !open.isEmpty {
            turns -= 1
            var isAnyDone = false
            for scan in open where advance(scan, turns: 1, scratch) { isAnyDone = true }
            if isAnyDone { open.removeAll(where: \.isDone) }
        }
        return open.isEmpty
    }
}
