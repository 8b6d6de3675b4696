import Testing

@testable import Serving

@Suite("Flights")
struct FlightsTests {
    private final class Origin: CallOrigin {
        let number: Int
        let isCancelled: Bool

        init(_ number: Int, isCancelled: Bool = false) {
            self.number = number
            self.isCancelled = isCancelled
        }
    }

    private func call(_ number: Int, deadline: UInt64 = .max, isCancelled: Bool = false) -> ShardCall {
        ShardCall(
            request: .recommend(RecommendationRequest(user: "u")), arrived: 0, deadline: deadline,
            origin: Origin(number, isCancelled: isCancelled))
    }

    private func numbers(_ calls: [ShardCall]) -> [Int] { calls.compactMap { ($0.origin as? Origin)?.number } }

    @Test("the first of equal bytes leads, the others wait in order, and all come back when it lands")
    func order() {
        var flights = Flights(waitersMax: 10)
        #expect(flights.join(call(0), key: [1], hash: 9) == .leads)
        #expect(flights.join(call(1), key: [1], hash: 9) == .waits)
        #expect(flights.join(call(2), key: [2], hash: 8) == .leads)
        #expect(flights.join(call(3), key: [1], hash: 9) == .waits)
        #expect(flights.isUnderWay([1], hash: 9))
        #expect(flights.waiterCount == 2)
        #expect(numbers(flights.land([1], hash: 9)) == [1, 3])
        #expect(!flights.isUnderWay([1], hash: 9))
        #expect(flights.land([1], hash: 9).isEmpty)
        #expect(flights.waiterCount == 0)
        #expect(flights.join(call(4), key: [1], hash: 9) == .leads)
    }

    @Test("other bytes of the same hash do not wait, and do not land the flight")
    func collision() {
        var flights = Flights(waitersMax: 10)
        #expect(flights.join(call(0), key: [1], hash: 9) == .leads)
        #expect(flights.join(call(1), key: [2], hash: 9) == .leads)
        #expect(flights.join(call(2), key: [1], hash: 9) == .waits)
        #expect(flights.land([2], hash: 9).isEmpty)
        #expect(numbers(flights.land([1], hash: 9)) == [2])
    }

    @Test("no more wait than may")
    func bound() {
        var flights = Flights(waitersMax: 2)
        let entries = (0..<5).map { flights.join(call($0), key: [1], hash: 9) }
        #expect(entries == [.leads, .waits, .waits, .full, .full])
    }

    @Test("those whose time is up and those who were cancelled leave, and the earliest deadline is known")
    func late() {
        var flights = Flights(waitersMax: 10)
        _ = flights.join(call(0, deadline: 5), key: [1], hash: 9)
        #expect(flights.earliestDeadline == .max, "a leader's deadline is the queue's business")
        _ = flights.join(call(1, deadline: 30), key: [1], hash: 9)
        _ = flights.join(call(2, deadline: 20), key: [1], hash: 9)
        _ = flights.join(call(3, isCancelled: true), key: [1], hash: 9)
        #expect(flights.earliestDeadline == 20)
        #expect(numbers(flights.removeLate(now: 20)) == [2, 3])
        #expect(flights.earliestDeadline == 30)
        #expect(flights.waiterCount == 1)
        #expect(numbers(flights.land([1], hash: 9)) == [1])
        #expect(flights.earliestDeadline == .max)
    }
}
