import CEpoll
import Glibc
import Wire

/// One connection of the raw driver: a descriptor, the frames not yet written, the tail of the last read and the calls
/// in flight. Plain memory; its thread owns it.
struct Connection {
    var descriptor: Int32 = -1
    /// Where the node put it.
    var shard: Int
    var lane = 0
    var calls: InFlightTable
    /// The node said it takes no new calls here.
    var isGoingAway = false
    /// The socket was full; the rest goes out when it can be written again.
    var waitsForWrite = false
    /// Has frames of this turn that were not written.
    var isTouched = false

    let output: UnsafeMutableRawPointer
    let outputCapacity: Int
    var outputStart = 0
    var outputEnd = 0

    var tail: UnsafeMutableRawPointer
    var tailCapacity: Int
    var tailCount = 0

    init(shard: Int, window: Int, outputCapacity: Int) {
        self.shard = shard
        calls = InFlightTable(capacity: window)
        self.outputCapacity = outputCapacity
        output = .allocate(byteCount: outputCapacity, alignment: 16)
        tailCapacity = 4096
        tail = .allocate(byteCount: tailCapacity, alignment: 16)
    }

    func deallocate() {
        calls.deallocate()
        output.deallocate()
        tail.deallocate()
    }

    var isOpen: Bool { descriptor >= 0 }

    /// Whether one more call of at most `frameBytes` bytes may go out here.
    @inline(__always)
    mutating func canTake(frameBytes: Int) -> Bool {
        guard calls.freeCount > 0, descriptor >= 0, !isGoingAway else { return false }
        if outputEnd + frameBytes > outputCapacity {
            output.copyMemory(from: output + outputStart, byteCount: outputEnd - outputStart)
            outputEnd -= outputStart
            outputStart = 0
            return outputEnd + frameBytes <= outputCapacity
        }
        return true
    }

    /// Appends a call. - Precondition: `canTake(frameBytes:)`.
    @inline(__always)
    mutating func append(_ frame: UnsafeMutableRawPointer, byteCount: Int, intended: UInt64) {
        let method = frame.load(fromByteOffset: 6, as: UInt8.self)
        let callID = calls.begin(intended: intended, method: method)
        let place = output + outputEnd
        place.copyMemory(from: frame, byteCount: byteCount)
        place.storeBytes(of: callID.bigEndian, toByteOffset: 8, as: UInt32.self)
        outputEnd += byteCount
    }

    /// Keeps the unfinished frame at the end of a read.
    mutating func keepTail(_ bytes: UnsafeMutableRawPointer, count: Int) {
        if count > tailCapacity {
            tail.deallocate()
            tailCapacity = max(count, 2 * tailCapacity)
            tail = .allocate(byteCount: tailCapacity, alignment: 16)
        }
        tail.copyMemory(from: bytes, byteCount: count)
        tailCount = count
    }

    enum Written {
        case all
        case some
        case broken
    }

    /// Writes what there is.
    mutating func flush() -> Written {
        while outputStart < outputEnd {
            let count = send(
                descriptor, output + outputStart, outputEnd - outputStart, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            if count >= 0 {
                outputStart += count
            } else if errno == EAGAIN || errno == EWOULDBLOCK {
                return .some
            } else if errno != EINTR {
                return .broken
            }
        }
        outputStart = 0
        outputEnd = 0
        return .all
    }

    /// Forgets the bytes of a broken connection. The calls in flight are the caller's to settle.
    mutating func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
        outputStart = 0
        outputEnd = 0
        tailCount = 0
        waitsForWrite = false
        isGoingAway = false
    }
}
