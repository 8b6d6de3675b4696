/// A call that was sent and not yet answered.
struct InFlightCall {
    /// When the call was meant to be sent; nanoseconds.
    var intended: UInt64
    var callID: UInt32
    var method: UInt8
    var isBusy: Bool
}

/// The calls in flight on one connection: a fixed number of places, found by the call ID without a search.
///
/// ```
///  call ID   | 20 bits: how often the place was used | 12 bits: the place |
/// ```
/// An answer to a call that was given up carries an old count and is told apart from the place's present call.
struct InFlightTable {
    private static let placeBits: UInt32 = 12
    static let capacityMax = 1 << 12

    let capacity: Int
    private let calls: UnsafeMutablePointer<InFlightCall>
    private let free: UnsafeMutablePointer<UInt16>
    private(set) var freeCount: Int

    init(capacity: Int) {
        precondition((1...InFlightTable.capacityMax).contains(capacity), "\(capacity) places")
        self.capacity = capacity
        calls = .allocate(capacity: capacity)
        free = .allocate(capacity: capacity)
        freeCount = capacity
        for place in 0..<capacity {
            calls[place] = InFlightCall(intended: 0, callID: UInt32(place), method: 0, isBusy: false)
            free[place] = UInt16(capacity - 1 - place)
        }
    }

    func deallocate() {
        calls.deallocate()
        free.deallocate()
    }

    var inFlight: Int { capacity - freeCount }

    /// Takes a place. - Precondition: `freeCount > 0`.
    @inline(__always)
    mutating func begin(intended: UInt64, method: UInt8) -> UInt32 {
        precondition(freeCount > 0, "more calls in flight than the connection has places")
        freeCount -= 1
        let place = Int(free[freeCount])
        let callID = calls[place].callID &+ (1 << InFlightTable.placeBits)
        calls[place] = InFlightCall(intended: intended, callID: callID, method: method, isBusy: true)
        return callID
    }

    /// Frees the place of an answered call; `nil` when no such call is in flight.
    @inline(__always)
    mutating func finish(_ callID: UInt32) -> InFlightCall? {
        let place = Int(callID & ((1 << InFlightTable.placeBits) - 1))
        guard place < capacity, calls[place].isBusy, calls[place].callID == callID else { return nil }
        calls[place].isBusy = false
        free[freeCount] = UInt16(place)
        freeCount += 1
        return calls[place]
    }

    /// Gives up the calls that were meant to be sent before `limit`, and says how many.
    mutating func abandon(intendedBefore limit: UInt64, _ each: (InFlightCall) -> Void) {
        guard inFlight > 0 else { return }
        for place in 0..<capacity where calls[place].isBusy && calls[place].intended < limit {
            if let call = finish(calls[place].callID) { each(call) }
        }
    }
}
