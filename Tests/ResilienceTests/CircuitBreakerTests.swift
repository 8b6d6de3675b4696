import Resilience
import TestSupport
import Testing

/// The rules of a breaker written down as plainly as possible: every outcome is kept with its time.
private struct BreakerModel {
    let configuration: CircuitBreakerConfiguration
    var state = CircuitBreaker.State.closed
    var outcomes: [(slot: UInt64, failed: Bool)] = []
    var failuresInARow = 0
    var probe: (number: Int, since: UInt64)?
    var probes = 0
    var succeeded = 0
    /// Which stretch of a state tickets belong to.
    var stretch = 0

    var slotLength: UInt64 { configuration.window.nanoseconds / 10 }

    mutating func change(to next: CircuitBreaker.State) {
        state = next
        stretch += 1
        outcomes = []
        failuresInARow = 0
        probe = nil
        succeeded = 0
    }
}

@Suite struct CircuitBreakerTests {
    private static func random(_ generator: inout SeededGenerator) -> CircuitBreakerConfiguration {
        var configuration = CircuitBreakerConfiguration()
        configuration.consecutiveFailures = Int.random(in: 0...6, using: &generator)
        configuration.failureRate = Double.random(in: 0.1...1, using: &generator)
        configuration.minimumVolume = Int.random(in: 1...20, using: &generator)
        configuration.window = .milliseconds(Int.random(in: 10...2000, using: &generator))
        configuration.openFirst = .milliseconds(Int.random(in: 1...200, using: &generator))
        configuration.openMaximum = configuration.openFirst * Int.random(in: 1...20, using: &generator)
        configuration.jitter = Double.random(in: 0...1, using: &generator)
        configuration.probesToClose = Int.random(in: 1...3, using: &generator)
        configuration.probeTimeout = .milliseconds(Int.random(in: 1...300, using: &generator))
        configuration.steadyAfter = .milliseconds(Int.random(in: 0...1000, using: &generator))
        return configuration
    }

    @Test("does what a model that remembers everything does, for thousands of seeds", arguments: 0..<20)
    func model(block: Int) {
        for seed in UInt64(block * 150)..<UInt64(block * 150 + 150) {
            var generator = SeededGenerator(seed: seed)
            let configuration = Self.random(&generator)
            var now = UInt64.random(in: 0...1_000_000_000, using: &generator)
            var breaker = CircuitBreaker(configuration, at: now)
            var model = BreakerModel(configuration: configuration)
            var out: [(ticket: CircuitBreaker.Ticket, stretch: Int, probe: Int?)] = []
            let failing = Double.random(in: 0...1, using: &generator)
            var waits: [UInt64] = []

            for step in 0..<300 {
                now += UInt64.random(in: 0...30_000_000, using: &generator)
                let context = "seed \(seed), step \(step)"
                if Bool.random(using: &generator) || out.isEmpty {
                    let ticket = breaker.admit(at: now)
                    var expected = model.state == .closed
                    var number: Int?
                    if model.state == .open, now >= breaker.openUntil { model.change(to: .halfOpen) }
                    if model.state == .halfOpen {
                        if let probe = model.probe, now - probe.since >= configuration.probeTimeout.nanoseconds {
                            model.probe = nil
                        }
                        if model.probe == nil {
                            model.probes += 1
                            model.probe = (model.probes, now)
                            number = model.probes
                            expected = true
                        }
                    }
                    check((ticket != nil) == expected, context)
                    check(ticket?.isProbe ?? false == (number != nil), context)
                    if let ticket { out.append((ticket, model.stretch, number)) }
                } else {
                    let given = out.remove(at: Int.random(in: 0..<out.count, using: &generator))
                    let outcome: CircuitBreaker.Outcome =
                        Double.random(in: 0..<1, using: &generator) < failing
                        ? .failure : Int.random(in: 0..<8, using: &generator) == 0 ? .neutral : .success
                    let change = breaker.record(outcome, of: given.ticket, at: now, using: &generator)
                    let before = model.state
                    apply(outcome, stretch: given.stretch, probe: given.probe, to: &model, at: now)
                    check(change == (before == model.state ? nil : model.state), context)
                    if change == .open {
                        check(breaker.openUntil > now, context)
                        waits.append(breaker.openUntil - now)
                    }
                }
                check(breaker.state == model.state, context)
                if breaker.state != model.state { return }
            }
            let longest = configuration.openMaximum.nanoseconds
            check(waits.allSatisfy { $0 <= longest }, "seed \(seed)")
            check(breaker.counts.opened == UInt64(waits.count), "seed \(seed)")
        }
    }

    private func apply(
        _ outcome: CircuitBreaker.Outcome, stretch: Int, probe: Int?, to model: inout BreakerModel, at now: UInt64
    ) {
        switch model.state {
        case .closed:
            guard stretch == model.stretch, outcome != .neutral else { return }
            let slot = now / model.slotLength
            model.outcomes.append((slot, outcome == .failure))
            guard outcome == .failure else {
                model.failuresInARow = 0
                return
            }
            model.failuresInARow += 1
            let inWindow = model.outcomes.filter { $0.slot + 10 > slot }
            let rate = Double(inWindow.count { $0.failed }) / Double(inWindow.count)
            let limit = model.configuration.consecutiveFailures
            if (limit > 0 && model.failuresInARow >= limit)
                || (inWindow.count >= model.configuration.minimumVolume && rate >= model.configuration.failureRate)
            {
                model.change(to: .open)
            }
        case .halfOpen:
            guard let current = model.probe, current.number == probe else { return }
            model.probe = nil
            switch outcome {
            case .neutral: break
            case .failure: model.change(to: .open)
            case .success:
                model.succeeded += 1
                if model.succeeded >= model.configuration.probesToClose { model.change(to: .closed) }
            }
        case .open: break
        }
    }

    /// Opens a breaker by failures and returns when it may be probed.
    private func opened(_ configuration: CircuitBreakerConfiguration) -> (CircuitBreaker, SeededGenerator) {
        var breaker = CircuitBreaker(configuration, at: 0)
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<configuration.consecutiveFailures {
            if let ticket = breaker.admit(at: 0) { breaker.record(.failure, of: ticket, at: 0, using: &generator) }
        }
        return (breaker, generator)
    }

    @Test("a probe that never reports is replaced after its time, and its late word counts for nothing")
    func lostProbe() throws {
        var (breaker, generator) = opened(.init())
        #expect(breaker.state == .open)
        let start = breaker.openUntil
        let early = breaker.admit(at: start - 1)
        #expect(early == nil)
        let first = breaker.admit(at: start)
        let lost = try #require(first)
        #expect(lost.isProbe)
        let timeout = CircuitBreakerConfiguration().probeTimeout.nanoseconds
        let besides = breaker.admit(at: start + timeout - 1)
        #expect(besides == nil)
        let next = breaker.admit(at: start + timeout)
        let second = try #require(next)
        let late = breaker.record(.failure, of: lost, at: start + timeout, using: &generator)
        #expect(late == nil)
        #expect(breaker.state == .halfOpen)
        let told = breaker.record(.success, of: second, at: start + timeout, using: &generator)
        #expect(told == .closed)
        let again = breaker.record(.failure, of: second, at: start + timeout, using: &generator)
        #expect(again == nil)
        #expect(breaker.counts.probesLost == 1)
    }

    @Test("a dependency that comes and goes waits longer each time; one that was steady starts anew")
    func waitsGrow() throws {
        var configuration = CircuitBreakerConfiguration()
        configuration.jitter = 0
        configuration.consecutiveFailures = 1
        var breaker = CircuitBreaker(configuration, at: 0)
        var generator = SeededGenerator(seed: 1)
        var now: UInt64 = 0
        var waits: [UInt64] = []
        for _ in 0..<9 {
            let admitted = breaker.admit(at: now)
            let opened = breaker.record(.failure, of: try #require(admitted), at: now, using: &generator)
            #expect(opened == .open)
            waits.append(breaker.openUntil - now)
            now = breaker.openUntil
            let probe = breaker.admit(at: now)
            let closed = breaker.record(.success, of: try #require(probe), at: now, using: &generator)
            #expect(closed == .closed)
        }
        #expect(waits.map { $0 / 1_000_000 } == [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000])
        now += configuration.steadyAfter.nanoseconds
        let ticket = breaker.admit(at: now)
        breaker.record(.failure, of: try #require(ticket), at: now, using: &generator)
        #expect(breaker.openUntil - now == 250_000_000)
    }

    @Test("a clock that steps back neither crashes nor shortens a wait")
    func backwards() throws {
        var (breaker, _) = opened(.init())
        let until = breaker.openUntil
        let tickets = [until - 1, 0, until, 0].map { breaker.admit(at: $0) }
        #expect(tickets.map { $0?.isProbe } == [nil, nil, true, nil])
        #expect(breaker.openUntil == until)
    }

    @Test("a configuration that makes no sense says what is wrong")
    func problems() {
        var configuration = CircuitBreakerConfiguration()
        #expect(configuration.problem() == nil)
        configuration.failureRate = .nan
        #expect(configuration.problem()?.contains("failureRate") == true)
        configuration = .init()
        configuration.openMaximum = .zero
        #expect(configuration.problem()?.contains("open from") == true)
    }
}
