import Testing

@testable import Telemetry

@Suite struct AllocatorTests {
    @Test func `malloc of this process is jemalloc: its statistics follow an allocation`() throws {
        let before = try #require(Allocator.statistics())
        let block = UnsafeMutableRawPointer.allocate(byteCount: 64 << 20, alignment: 16)
        block.storeBytes(of: 1, as: UInt8.self)
        let during = try #require(Allocator.statistics())
        block.deallocate()
        #expect(during.allocatedBytes >= before.allocatedBytes + (60 << 20))
        #expect(during.allocations > before.allocations)
        #expect(during.residentBytes > 0 && during.mappedBytes > 0 && during.metadataBytes > 0)
    }

    @Test func `a thread's own count grows by exactly what it allocates`() throws {
        let counter = try #require(Allocator.threadAllocatedCounter)
        let before = counter.pointee
        let block = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 16)
        let after = counter.pointee
        block.deallocate()
        #expect(after - before == 1 << 20)
    }

    @Test func `counting and recording allocate nothing`() throws {
        let shard = ShardMetrics(shard: 0, scenarios: ["default"])
        let counter = try #require(Allocator.threadAllocatedCounter)
        let before = counter.pointee
        // A counted loop by hand: without optimisation the iterator of a range allocates.
        var i: UInt64 = 0
        while i < 1000 {
            shard.countRequest(.recommend, .ok)
            shard.recordRequest(scenario: 0, .cached, nanoseconds: i &* 977)
            shard.record(.decode, nanoseconds: i)
            shard.countCache(.l1, .hit)
            i &+= 1
        }
        #expect(counter.pointee == before)
    }
}

@Suite struct ProcessStatisticsTests {
    @Test func `the process sees itself`() {
        let statistics = ProcessStatistics.read()
        #expect(statistics.residentBytes > 1 << 20)
        #expect(statistics.virtualBytes >= statistics.residentBytes)
        #expect(statistics.openDescriptors >= 1)
        #expect(statistics.openDescriptorsMax >= statistics.openDescriptors)
        #expect(statistics.threads >= 1)
        #expect(statistics.startSeconds > 1_500_000_000)
    }
}
