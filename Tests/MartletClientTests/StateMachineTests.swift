import NIOCore
import Testing

@testable import MartletClient

@Suite("Reconnection")
struct ReconnectionTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private func machine() -> Reconnection { Reconnection(delay: .milliseconds(100), delayMax: .seconds(2)) }

    private func delay(_ step: Reconnection.Step, from now: NIODeadline) -> Int64? {
        if case .wait(let until) = step { (until - now).nanoseconds / 1_000_000 } else { nil }
    }

    @Test("the first wish connects, further ones do nothing")
    func firstWish() {
        var machine = machine()
        #expect(machine.wanted() == .connect)
        #expect(machine.wanted() == .none)
        machine.welcomed(at: start)
        #expect(machine.state == .ready(since: start))
        #expect(machine.wanted() == .none)
    }

    @Test("failed attempts wait twice as long each time, between half and all of it, up to the maximum")
    func backoff() {
        var low = machine()
        var high = machine()
        _ = low.wanted()
        _ = high.wanted()
        for full: Int64 in [100, 200, 400, 800, 1600, 2000, 2000, 2000] {
            #expect(delay(low.attemptFailed(at: start, random: 0), from: start) == full / 2)
            // The largest share of the random half.
            let half = UInt64(full) * 1_000_000 / 2
            #expect(delay(high.attemptFailed(at: start, random: half), from: start) == full)
            #expect(low.delayPassed() == .connect)
            #expect(high.delayPassed() == .connect)
        }
    }

    @Test("a thousand failures overflow nothing")
    func manyFailures() {
        var machine = machine()
        _ = machine.wanted()
        for _ in 0..<1000 {
            let wait = delay(machine.attemptFailed(at: start, random: .max), from: start)
            #expect((50...2000).contains(wait ?? -1))
            _ = machine.delayPassed()
        }
    }

    @Test("a connection that was up is made again at once; one that was lost quickly waits")
    func lost() {
        var machine = machine()
        _ = machine.wanted()
        machine.welcomed(at: start)
        #expect(machine.lost(at: start + .seconds(1), byGoaway: false, random: 0) == .connect)
        machine.welcomed(at: start + .seconds(1))
        let soon = start + .seconds(1) + .milliseconds(1)
        #expect(delay(machine.lost(at: soon, byGoaway: false, random: 0), from: soon) == 50)
    }

    @Test("after a goaway it waits, and failures are forgotten only after a long life")
    func goaway() {
        var machine = machine()
        _ = machine.wanted()
        _ = machine.attemptFailed(at: start, random: 0)
        _ = machine.delayPassed()
        machine.welcomed(at: start)
        #expect(
            delay(machine.lost(at: start + .seconds(1), byGoaway: true, random: 0), from: start + .seconds(1)) == 100)
        _ = machine.delayPassed()
        machine.welcomed(at: start)
        #expect(
            delay(machine.lost(at: start + .seconds(3), byGoaway: true, random: 0), from: start + .seconds(3)) == 50)
        #expect(machine.failures == 1)
    }

    @Test("stopped stays stopped")
    func stopped() {
        var machine = machine()
        _ = machine.wanted()
        machine.stop()
        machine.welcomed(at: start)
        #expect(machine.attemptFailed(at: start, random: 1) == .none)
        #expect(machine.lost(at: start, byGoaway: false, random: 1) == .none)
        #expect(machine.delayPassed() == .none)
        #expect(machine.wanted() == .none)
        #expect(machine.state == .stopped)
    }
}

@Suite("Keepalive")
struct KeepaliveTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("silence is asked about once, then ends the connection")
    func silence() {
        var keepalive = Keepalive(pingAfter: .seconds(10), pingTimeout: .seconds(5), now: start)
        #expect(keepalive.tick(at: start + .seconds(9)) == .nothing)
        #expect(keepalive.tick(at: start + .seconds(10)) == .ping)
        #expect(keepalive.tick(at: start + .seconds(14)) == .nothing)
        #expect(keepalive.tick(at: start + .seconds(15)) == .close)
    }

    @Test("any word counts as life")
    func heard() {
        var keepalive = Keepalive(pingAfter: .seconds(10), pingTimeout: .seconds(5), now: start)
        #expect(keepalive.tick(at: start + .seconds(10)) == .ping)
        keepalive.heard(at: start + .seconds(12))
        #expect(keepalive.tick(at: start + .seconds(15)) == .nothing)
        #expect(keepalive.tick(at: start + .seconds(22)) == .ping)
    }
}

@Suite("Client configuration")
struct ConfigurationTests {
    @Test("settings that cannot be are named")
    func validation() {
        func fault(_ change: (inout MartletClientConfiguration) -> Void) -> String {
            var configuration = MartletClientConfiguration()
            change(&configuration)
            do {
                try configuration.validate()
                return ""
            } catch { return error.message }
        }
        #expect(fault { _ in } == "")
        #expect(fault { $0.host = "" }.contains("host"))
        #expect(fault { $0.port = 0 }.contains("port is 0"))
        #expect(fault { $0.timeout = .zero }.contains("timeout"))
        #expect(fault { $0.callsQueuedMax = 0 }.contains("callsQueuedMax"))
        #expect(fault { $0.reconnectDelayMax = .milliseconds(1) }.contains("reconnectDelayMax"))
    }
}
