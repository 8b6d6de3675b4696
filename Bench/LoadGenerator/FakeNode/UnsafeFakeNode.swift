import CEpoll
import Foundation
import Glibc
import Synchronization
import Vocabulary
import Wire

/// How the fake node misbehaves.
package struct FakeNodeBehaviour: Sendable {
    package var shardCount = 1
    /// Bytes of each reply's body.
    package var replyBytes = 400
    /// Answers with slates that this fallback served, instead of fixed bytes.
    package var fallback: Fallback?
    package var serverMicroseconds: UInt32 = 3
    package var isCached = true
    /// Every so many calls, one is answered with `failure`; 0: never.
    package var failureEvery = 0
    package var failure = StatusCode.unavailable
    /// Every so many calls, one is not answered at all; 0: never.
    package var silenceEvery = 0
    /// After so many calls, nothing is done for `stallMilliseconds`, once; 0: never.
    package var stallAfter = 0
    package var stallMilliseconds: UInt32 = 0
    /// Every so many calls, the connection is closed; 0: never.
    package var closeEvery = 0
    /// Answers everything with these bytes instead of frames.
    package var foreignAnswer: [UInt8]?

    package init() {}
}

/// A node that answers every call with fixed bytes: what the load tool can do at most is measured against it, and its
/// tests run against it. One thread, loopback only.
package final class FakeNode: Sendable {
    package let port: Int
    private let isStopped = Atomic<Bool>(false)
    private let done = DispatchSemaphore(value: 0)
    private let answered = Atomic<Int>(0)
    private let used = Atomic<UInt64>(0)

    /// Processor time of the node's thread, as of its last turn.
    package var nanosecondsUsed: UInt64 { used.load(ordering: .relaxed) }

    /// Calls answered so far.
    package var callsAnswered: Int { answered.load(ordering: .relaxed) }

    /// Listens on a free port of 127.0.0.1 and starts its thread.
    package init(_ behaviour: FakeNodeBehaviour = FakeNodeBehaviour(), spin: Bool = true) throws(LoadError) {
        let listener = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, size) != 0 || listen(listener, 4096) != 0
                    || getsockname(listener, pointer, &size) != 0
            }
        }
        guard !failed else { throw LoadError("the fake node cannot listen: \(NodeAddress.text(errno))") }
        port = Int(UInt16(bigEndian: address.sin_port))
        let thread = Thread { [self] in
            var loop = FakeNodeLoop(listener: listener, behaviour: behaviour, spin: spin)
            loop.run(isStopped, answered, used)
            done.signal()
        }
        thread.name = "fake-node"
        thread.start()
    }

    /// Closes every connection and ends the thread.
    package func stop() {
        if isStopped.exchange(true, ordering: .relaxed) { return }
        done.wait()
    }
}

/// The thread of a fake node.
private struct FakeNodeLoop {
    private struct Peer {
        var tail: [UInt8] = []
    }

    let listener: Int32
    let behaviour: FakeNodeBehaviour
    let spin: Bool
    private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    private var peers: [Int32: Peer] = [:]
    private let input = UnsafeMutableRawPointer.allocate(byteCount: 4 << 20, alignment: 64)
    private let output = UnsafeMutableRawPointer.allocate(byteCount: 16 << 20, alignment: 64)
    private var outputCount = 0
    private let reply: UnsafeMutableRawPointer
    private let replyBytes: Int
    private var calls = 0
    private var nextShard = 0

    init(listener: Int32, behaviour: FakeNodeBehaviour, spin: Bool) {
        (self.listener, self.behaviour, self.spin) = (listener, behaviour, spin)
        var slate = RecommendReply()
        if let fallback = behaviour.fallback {
            slate.items = ["i1", "i2"]
            slate.scores = [2, 1]
            slate.fallback = fallback
        }
        let bodyBytes = behaviour.fallback == nil ? behaviour.replyBytes : slate.encodedByteCount
        replyBytes = FrameHeader.byteCount + bodyBytes
        reply = .allocate(byteCount: replyBytes, alignment: 16)
        reply.initializeMemory(as: UInt8.self, repeating: 0, count: replyBytes)
        FrameHeader.reply(
            .ok, id: 0, flags: behaviour.isCached ? .cached : [], serverMicroseconds: behaviour.serverMicroseconds,
            bodyBytes: bodyBytes
        ).write(into: reply)
        if behaviour.fallback != nil { slate.encode(into: reply + FrameHeader.byteCount, byteCount: bodyBytes) }
    }

    mutating func run(
        _ isStopped: borrowing Atomic<Bool>, _ answered: borrowing Atomic<Int>, _ used: borrowing Atomic<UInt64>
    ) {
        var turns = 0
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: 256)
        watch(listener)
        var idle = 0
        while !isStopped.load(ordering: .relaxed) {
            let ready = epoll_wait(epoll, events, 256, spin && idle < 50 ? 0 : 10)
            idle = ready > 0 ? 0 : idle + 1
            for place in 0..<max(Int(ready), 0) {
                let descriptor = Int32(truncatingIfNeeded: events[place].data.u64)
                if descriptor == listener { accept() } else { serve(descriptor) }
            }
            if ready > 0 { answered.store(calls, ordering: .relaxed) }
            turns += 1
            if ready <= 0 || turns % 64 == 0 {
                var time = timespec()
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
                used.store(UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec), ordering: .relaxed)
            }
        }
        for descriptor in peers.keys { close(descriptor) }
        close(listener)
        close(epoll)
        events.deallocate()
        input.deallocate()
        output.deallocate()
        reply.deallocate()
    }

    private func watch(_ descriptor: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = UInt64(descriptor)
        _ = epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
    }

    private mutating func accept() {
        while true {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            var one: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            peers[descriptor] = Peer()
            watch(descriptor)
        }
    }

    private mutating func drop(_ descriptor: Int32) {
        peers[descriptor] = nil
        close(descriptor)
    }

    private mutating func serve(_ descriptor: Int32) {
        var kept = 0
        if let tail = peers[descriptor]?.tail, !tail.isEmpty {
            kept = tail.count
            tail.withUnsafeBytes { input.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(input), byteCount: kept) }
            peers[descriptor]?.tail = []
        }
        let count = recv(descriptor, input + kept, (4 << 20) - kept, 0)
        guard count > 0 else {
            if count == 0 || (errno != EAGAIN && errno != EINTR) { drop(descriptor) }
            return
        }
        if let answer = behaviour.foreignAnswer {
            _ = answer.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            return
        }
        outputCount = 0
        var position = 0
        let end = kept + count
        while end - position >= FrameHeader.byteCount {
            guard let header = try? FrameHeader(reading: input + position, frameBytesMax: 1 << 20) else {
                return drop(descriptor)
            }
            guard end - position >= header.frameBytes else { break }
            if outputCount + replyBytes + 256 > 16 << 20 { write(descriptor) }
            guard answer(header, input + position + FrameHeader.byteCount) else { return drop(descriptor) }
            position += header.frameBytes
        }
        if position < end {
            peers[descriptor]?.tail = Array(UnsafeRawBufferPointer(start: input + position, count: end - position))
        }
        write(descriptor)
    }

    /// Appends the answer to a frame; `false`: the connection is to be closed.
    @inline(__always)
    private mutating func answer(_ header: FrameHeader, _ body: UnsafeMutableRawPointer) -> Bool {
        switch header.kind {
        case .call:
            calls += 1
            if behaviour.stallAfter > 0, calls == behaviour.stallAfter { usleep(behaviour.stallMilliseconds * 1000) }
            if behaviour.closeEvery > 0, calls % behaviour.closeEvery == 0 { return false }
            if behaviour.silenceEvery > 0, calls % behaviour.silenceEvery == 0 { return true }
            let place = output + outputCount
            if header.method == .health || behaviour.failureEvery > 0 && calls % behaviour.failureEvery == 0 {
                let status = header.method == .health ? StatusCode.ok : behaviour.failure
                FrameHeader.reply(status, id: header.callID, bodyBytes: 0).write(into: place)
                outputCount += FrameHeader.byteCount
                return true
            }
            place.copyMemory(from: reply, byteCount: replyBytes)
            place.storeBytes(of: header.callID.bigEndian, toByteOffset: 8, as: UInt32.self)
            outputCount += replyBytes
        case .hello:
            let hello = try? Hello(
                decoding: UnsafeRawBufferPointer(start: body, count: header.bodyBytes), arena: DecodeArena())
            nextShard = hello?.shard ?? (nextShard + 1) % behaviour.shardCount
            let welcome = Welcome(
                partitionMapVersion: PartitionMap.version, shardCount: behaviour.shardCount,
                shard: nextShard % behaviour.shardCount, nodeName: "fake", softwareVersion: "fake")
            let bodyBytes = welcome.encodedByteCount
            FrameHeader(kind: .welcome, bodyBytes: bodyBytes).write(into: output + outputCount)
            welcome.encode(into: output + outputCount + FrameHeader.byteCount, byteCount: bodyBytes)
            outputCount += FrameHeader.byteCount + bodyBytes
        default: break
        }
        return true
    }

    /// Writes what was answered; waits for a peer that does not read, as this node has no better thing to do.
    private mutating func write(_ descriptor: Int32) {
        var start = 0
        while start < outputCount {
            let count = send(descriptor, output + start, outputCount - start, Int32(MSG_NOSIGNAL))
            if count >= 0 {
                start += count
            } else if errno == EAGAIN {
                guard NodeAddress.wait(descriptor, POLLOUT, until: MonotonicClock.now() + 1_000_000_000) else {
                    return drop(descriptor)
                }
            } else if errno != EINTR {
                return drop(descriptor)
            }
        }
        outputCount = 0
    }
}
