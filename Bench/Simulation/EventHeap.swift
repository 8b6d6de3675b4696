/// What happens next in virtual time; what was put in first goes first where times are equal.
struct EventHeap {
    struct Event {
        enum Kind: UInt8 {
            case arrival, callArrives, workDone, replyArrives, cancelArrives, timer, connectEnds, connectionLost,
                faultChanges
        }

        var time: UInt64
        var order: UInt64 = 0
        var kind: Kind
        /// Client or node.
        var place: Int32
        /// Job, node or fault.
        var detail: Int32
    }

    private var heap: [Event] = []
    private var next: UInt64 = 0

    mutating func push(_ kind: Event.Kind, _ place: Int, _ detail: Int = 0, at time: UInt64) {
        let event = Event(time: time, order: next, kind: kind, place: Int32(place), detail: Int32(detail))
        next += 1
        heap.append(event)
        var hole = heap.count - 1
        while hole > 0 {
            let parent = (hole - 1) / 2
            let other = heap[parent]
            guard time < other.time else { break }
            heap[hole] = other
            hole = parent
        }
        heap[hole] = event
    }

    mutating func pop() -> Event? {
        guard let last = heap.popLast() else { return nil }
        guard let first = heap.first else { return last }
        let count = heap.count
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < count else { break }
            var other = heap[child]
            if child + 1 < count, Self.isBefore(heap[child + 1], other) {
                child += 1
                other = heap[child]
            }
            guard Self.isBefore(other, last) else { break }
            heap[hole] = other
            hole = child
        }
        heap[hole] = last
        return first
    }

    private static func isBefore(_ a: Event, _ b: Event) -> Bool {
        a.time < b.time || (a.time == b.time && a.order < b.order)
    }
}
