import CEpoll
import Glibc
import Synchronization
import Wire

/// What a sending thread is to do.
struct SenderPlan {
    let mode: LoadMode
    /// Nanoseconds of the monotonic clock.
    let start: UInt64
    let measureStart: UInt64
    let measureEnd: UInt64
    /// This thread's share of an open loop's rate.
    let rate: Double
    /// This thread's place in an interval of the open loop; `0..<1`.
    let phase: Double
    let requestsMax: Int
    /// Nanoseconds; 0: none.
    let timeout: UInt64
    let spin: Bool
}

/// The connections of one shard, and what is sent on them.
struct Lane {
    /// Keeps `frames` alive.
    private let sequence: RequestSequence
    let frames: UnsafeMutablePointer<UInt32>
    let frameCount: Int
    /// Of all calls; 0 sends none.
    let share: Double
    var position: Int
    var connections: [Int] = []
    var turn = 0
    var schedule = OpenLoopSchedule(start: 0, end: 0, rate: 1)

    /// - Parameter offset: Where in the sequence to begin, as a share of it; `0..<1`.
    init(_ sequence: RequestSequence, share: Double, offset: Double) {
        self.sequence = sequence
        frames = sequence.frames
        frameCount = sequence.count
        self.share = share
        position = min(Int(Double(sequence.count) * offset), sequence.count - 1)
    }
}

/// One thread of the raw driver: some connections, an epoll descriptor, no locks and no allocation per call.
///
/// A turn of its loop reads each readable connection once, counts the replies by their headers, appends new calls and
/// writes each connection once. A value that its thread runs in place.
struct Sender {
    /// How long an idle loop asks again before it sleeps; nanoseconds.
    private static let spinTime: UInt64 = 60_000
    private static let eventsMax = 256
    private static let housekeepingInterval: UInt64 = 20_000_000
    private static let drainMax: UInt64 = 2_000_000_000

    private let pool: FramePool
    private let frames: UnsafeMutableRawPointer
    private let frameOffsets: UnsafeMutablePointer<Int>
    private let frameBytesMax: Int
    let connections: UnsafeMutablePointer<Connection>
    let connectionCount: Int
    var lanes: [Lane]
    let exchange: RecordExchange
    let epoll: Int32

    private let events: UnsafeMutablePointer<epoll_event>
    private let touched: UnsafeMutablePointer<Int>
    private var touchedCount = 0
    private let receiveBuffer: UnsafeMutableRawPointer
    private let receiveCapacity: Int
    private let replyBytesMax: Int

    // Of the present run.
    private var record: IntervalRecord
    private var intervalEnd: UInt64 = 0
    private var requestsLeft = 0
    private var eligibleFrom: UInt64 = 0
    private var windowEnd: UInt64 = 0
    private var isOpenLoop = false
    private var isSending = false
    private var timeout: UInt64 = 0

    init(
        pool: FramePool, connections: [Connection], lanes: [Lane], exchange: RecordExchange, replyBytesMax: Int
    ) throws(LoadError) {
        self.pool = pool
        frames = pool.bytes
        frameOffsets = pool.offsets
        frameBytesMax = pool.frameBytesMax
        connectionCount = connections.count
        self.connections = .allocate(capacity: connections.count)
        self.connections.initialize(from: connections, count: connections.count)
        self.lanes = lanes
        self.exchange = exchange
        self.replyBytesMax = replyBytesMax
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        events = .allocate(capacity: Sender.eventsMax)
        touched = .allocate(capacity: connections.count)
        receiveCapacity = replyBytesMax + 4 + (256 << 10)
        receiveBuffer = .allocate(byteCount: receiveCapacity, alignment: 64)
        record = IntervalRecord()
        guard epoll >= 0 else { throw LoadError("no epoll descriptor: \(NodeAddress.text(errno))") }
        for index in 0..<connectionCount { watch(index, EPOLL_CTL_ADD) }
    }

    func deallocate() {
        for index in 0..<connectionCount {
            connections[index].close()
            connections[index].deallocate()
        }
        connections.deallocate()
        events.deallocate()
        touched.deallocate()
        receiveBuffer.deallocate()
        close(epoll)
    }

    private func watch(_ index: Int, _ operation: Int32) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue | (connections[index].waitsForWrite ? EPOLLOUT.rawValue : 0)
        event.data.u64 = UInt64(index)
        _ = epoll_ctl(epoll, operation, connections[index].descriptor, &event)
    }

    // MARK: The loop

    /// Sends and measures until the plan ends or `stop` is set, then waits for what is in flight.
    mutating func run(_ plan: SenderPlan, stop: borrowing Atomic<Bool>) {
        _ = cepoll_set_timer_slack(1000)
        // All threads begin together; an answer from before the start would belong to no interval.
        while MonotonicClock.now() < plan.start { usleep(50) }
        begin(plan)
        var nextHousekeeping = plan.start
        var lastWork = plan.start
        var now = MonotonicClock.now()
        while now < plan.measureEnd, !stop.load(ordering: .relaxed) {
            if now >= intervalEnd { turnOver(at: now) }
            if now >= nextHousekeeping {
                housekeeping(now)
                nextHousekeeping = now + Sender.housekeepingInterval
            }
            if isOpenLoop { issueDue(now) }
            if requestsLeft == 0, inFlight == 0 { break }
            let idleUntil = min(plan.measureEnd, nextHousekeeping, intervalEnd, nextDue)
            let ready = wait(now: now, until: idleUntil, lastWork: lastWork, spin: plan.spin)
            if ready > 0 {
                serve(ready)
                lastWork = now
            }
            now = MonotonicClock.now()
        }
        let end = min(now, plan.measureEnd)
        if isOpenLoop {
            // The calls of the last moments, so that only those are unsent which found no place.
            issueDue(end)
            countUnsent(until: end)
        }
        isSending = false
        windowEnd = end
        drain(from: now)
        record.counters.pointee.end = end
        record.counters.pointee.cpu = MonotonicClock.threadCPU()
        record = exchange.turnOver(record)
        exchange.isFinished.store(true, ordering: .releasing)
    }

    private mutating func begin(_ plan: SenderPlan) {
        eligibleFrom = plan.measureStart
        windowEnd = plan.measureEnd
        requestsLeft = plan.requestsMax
        timeout = plan.timeout
        isSending = true
        intervalEnd = plan.measureStart > plan.start ? plan.measureStart : plan.start + 1_000_000_000
        record.counters.pointee.start = plan.start
        if case .open = plan.mode { isOpenLoop = true } else { isOpenLoop = false }
        for lane in lanes.indices {
            lanes[lane].schedule = OpenLoopSchedule(
                start: plan.start, end: plan.measureEnd, rate: max(plan.rate * lanes[lane].share, 1e-6),
                phase: plan.phase)
        }
        guard !isOpenLoop else { return }
        let now = MonotonicClock.now()
        for index in 0..<connectionCount { refill(index, now) }
        flushTouched()
    }

    private mutating func turnOver(at now: UInt64) {
        record.counters.pointee.end = intervalEnd
        record.counters.pointee.cpu = MonotonicClock.threadCPU()
        record = exchange.turnOver(record)
        record.counters.pointee.start = intervalEnd
        repeat { intervalEnd += 1_000_000_000 } while intervalEnd <= now
    }

    /// When the next call is due; far away in a closed loop, or when no connection could take it.
    private var nextDue: UInt64 {
        guard isOpenLoop, requestsLeft > 0 else { return .max }
        var next = UInt64.max
        for lane in lanes where lane.share > 0 { next = min(next, lane.schedule.nextTime ?? .max) }
        return next
    }

    /// Waits for events. Sleeps only when nothing is due soon, and wakes a little before.
    private func wait(now: UInt64, until: UInt64, lastWork: UInt64, spin: Bool) -> Int32 {
        let left = until > now ? until - now : 0
        // Calls that are overdue wait for a free place: only an answer can bring it.
        let overdue = isOpenLoop && left == 0
        if spin, !overdue, left <= Sender.spinTime || now &- lastWork <= Sender.spinTime {
            return epoll_wait(epoll, events, Int32(Sender.eventsMax), 0)
        }
        let sleep = overdue ? 1_000_000 : (spin && left > Sender.spinTime ? left - Sender.spinTime : left)
        var time = timespec(tv_sec: Int(sleep / 1_000_000_000), tv_nsec: Int(sleep % 1_000_000_000))
        return epoll_pwait2(epoll, events, Int32(Sender.eventsMax), &time, nil)
    }

    @inline(__always)
    private mutating func serve(_ ready: Int32) {
        for place in 0..<Int(ready) {
            let event = events[place]
            let index = Int(event.data.u64)
            if event.events & EPOLLOUT.rawValue != 0 { write(index) }
            if event.events & ~EPOLLOUT.rawValue != 0, connections[index].isOpen { receive(index) }
        }
        flushTouched()
    }

    private mutating func drain(from start: UInt64) {
        let limit = start + (timeout > 0 ? min(timeout, Sender.drainMax) : Sender.drainMax)
        var now = start
        while inFlight > 0, now < limit {
            let ready = epoll_wait(epoll, events, Int32(Sender.eventsMax), 5)
            if ready > 0 { serve(ready) }
            now = MonotonicClock.now()
        }
        for index in 0..<connectionCount { abandon(index, intendedBefore: .max, as: Outcome.timedOut) }
    }

    private var inFlight: Int {
        var count = 0
        for index in 0..<connectionCount { count += connections[index].calls.inFlight }
        return count
    }

    // MARK: Sending

    /// Sends the calls whose time has come, in turn on the connections of their shard.
    private mutating func issueDue(_ now: UInt64) {
        for lane in lanes.indices {
            let count = lanes[lane].connections.count
            guard count > 0, lanes[lane].share > 0 else { continue }
            var tried = 0
            while tried < count, requestsLeft > 0, let next = lanes[lane].schedule.nextTime, next <= now {
                lanes[lane].turn = lanes[lane].turn + 1 == count ? 0 : lanes[lane].turn + 1
                let index = lanes[lane].connections[lanes[lane].turn]
                guard connections[index].canTake(frameBytes: frameBytesMax) else {
                    tried += 1
                    continue
                }
                tried = 0
                _ = lanes[lane].schedule.take(at: now)
                issue(index, lane, intended: next)
            }
        }
        flushTouched()
    }

    /// Fills a connection's window (closed loop).
    @inline(__always)
    private mutating func refill(_ index: Int, _ now: UInt64) {
        let lane = connections[index].lane
        while requestsLeft > 0, connections[index].canTake(frameBytes: frameBytesMax) {
            issue(index, lane, intended: now)
        }
    }

    @inline(__always)
    private mutating func issue(_ index: Int, _ lane: Int, intended: UInt64) {
        let position = lanes[lane].position
        lanes[lane].position = position + 1 == lanes[lane].frameCount ? 0 : position + 1
        let frame = Int(lanes[lane].frames[position])
        let offset = frameOffsets[frame]
        connections[index].append(
            frames + offset, byteCount: frameOffsets[frame + 1] - offset, intended: intended)
        requestsLeft -= 1
        if !connections[index].isTouched {
            connections[index].isTouched = true
            touched[touchedCount] = index
            touchedCount += 1
        }
    }

    @inline(__always)
    private mutating func flushTouched() {
        for place in 0..<touchedCount {
            let index = touched[place]
            connections[index].isTouched = false
            if !connections[index].waitsForWrite { write(index) }
        }
        touchedCount = 0
    }

    @inline(__always)
    private mutating func write(_ index: Int) {
        guard connections[index].isOpen else { return }
        switch connections[index].flush() {
        case .all:
            if connections[index].waitsForWrite {
                connections[index].waitsForWrite = false
                watch(index, EPOLL_CTL_MOD)
            }
        case .some:
            if !connections[index].waitsForWrite {
                connections[index].waitsForWrite = true
                watch(index, EPOLL_CTL_MOD)
            }
        case .broken: lose(index)
        }
    }

    // MARK: Receiving

    @inline(__always)
    private mutating func receive(_ index: Int) {
        let kept = connections[index].tailCount
        if kept > 0 { receiveBuffer.copyMemory(from: connections[index].tail, byteCount: kept) }
        let count = recv(
            connections[index].descriptor, receiveBuffer + kept, receiveCapacity - kept, Int32(MSG_DONTWAIT))
        guard count > 0 else {
            if count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) { lose(index) }
            return
        }
        let now = MonotonicClock.now()
        record.counters.pointee.bytesReceived += UInt64(count)
        let end = kept + count
        var position = 0
        while end - position >= FrameHeader.byteCount {
            let header: FrameHeader
            do throws(FrameError) {
                header = try FrameHeader(reading: receiveBuffer + position, frameBytesMax: replyBytesMax)
            } catch {
                lose(index)
                return
            }
            guard end - position >= header.frameBytes else { break }
            position += header.frameBytes
            if header.rawKind == FrameKind.reply.rawValue {
                settle(index, header, now)
            } else if header.rawKind == FrameKind.goaway.rawValue {
                connections[index].isGoingAway = true
            }
        }
        if position < end {
            connections[index].keepTail(receiveBuffer + position, count: end - position)
        } else {
            connections[index].tailCount = 0
        }
        if isSending, !isOpenLoop { refill(index, now) }
    }

    @inline(__always)
    private mutating func settle(_ index: Int, _ header: FrameHeader, _ now: UInt64) {
        guard let call = connections[index].calls.finish(header.callID) else {
            record.counters.pointee.lateReplies += 1
            return
        }
        let isGood = header.code == 0
        if isGood, now < windowEnd { record.counters.pointee.completed += 1 }
        // An open loop judges a call by when it was due, a closed one by when it was answered.
        guard isOpenLoop ? call.intended >= eligibleFrom : now >= eligibleFrom && now < windowEnd else { return }
        guard isGood else {
            record.outcomes[Int(header.code) < Outcome.timedOut ? Int(header.code) : Outcome.otherStatus] += 1
            return
        }
        record.outcomes[0] += 1
        let figures = record.methods + Int(call.method & 15)
        figures.pointee.client.record(now &- call.intended)
        figures.pointee.server.record(UInt64(header.microseconds))
        record.counters.pointee.cached += UInt64(header.flags & ReplyFlags.cached.rawValue)
    }

    // MARK: Trouble

    private mutating func abandon(_ index: Int, intendedBefore limit: UInt64, as outcome: Int) {
        let (from, isOpenLoop, outcomes) = (eligibleFrom, isOpenLoop, record.outcomes)
        let isMeasuring = MonotonicClock.now() >= eligibleFrom
        connections[index].calls.abandon(intendedBefore: limit) { call in
            if isOpenLoop ? call.intended >= from : isMeasuring { outcomes[outcome] += 1 }
        }
    }

    private mutating func lose(_ index: Int) {
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, connections[index].descriptor, nil)
        connections[index].close()
        abandon(index, intendedBefore: .max, as: Outcome.connectionLost)
        exchange.reportLost(index)
    }

    private mutating func housekeeping(_ now: UInt64) {
        if timeout > 0, now > timeout {
            for index in 0..<connectionCount where connections[index].calls.inFlight > 0 {
                abandon(index, intendedBefore: now - timeout, as: Outcome.timedOut)
                if !isOpenLoop { refill(index, now) }
            }
        }
        for index in 0..<connectionCount where connections[index].isGoingAway && connections[index].calls.inFlight == 0
        {
            lose(index)
        }
        if exchange.hasFresh.load(ordering: .acquiring) {
            for fresh in exchange.takeFresh() {
                connections[fresh.index].descriptor = fresh.descriptor
                watch(fresh.index, EPOLL_CTL_ADD)
                if !isOpenLoop { refill(fresh.index, now) }
            }
        }
        flushTouched()
    }

    /// Counts the calls of an open loop that were due and never sent.
    private mutating func countUnsent(until end: UInt64) {
        guard requestsLeft > 0, end > eligibleFrom else { return }
        for lane in lanes where lane.share > 0 {
            record.outcomes[Outcome.unsent] += lane.schedule.untaken(in: eligibleFrom..<end)
        }
    }
}
