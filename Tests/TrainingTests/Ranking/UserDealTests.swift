import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct UserDealTests {
    @Test func `everybody does one thing, within the limits`() {
        let deal = UserDeal(1000, judges: true, UserDeal.Limits())
        #expect(deal.judging == 0..<300 && deal.stopping == 300..<400 && deal.learning == 400..<1000)
        #expect(UserDeal(1000, judges: false, UserDeal.Limits()).stopping == 0..<100)
        let many = UserDeal(100_000, judges: true, UserDeal.Limits())
        #expect(many.judging == 0..<5000 && many.stopping == 5000..<7000 && many.learning == 7000..<27_000)
        #expect(UserDeal(0, judges: true, UserDeal.Limits()).learning.isEmpty)
    }

    @Test(arguments: [1, 3, 20, 333, 40_000])
    func `who judges depends on nobody else's number`(count: Int) {
        let usual = UserDeal(count, judges: true, UserDeal.Limits())
        let few = UserDeal(count, judges: true, UserDeal.Limits(stopping: 1, learning: 7))
        #expect(usual.judging == few.judging && few.learning.count <= 7 && few.stopping.count <= 1)
        #expect(few.learning.upperBound <= count && few.judging.upperBound == few.stopping.lowerBound)
    }
}
