import NearestNeighbors
import Retrieval
import Synchronization
import Telemetry

/// What a loop does for the long scans of others while it has no calls of its own, and whether it may be asked to.
///
/// ```
///  free  -asked by another loop->  asked  -the loop wakes->  helping  -nothing left to read, or a call came->  free
///  free, asked, helping  -a call of its own->  busy  -all answered->  free
/// ```
/// The methods run on the loop, `mayBeAsked` and `ask` on any.
final class LoopHelping {
    /// A loop looks at its sockets that often while it helps.
    private static let stepNanoseconds: UInt64 = 50_000
    /// A loop that was busy for more of the last milliseconds is left alone: between two calls it only seems to be idle.
    private static let loadMax = 0.85
    /// What a read or a mail counts as: with more than some 28 000 a second a loop is left alone, however short they are.
    private static let workNanoseconds: UInt64 = 200_000

    private enum State {
        static let free: UInt8 = 0
        static let asked: UInt8 = 1
        static let busy: UInt8 = 2
    }

    private let state = Atomic<UInt8>(State.free)
    /// A `LoopLoad`, written by the loop alone.
    private let load = Atomic<UInt64>(LoopLoad().bits)
    private var invitation: ScanInvitation?
    private lazy var scratch = SearchScratch()

    // MARK: On the loop

    var isHelping: Bool { invitation != nil }

    /// Whether calls of its own wait or are under way.
    private(set) var isBusy = false

    /// Called when the first of its own calls begins, and when the last is answered.
    func setBusy(_ isBusy: Bool, _ now: UInt64) {
        update { $0.advance(to: now, wasBusy: self.isBusy) }
        self.isBusy = isBusy
        state.store(isBusy || isHelping ? State.busy : State.free, ordering: .relaxed)
    }

    /// Counts a read or a mail.
    func countWork(_ now: UInt64) {
        update {
            $0.advance(to: now, wasBusy: isBusy)
            $0.add(Self.workNanoseconds)
        }
    }

    private func update(_ change: (inout LoopLoad) -> Void) {
        var load = LoopLoad(bits: self.load.load(ordering: .relaxed))
        change(&load)
        self.load.store(load.bits, ordering: .relaxed)
    }

    /// Takes an invitation, unless there is something else to do.
    func accept(_ invitation: ScanInvitation) -> Bool {
        guard !isBusy, !isHelping else { return false }
        self.invitation = invitation
        state.store(State.busy, ordering: .relaxed)
        return true
    }

    /// Reads parts for a short while; true when it is to go on after a look at the sockets.
    func step(_ metrics: ShardMetrics) -> Bool {
        guard let invitation else { return false }
        var parts = 0
        let until = LoopWorker.now &+ Self.stepNanoseconds
        var goesOn = !isBusy
        while goesOn, LoopWorker.now < until {
            goesOn = invitation.help(scratch)
            if goesOn { parts += 1 }
        }
        metrics.countSplitParts(parts)
        if !goesOn { stop() }
        return goesOn
    }

    /// Lets go of the scan.
    func stop() {
        invitation = nil
        state.store(isBusy ? State.busy : State.free, ordering: .relaxed)
    }

    // MARK: On any loop

    /// Whether the loop has nothing to do, as far as others can tell.
    func mayBeAsked(_ now: UInt64) -> Bool {
        guard state.load(ordering: .relaxed) == State.free else { return false }
        var load = LoopLoad(bits: load.load(ordering: .relaxed))
        load.advance(to: now, wasBusy: false)
        return load.share <= Self.loadMax
    }

    /// Claims the loop for one asker; false when another was faster.
    func ask() -> Bool {
        state.compareExchange(expected: State.free, desired: State.asked, ordering: .relaxed).exchanged
    }
}

/// `state` and `load` are atomic; all else is touched on the loop alone.
extension LoopHelping: @unchecked Sendable {}
