import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct SplitTests {
    private func sample(_ seed: UInt64, shuffled: Bool = false) -> Interactions {
        var random = SplitMix64(seed: seed)
        var pairs = (0..<600).map { n in
            (
                "u\(Int.random(in: 0..<40, using: &random))", "i\(Int.random(in: 0..<90, using: &random))",
                Int64(n) * 1000
            )
        }
        if shuffled { pairs.shuffle(using: &random) }
        var builder = InteractionBuilder(hasValues: false, hasTimes: true)
        for (user, item, time) in pairs { builder.add(user: user, item: item, time: time) }
        return builder.finish().interactions
    }

    @Test(arguments: SplitMethod.allCases)
    func `The two parts hold every interaction once`(method: SplitMethod) throws {
        let all = sample(1)
        let split = try all.split(method)
        #expect((split.training.named + split.test.named).sorted() == all.named.sorted())
        #expect(split.training.users == all.users && split.test.items == all.items)
        #expect(split.training.offsets.count == all.offsets.count)
    }

    @Test func `Leave last out takes the latest item of each user`() throws {
        let all = sample(2)
        let split = try all.split(.leaveLastOut)
        for user in 0..<all.userCount {
            let test = split.test.range(of: user)
            #expect(test.count == (all.range(of: user).count >= 2 ? 1 : 0))
            if let place = test.first { #expect(split.test.itemRows[place] == all.itemRows[all.offsets[user + 1] - 1]) }
        }
    }

    @Test func `A temporal split puts everything after a point in time aside`() throws {
        let all = sample(3)
        let split = try all.split(.temporal, share: 0.25)
        let last = try #require(split.training.times?.max())
        let first = try #require(split.test.times?.min())
        #expect(last < first)
        #expect(abs(Double(split.test.count) / Double(all.count) - 0.25) < 0.01)
        var builder = InteractionBuilder(hasValues: false, hasTimes: false)
        builder.add(user: "a", item: "x")
        let timeless = builder.finish().interactions
        #expect(throws: DatasetError.self) { try timeless.split(.temporal) }
    }

    @Test func `A random split depends on the seed alone, not on the order of the file`() throws {
        let (plain, shuffled) = (sample(4), sample(4, shuffled: true))
        let cut = try plain.split(.random, share: 0.3, seed: 9)
        #expect(try shuffled.split(.random, share: 0.3, seed: 9).test.named.sorted() == cut.test.named.sorted())
        #expect(try plain.split(.random, share: 0.3, seed: 10).test.named != cut.test.named)
        #expect(abs(Double(cut.test.count) / Double(plain.count) - 0.3) < 0.04)
        for user in 0..<plain.userCount { #expect(!cut.training.range(of: user).isEmpty) }
    }

    @Test func `Pairs that stand in another file can be taken out`() throws {
        let all = sample(6)
        let cut = try all.split(.random, share: 0.3, seed: 1).test.withoutEmptyRows()
        let (kept, removed) = all.removing(cut)
        #expect(removed == cut.count)
        #expect((kept.named + cut.named).sorted() == all.named.sorted())
        #expect(kept.removing(cut).removed == 0)
    }

    @Test func `Rows can be renumbered and empty ones dropped`() throws {
        let all = sample(5)
        let half = try all.split(.temporal, share: 0.9).training.withoutEmptyRows()
        #expect(half.itemCounts().allSatisfy { $0 > 0 })
        #expect(half.named.sorted() == (try all.split(.temporal, share: 0.9).training.named.sorted()))
        let turned = all.renumbered(
            users: (0..<UInt32(all.userCount)).reversed(), items: (0..<UInt32(all.itemCount)).reversed())
        #expect(turned.named.sorted() == all.named.sorted())
        #expect(turned.items.string(0) == all.items.string(UInt32(all.itemCount - 1)))
    }
}
