/// The next time at which something is due for each of a fixed number of entries: a binary heap that knows where they are.
///
/// An entry has one time or none; giving it another moves it. Nothing stale stays behind, so the heap never holds more than
/// its entries, however many calls pass.
package struct TimerHeap: Sendable {
    private var times: [UInt64]
    /// Where in `heap` an entry stands; -1: nowhere.
    private var places: [Int32]
    private var heap: [Int32] = []

    package init(entries: Int) {
        times = [UInt64](repeating: 0, count: entries)
        places = [Int32](repeating: -1, count: entries)
        heap.reserveCapacity(entries)
    }

    package var count: Int { heap.count }
    /// When the first is due.
    package var next: UInt64? { heap.isEmpty ? nil : times[Int(heap[0])] }

    /// Sets or changes when an entry is due.
    ///
    /// - Complexity: O(log count); allocates nothing.
    package mutating func set(_ entry: Int, at time: UInt64) {
        let place = places[entry]
        if place < 0 {
            times[entry] = time
            heap.append(Int32(entry))
            places[entry] = Int32(heap.count - 1)
            rise(heap.count - 1)
        } else {
            let before = times[entry]
            times[entry] = time
            if time < before { rise(Int(place)) } else if time > before { sink(Int(place)) }
        }
    }

    package mutating func remove(_ entry: Int) {
        let place = Int(places[entry])
        guard place >= 0 else { return }
        places[entry] = -1
        let last = heap.removeLast()
        guard place < heap.count else { return }
        heap[place] = last
        places[Int(last)] = Int32(place)
        rise(place)
        sink(Int(places[Int(last)]))
    }

    /// Takes an entry that is due at `now` or before, the earliest first.
    package mutating func popDue(_ now: UInt64) -> Int? {
        guard let first = heap.first, times[Int(first)] <= now else { return nil }
        remove(Int(first))
        return Int(first)
    }

    private mutating func rise(_ start: Int) {
        var place = start
        let entry = heap[place]
        let time = times[Int(entry)]
        while place > 0 {
            let parent = (place - 1) / 2
            let other = heap[parent]
            guard time < times[Int(other)] else { break }
            heap[place] = other
            places[Int(other)] = Int32(place)
            place = parent
        }
        heap[place] = entry
        places[Int(entry)] = Int32(place)
    }

    private mutating func sink(_ start: Int) {
        var place = start
        let entry = heap[place]
        let time = times[Int(entry)]
        while true {
            var child = 2 * place + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, times[Int(heap[child + 1])] < times[Int(heap[child])] { child += 1 }
            let other = heap[child]
            guard times[Int(other)] < time else { break }
            heap[place] = other
            places[Int(other)] = Int32(place)
            place = child
        }
        heap[place] = entry
        places[Int(entry)] = Int32(place)
    }
}
