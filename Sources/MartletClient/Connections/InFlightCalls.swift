import NIOCore
import Wire

/// The calls of one connection that have no reply yet, by call id. Belongs to the connection's event loop.
struct InFlightCalls {
    private var calls: [UInt32: any AnyCall] = [:]
    private var lastID: UInt32 = 0

    var count: Int { calls.count }
    var isEmpty: Bool { calls.isEmpty }

    /// Gives the call an id that no other call in flight has; never 0.
    mutating func add(_ call: any AnyCall) -> UInt32 {
        repeat {
            lastID &+= 1
        } while lastID == 0 || calls[lastID] != nil
        calls[lastID] = call
        call.sentID = lastID
        return lastID
    }

    mutating func remove(_ id: UInt32) -> (any AnyCall)? { calls.removeValue(forKey: id) }

    /// Takes out the calls whose time has passed, and says when to look again.
    mutating func removeExpired(at now: NIODeadline) -> (expired: [any AnyCall], next: NIODeadline?) {
        var expired: [any AnyCall] = []
        var next: NIODeadline?
        for call in calls.values {
            guard let deadline = call.deadline else { continue }
            if deadline <= now { expired.append(call) } else { next = min(next ?? deadline, deadline) }
        }
        for call in expired { calls.removeValue(forKey: call.sentID) }
        return (expired, next)
    }

    mutating func removeAll() -> [any AnyCall] {
        defer { calls.removeAll() }
        return Array(calls.values)
    }
}
