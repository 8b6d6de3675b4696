import TestSupport
import Testing

@testable import Overload

@Suite("MemoryPressure", .ownThreads)
struct MemoryPressureTests {
    private static let budget = 1000 << 20
    private static let cacheMax = 200 << 20
    private static let second: UInt64 = 1_000_000_000

    /// A process with caches that fill up and obey, and other memory that does what the test says.
    private struct Plant {
        var pressure = MemoryPressure(budgetBytes: budget, cacheBytesMax: cacheMax)
        var other: Int
        var cache = 0
        var now: UInt64 = 0

        init(other: Int) { self.other = other }

        mutating func run(_ seconds: Int, fills: Int = 8 << 20) {
            for _ in 0..<seconds {
                cache = min(pressure.cacheBytes, cache + fills)
                pressure.look(.init(usedBytes: other + cache, cacheBytes: cache), at: now)
                cache = min(cache, pressure.cacheBytes)
                now += second
            }
        }
    }

    @Test("below the first mark nothing is given up")
    func plenty() {
        var plant = Plant(other: 600 << 20)
        plant.run(200)
        #expect(plant.pressure.level == .normal)
        #expect(plant.cache == Self.cacheMax)
    }

    @Test("caches shrink until the rest fits, and hold there without going up and down")
    func shrinks() {
        var plant = Plant(other: 800 << 20)
        plant.run(200)
        #expect(plant.pressure.level == .tight)
        var sizes: Set<Int> = []
        for _ in 0..<100 {
            plant.run(1)
            sizes.insert(plant.pressure.cacheBytes)
            #expect(plant.other + plant.cache <= Int(Double(Self.budget) * MemoryPressure.Marks.shrink))
        }
        // What is held is what fits, and it is the same all the time.
        #expect(sizes.count == 1)
        #expect(plant.pressure.cacheBytes >= 20 << 20)
    }

    @Test("with room again caches get all of theirs back, and the level is normal")
    func restores() {
        var plant = Plant(other: 850 << 20)
        plant.run(60)
        #expect(plant.pressure.cacheBytes < Self.cacheMax / 2)
        plant.other = 500 << 20
        plant.run(60)
        #expect(plant.pressure.level == .normal)
        #expect(plant.pressure.cacheBytes == Self.cacheMax)
    }

    @Test("levels rise at once and fall one at a time after a while of calm")
    func hysteresis() {
        var pressure = MemoryPressure(budgetBytes: 1000, cacheBytesMax: 0, calmNanoseconds: 3 * Self.second)
        func used(_ bytes: Int, at seconds: UInt64) -> MemoryPressure.Level {
            pressure.look(.init(usedBytes: bytes, cacheBytes: 0), at: seconds * Self.second)
            return pressure.level
        }
        #expect(used(985, at: 0) == .critical)
        #expect(used(970, at: 1) == .critical, "within its margin")
        #expect(used(940, at: 2) == .critical)
        #expect(used(940, at: 4) == .critical)
        #expect(used(940, at: 5) == .full)
        #expect(used(940, at: 9) == .full, "within the margin of full")
        #expect(used(920, at: 10) == .full)
        #expect(used(955, at: 11) == .full)
        #expect(used(920, at: 12) == .full, "the calm begins anew")
        #expect(used(920, at: 14) == .full)
        #expect(used(920, at: 15) == .tight)
        #expect(used(880, at: 16) == .normal)
    }

    @Test("a clock that goes back changes nothing for the worse")
    func backwards() {
        var pressure = MemoryPressure(budgetBytes: 1000, cacheBytesMax: 0, calmNanoseconds: Self.second)
        pressure.look(.init(usedBytes: 990, cacheBytes: 0), at: 100 * Self.second)
        pressure.look(.init(usedBytes: 100, cacheBytes: 0), at: 100 * Self.second)
        pressure.look(.init(usedBytes: 100, cacheBytes: 0), at: 3 * Self.second)
        #expect(pressure.level == .critical)
        pressure.look(.init(usedBytes: 100, cacheBytes: 0), at: 102 * Self.second)
        #expect(pressure.level == .full)
    }

    @Test("what a load will take is made room for before it comes")
    func loads() {
        var pressure = MemoryPressure(budgetBytes: Self.budget, cacheBytesMax: Self.cacheMax)
        pressure.look(
            .init(usedBytes: 700 << 20, wantedBytes: 950 << 20, cacheBytes: Self.cacheMax), at: 0)
        #expect(pressure.cacheBytes == 110 << 20)
        #expect(pressure.level == .tight, "no connection is refused for memory that is not used yet")
    }

    @Test(
        "whatever comes, bounds hold, caches never grow near the budget, and calm ends everything",
        arguments: Seeds.chosen(200))
    func anything(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let budget = Int.random(in: 1...(1 << 40), using: &random)
        let cacheMax = Int.random(in: 0...budget, using: &random)
        var pressure = MemoryPressure(budgetBytes: budget, cacheBytesMax: cacheMax)
        var now: UInt64 = 0
        for _ in 0..<500 {
            let used = Int.random(in: 0...(budget + budget / 4), using: &random)
            let cache = Int.random(in: 0...cacheMax, using: &random)
            let before = pressure
            pressure.look(.init(usedBytes: used, cacheBytes: cache), at: now)
            #expect((pressure.cacheBytesMin...cacheMax).contains(pressure.cacheBytes))
            if Double(used) >= Double(budget) * MemoryPressure.Marks.restore {
                #expect(pressure.cacheBytes <= before.cacheBytes)
            }
            if Double(used) >= Double(budget) * MemoryPressure.Marks.critical { #expect(pressure.level == .critical) }
            #expect(pressure.level.rawValue >= before.level.rawValue - 1)
            now += UInt64.random(in: 0...(2 * Self.second), using: &random)
        }
        // Below every mark, with caches that hold what they may, all is as at the beginning after a while.
        for _ in 0..<5000 where pressure.level != .normal || pressure.cacheBytes < cacheMax {
            pressure.look(.init(usedBytes: 0, cacheBytes: 0), at: now)
            now += 4 * Self.second
        }
        let promised = min(cacheMax, Int(Double(budget) * MemoryPressure.Marks.restore))
        // Caches that are larger than the budget never have all of theirs.
        #expect(pressure.level == (pressure.cacheBytes < cacheMax ? .tight : .normal))
        #expect(pressure.cacheBytes == cacheMax || cacheMax > promised)
        #expect(pressure.cacheBytes >= promised)
    }
}
