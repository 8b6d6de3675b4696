import Catalog
import NearestNeighbors
import Synchronization

/// Which items are inside their window at a moment: one bitmap for all shards, made anew when a window opens or closes.
package final class ItemAvailability: Sendable {
    /// The items that may be shown during some seconds.
    package struct Moment: Sendable {
        package let rows: RowBitmap
        /// Unix seconds: from the last opening or closing until the one before the next.
        package let seconds: ClosedRange<Int64>

        package func holds(at now: Int64) -> Bool { seconds.contains(now) }
    }

    package let windows: AvailabilityColumns
    /// Rows that have a beginning, by it; and those that have an end.
    private let openings: [UInt32]
    private let closings: [UInt32]
    private let latest = Mutex<Moment?>(nil)

    /// - Complexity: O(items + windows log windows).
    package init(_ windows: AvailabilityColumns) {
        self.windows = windows
        func sorted(_ values: UnsafeBufferPointer<Int64>, open: Int64) -> [UInt32] {
            values.indices.filter { values[$0] != open }.map(UInt32.init).sorted { values[Int($0)] < values[Int($1)] }
        }
        openings = sorted(windows.from, open: .min)
        closings = sorted(windows.until, open: .max)
    }

    /// Bytes beside the catalogue's columns: the orders and two bitmaps.
    package var byteCount: Int { (openings.count + closings.count) * 4 + windows.from.count / 4 }

    /// The items that may be shown now.
    ///
    /// - Parameter now: Unix seconds, of any clock: it may go back.
    /// - Complexity: O(1) as long as no window opens or closes; then one thread copies the bitmap (items / 8 bytes) and looks
    ///   at the windows that did, while others that ask wait for it.
    package func moment(at now: Int64) -> Moment {
        latest.withLock { latest in
            if let latest, latest.holds(at: now) { return latest }
            let moment = make(now, from: latest)
            latest = moment
            return moment
        }
    }

    /// The items that could be shown at another time, which nobody else will ask for.
    ///
    /// - Complexity: a copy of the bitmap, and the windows that opened or closed between then and now.
    package func pastMoment(at then: Int64) -> Moment {
        let latest = latest.withLock { $0 }
        if let latest, latest.holds(at: then) { return latest }
        return make(then, from: latest)
    }

    private func make(_ now: Int64, from old: Moment?) -> Moment {
        let opened = count(openings, windows.from, upTo: now)
        let closed = count(closings, windows.until, upTo: now)
        let next = min(
            opened < openings.count ? windows.from[Int(openings[opened])] : .max,
            closed < closings.count ? windows.until[Int(closings[closed])] : .max)
        let last = max(
            opened > 0 ? windows.from[Int(openings[opened - 1])] : .min,
            closed > 0 ? windows.until[Int(closings[closed - 1])] : .min)
        let (from, until) = (windows.from, windows.until)
        let rows = RowBitmap(rowCount: from.count) { words in
            func set(_ row: UInt32) {
                let bit: UInt64 = 1 << UInt64(row & 63)
                if from[Int(row)] <= now, now < until[Int(row)] {
                    words[Int(row >> 6)] |= bit
                } else {
                    words[Int(row >> 6)] &= ~bit
                }
            }
            if let old {
                _ = words.update(fromContentsOf: old.rows.words)
                // The windows that opened or closed between then and now, whichever is the later.
                for (order, values, place) in [(openings, from, opened), (closings, until, closed)] {
                    let then = count(order, values, upTo: old.seconds.lowerBound)
                    for changed in min(then, place)..<max(then, place) { set(order[changed]) }
                }
            } else {
                for row in 0..<UInt32(from.count) { set(row) }
            }
        }
        // An end at the largest number is none; the moment then lasts for ever.
        return Moment(rows: rows, seconds: last...(next == .max ? .max : next - 1))
    }

    /// How many of the sorted rows have a value of at most `now`.
    private func count(_ order: [UInt32], _ values: UnsafeBufferPointer<Int64>, upTo now: Int64) -> Int {
        var (low, high) = (0, order.count)
        while low < high {
            let middle = (low + high) / 2
            if values[Int(order[middle])] <= now { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
