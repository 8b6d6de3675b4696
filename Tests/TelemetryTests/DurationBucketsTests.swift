import Testing

@testable import Telemetry

@Suite struct DurationBucketsTests {
    @Test func `the bounds ascend from one microsecond to ten seconds`() {
        let bounds = DurationBuckets.boundsNanoseconds
        #expect(bounds.first == 1_000)
        #expect(bounds.last == 10_000_000_000)
        #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
        #expect(bounds.count + 1 == DurationBuckets.count)
    }

    @Test func `the grid finds the same bucket as a search, around every bound and every grid cell`() {
        let grid = UnsafeBucketGrid()
        var values: Set<UInt64> = [0, 1, 7, 8, 9, .max, .max - 1]
        for bound in DurationBuckets.boundsNanoseconds { values.formUnion([bound - 1, bound, bound + 1]) }
        for exponent in UInt64(3)..<63 {
            for mantissa in UInt64(0)..<8 {
                let edge = (8 | mantissa) << (exponent - 3)
                values.formUnion([edge - 1, edge, edge + 1])
            }
        }
        for value in values { #expect(grid.bucket(value) == DurationBuckets.bucketBySearch(value), "\(value) ns") }
    }

    @Test func `the grid finds the same bucket as a search for 100 000 random durations`() {
        let grid = UnsafeBucketGrid()
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for _ in 0..<100_000 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            let value = state >> (state & 63)
            #expect(grid.bucket(value) == DurationBuckets.bucketBySearch(value), "\(value) ns")
        }
    }
}
